"""Odd graphs, as code of a side may write them: an error that names the place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slipway.policy import objects
from slipway.policy.owners import Owners
from slipway.preview import child, comparison, evictions, rendering, shapes
from slipway.preview.rendering import RenderError
from slipway.preview.sides import Side
from slipway.rendering.recorder import Resource
from stacks import files
from tests.support import compared
from tests.support.compared import nothing

STACK = "models.dev"
APPS, CORE = "kubernetes:apps/v1:", "kubernetes:core/v1:"
ROUTE = "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute"
SCALER = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
NAMED = {"name": "a", "namespace": "n"}
POD = {"template": {"spec": {}}}


def resource(type_: str, **inputs: Any) -> dict[str, Any]:
    found = {"urn": f"urn:{type_}", "type": type_, "name": "a", "custom": True}
    return found | {"inputs": inputs}


def graph(*resources: Any) -> str:
    return json.dumps({STACK: {"resources": resources}})


def read(text: str, folder: Path) -> rendering.Graph:
    """What the command makes of a renderer's file."""
    side = Side("head", folder / "head")
    file = folder / child.GRAPH
    file.write_text(text)
    with rendering._as_render_errors(side):
        return rendering._graph(side, rendering._read(side, file))


def workload(**spec: Any) -> dict[str, Any]:
    return resource(f"{APPS}Deployment", metadata=NAMED, spec=POD | spec)


OBJECTS = {
    "metadata": [
        resource(f"{CORE}ConfigMap", metadata=value) for value in (None, [], "a", 1)
    ],
    "metadata.name": [resource(f"{CORE}ConfigMap", metadata={"name": 5})],
    "metadata.namespace": [resource(f"{CORE}ConfigMap", metadata={"namespace": {}})],
    "metadata.labels": [resource(f"{CORE}Pod", metadata={"labels": ["a"]})],
    "metadata.labels.a": [resource(f"{CORE}Pod", metadata={"labels": {"a": [1]}})],
    "metadata.annotations": [resource(f"{CORE}Pod", metadata={"annotations": "a"})],
    "spec": [
        resource(f"{APPS}Deployment", metadata=NAMED),
        resource(f"{APPS}StatefulSet", metadata=NAMED, spec=[]),
        resource(f"{CORE}Service", metadata=NAMED, spec="a"),
        resource(ROUTE, metadata=NAMED),
    ],
    "spec.template": [resource(f"{APPS}DaemonSet", metadata=NAMED, spec={})],
    "spec.template.spec": [workload(template={"spec": None})],
    "spec.replicas": [workload(replicas="many"), workload(replicas=1.5)],
    "spec.strategy": [workload(strategy="Recreate")],
    "spec.strategy.rollingUpdate": [workload(strategy={"rollingUpdate": [1]})],
    "spec.template.spec.terminationGracePeriodSeconds": [
        workload(template={"spec": {"terminationGracePeriodSeconds": [30]}})
    ],
    "metadata ": [resource(SCALER, spec={"scaleTargetRef": {"name": "a"}})],
    "spec.scaleTargetRef": [resource(SCALER, metadata=NAMED, spec={})],
    "spec.maxReplicas": [
        resource(
            SCALER,
            metadata=NAMED,
            spec={"scaleTargetRef": {"name": "a"}, "maxReplicas": {}},
        )
    ],
    "spec.rules": [resource(ROUTE, metadata=NAMED, spec={"rules": "a"})],
    "spec.rules.0": [resource(ROUTE, metadata=NAMED, spec={"rules": [None]})],
    "spec.rules.0.backendRefs.0.name": [
        resource(ROUTE, metadata=NAMED, spec={"rules": [{"backendRefs": [{}]}]})
    ],
    "spec.rules.0.backendRefs.0.weight": [
        resource(
            ROUTE,
            metadata=NAMED,
            spec={"rules": [{"backendRefs": [{"name": "a", "weight": "-1"}]}]},
        )
    ],
    "spec.rules.0.matches.0.path": [
        resource(ROUTE, metadata=NAMED, spec={"rules": [{"matches": [{"path": "/"}]}]})
    ],
}


@pytest.mark.parametrize(
    ("path", "odd"), [(path, one) for path, some in OBJECTS.items() for one in some]
)
def test_an_object_of_an_odd_form_is_refused_by_name_and_path(
    path: str, odd: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(RenderError) as caught:
        read(graph(odd), tmp_path)
    began = f"head: {STACK}: {odd['type']} 'a': {path.strip()}: "
    assert str(caught.value).startswith(began)
    assert str(caught.value).endswith("fix: correct it in the program that declares it")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": 5}, "name is no str"),
        ({"type": None}, "type is no str"),
        ({"urn": ["a"]}, "urn is no str"),
        ({"inputs": []}, "its inputs are no mapping"),
        ({"custom": "yes"}, "custom is no bool"),
        ({"depends_on": [[]]}, "has what is no text"),
        ({"inputs": {"a": json.loads("[" * 200 + "]" * 200)}}, "more than 100 levels"),
        ({"type": "a:b"}, "three parts"),
    ],
)
def test_a_resource_of_an_odd_form_is_refused(
    changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(RenderError, match=said):
        read(graph(resource(f"{CORE}ConfigMap") | changed), tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "5",
        "{",
        '{"models.dev": []}',
        '{"models.dev": {"resources": 1}}',
        '{"models.dev": {"resources": [1]}}',
        graph({"type": "a:b:c"}),
        graph(resource("a:b:c") | {"more": 1}),
        graph(resource("a:b:c") | {"depends_on": 1}),
        graph(resource("a:b:c", number=float("nan"))),
        graph(resource("a:b:c", text="\ud800")),
        '{"models.dev": ' + "[" * 5000 + "]" * 5000 + "}",
    ],
)
def test_what_is_no_graph_is_said(text: str, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="head: the renderer wrote no graph: "):
        read(text, tmp_path)


def test_objects_of_a_usual_form_are_read(tmp_path: Path) -> None:
    """An object may have no metadata: the provider gives it a name then."""
    emoji = resource("a:b:c", text="\U0001f600")
    unnamed = resource(f"{CORE}ConfigMap", data={"a": "b"})
    found = read(graph(workload(replicas=2), emoji, unnamed), tmp_path)[STACK]
    assert len(found) == 3
    side = Side("head", tmp_path / "head")
    compared.checkout(side.folder, STACK, nothing)
    report = comparison.of_graphs(side, side, [STACK], ({}, {STACK: found}))
    assert len(report.items) == 3
    assert "ConfigMap" in {it.name for it in objects.of_resources(found)}


def test_every_resource_of_the_checkout_has_the_form(tmp_path: Path) -> None:
    for stack in ("models.gpu", "platform.prod", "cluster.prod"):
        found = compared.checkout(tmp_path / stack, stack, nothing)[stack]
        assert not [wrong for one in found if (wrong := shapes.wrong(one))]


def test_jobs_that_are_told_in_another_form_are_noted(tmp_path: Path) -> None:
    """A later version may tell more of each job than this one knows."""
    side = Side("head", tmp_path / "head")
    compared.checkout(side.folder, STACK, nothing)
    annotation = {evictions.naming.EVICTABLE_ANNOTATION: '[{"job": 5}]'}
    odd = resource(f"{CORE}ConfigMap", metadata=NAMED | {"annotations": annotation})
    found = read(graph(odd), tmp_path)
    report = comparison.of_graphs(side, side, [STACK], ({}, found))
    assert not report.evictions
    assert report.notes[0].startswith("Jobs that `n/a` of `models.dev` may evict")


STATEMENTS: list[Any] = [
    *("a", 5, None, [], {"Principal": {"AWS": {"a": 1}}}, {"Principal": 5}),
    *({"Condition": [1]}, {"Condition": {"a": 1}}, {"Action": {}}, {"Sid": 7}),
]


@pytest.mark.parametrize("given", STATEMENTS)
def test_a_statement_that_iam_would_refuse_is_read(given: Any) -> None:
    text = json.dumps({"Statement": [given]})
    type_ = "aws:iam/policy:Policy"
    (found,) = objects.of_resources([Resource("u", type_, "a", {"policy": text}, True)])
    (document,) = found.content["policies"]
    (said,) = document["statements"]
    assert isinstance(said["sid"], str)
    assert said["condition_keys"] == []


def test_labels_and_targets_that_are_no_texts_match_nothing() -> None:
    policy = {"podSelector": {"matchLabels": {"a": ["b"]}}}
    target = {"targetRefs": [{"kind": [], "name": "a"}, {"kind": "Pod", "name": {}}]}
    job = {"template": {"metadata": {"labels": {"a": [1]}}}}
    found = [
        {"kind": kind, "metadata": NAMED, "spec": spec}
        for kind, spec in (
            ("NetworkPolicy", policy),
            ("SecurityPolicy", target),
            ("Job", job),
        )
    ]
    assert [Owners(found).of(one) for one in found] == [[], [], []]


def test_a_renderer_that_leaves_a_stack_out_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "renderer.py"
    program.write_text(
        "import pathlib, sys\npathlib.Path(sys.argv[3], 'graph.json').write_text('{}')"
    )
    monkeypatch.setattr(child, "__file__", str(program))
    (tmp_path / "images.lock").write_text("{}")
    sides = [(Side("head", tmp_path), [STACK])]
    with pytest.raises(RenderError, match="head: the renderer wrote nothing of models"):
        rendering.render(sides, [tmp_path / "images.lock"], tmp_path / "work")


def test_odd_bytes_in_files_of_a_side_are_read(tmp_path: Path) -> None:
    """Names of images are looked for in what may be no text."""
    side = Side("head", tmp_path / "head")
    compared.checkout(side.folder, STACK, nothing)
    (side.folder / "components" / "__pycache__").mkdir(parents=True)
    (side.folder / "components" / "a.py").write_bytes(b'A = "one"\n\xff\xfe')
    (side.folder / "requirements.txt").write_bytes(b"\xff")
    other = files.path("models.other", side.folder)
    other.write_bytes(b"config: \xff\n")
    report = comparison.of_graphs(side, side, [STACK], ({}, {}))
    assert report.level == "nothing"
    assert "one" in comparison.judgement.placeholders.images(side.folder)
