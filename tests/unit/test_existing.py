"""What exists already is not taken over unasked, whatever its kind."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import httpx
import pytest

from components import naming, ownership
from components.platform.settings import PlatformSettings
from components.settings import SettingsError
from slipway import stack_files
from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.engine import existing
from slipway.engine.results import EngineError
from slipway.rendering import manifests
from slipway.rendering.render import Rendered, render
from tests.support import rendered as support
from tests.support.fake_cluster import FakeCluster

BY_KUBECTL = [
    {
        "manager": "kubectl-create",
        "operation": "Update",
        "time": "2026-01-02T00:00:00Z",
    },
    {"manager": "kubelet", "operation": "Update", "subresource": "status"},
]
PLATFORM: dict[str, Any] = {
    **stack_files.load("platform.lab")["config"],
    "slipway:keda": {"enabled": True},
}


@cache
def made(layer: str, config: str = "{}") -> Rendered:
    """A stack with further settings, rendered once."""
    if layer == "models":
        return support.models(**json.loads(config))
    given = {f"slipway:{key}": value for key, value in json.loads(config).items()}
    return render("platform.test", config=PLATFORM | given, images=support.IMAGES)


def cluster(rendered: Rendered, **metadata: Any) -> FakeCluster:
    """One that has every object of the stack, made by somebody else."""
    found = FakeCluster()
    for manifest in rendered.manifests:
        found.add_manifest(manifest, **{"managedFields": BY_KUBECTL, **metadata})
    return found


def state(rendered: Rendered, **fields: Any) -> dict[str, Any]:
    """What the engine remembers once it has made all of the stack."""
    return {
        "deployment": {"resources": [_known(r, **fields) for r in objects(rendered)]}
    }


def objects(rendered: Rendered) -> list[Any]:
    return [r for r in rendered.resources if manifests.is_object(r)]


def _known(resource: Any, **fields: Any) -> dict[str, Any]:
    metadata = resource.inputs["metadata"]
    parts = [metadata.get("namespace"), metadata["name"]]
    return {
        "urn": resource.urn,
        "type": resource.type,
        "custom": True,
        "id": "/".join(filter(None, parts)),
        "inputs": resource.inputs,
        **fields,
    }


def refused(
    rendered: Rendered, fake: FakeCluster, known: dict[str, Any] | None = None
) -> list[Any]:
    try:
        existing.refuse_foreign(rendered, known or {}, lambda: fake.api, lambda _: None)
    except SettingsError as error:
        return error.problems
    return []


def references(rendered: Rendered) -> list[str]:
    found = [(m["kind"], m["metadata"]) for m in rendered.manifests]
    parts = [(kind, meta.get("namespace"), meta["name"]) for kind, meta in found]
    return sorted("/".join(filter(None, part)) for part in parts)


@pytest.fixture(params=["platform", "models"])
def stack(request: pytest.FixtureRequest) -> Rendered:
    return made(request.param)


def test_every_object_of_every_stack_is_refused_if_others_made_it(
    stack: Rendered,
) -> None:
    problems = refused(stack, cluster(stack))
    assert sorted(p.path for p in problems) == references(stack)
    assert {p.value for p in problems} == {"managed by kubectl-create"}


def test_what_another_stack_made_is_refused_with_its_name(stack: Rendered) -> None:
    labels = {naming.STACK_LABEL: "models.other"}
    problems = refused(stack, cluster(stack, labels=labels))
    assert sorted(p.path for p in problems) == references(stack)
    assert all("belongs to the stack models.other" in p.reason for p in problems)


def test_labels_that_others_give_as_well_do_not_make_it_ours(stack: Rendered) -> None:
    labels = naming.labels("x", component="x")
    assert len(refused(stack, cluster(stack, labels=labels))) == len(stack.manifests)


def test_what_bears_the_stacks_label_is_its_own(stack: Rendered) -> None:
    """As after an interrupted run, a lost state, a destroy that keeps CRDs."""
    fake = cluster(stack, labels={naming.STACK_LABEL: stack.stack})
    said: list[str] = []
    existing.refuse_foreign(stack, {}, lambda: fake.api, said.append)
    assert len(said) == 1
    assert said[0].startswith(f"{stack.stack}: its own, and taken up again: ")
    assert said[0].endswith(f" and {len(stack.manifests) - 4} more")


def test_what_the_state_knows_is_not_asked_for(stack: Rendered) -> None:
    def reach() -> KubeApi:
        raise AssertionError("the cluster was asked")

    existing.refuse_foreign(stack, state(stack), reach, lambda _: None)


def test_a_creation_that_was_interrupted_is_left_to_its_repair(stack: Rendered) -> None:
    pending = [
        {"type": "creating", "resource": _known(r) | {"id": ""}} for r in objects(stack)
    ]
    known = {"deployment": {"pending_operations": pending}}
    assert refused(stack, cluster(stack), known) == []


def test_an_object_that_gets_a_new_name_is_asked_for() -> None:
    before = made("models")
    after = made("models", json.dumps({"models": {"theirs": support.EMPLOYMENT}}))
    moved = [known | {"urn": "x"} for known in state(before)["deployment"]["resources"]]
    problems = refused(after, cluster(after), {"deployment": {"resources": moved}})
    new = set(references(after)) - set(references(before))
    assert {p.path for p in problems} == new
    assert "Service/models/theirs" in new


def test_kinds_that_the_cluster_does_not_have_cannot_exist(stack: Rendered) -> None:
    fake = FakeCluster()
    assert refused(stack, fake) == []
    assert {path for _, path in fake.calls} == {
        f"/apis/{m['apiVersion']}" if "/" in m["apiVersion"] else "/api/v1"
        for m in stack.manifests
    }


def test_what_may_not_be_read_is_refused_and_not_passed_over(stack: Rendered) -> None:
    fake = cluster(stack)
    fake.forbidden = set(fake.objects)
    fake.objects.clear()
    problems = refused(stack, fake)
    assert sorted(p.path for p in problems) == references(stack)
    assert all("403 cannot get resource" in p.reason for p in problems)


def test_what_is_adopted_is_not_refused_but_kept_and_not_marked() -> None:
    adopted = references(made("models"))
    stack = made("models", json.dumps({"adopt": adopted}))
    assert refused(stack, cluster(stack)) == []
    for resource in objects(stack):
        assert resource.retain, resource.urn
        metadata = resource.inputs["metadata"]
        assert naming.STACK_LABEL not in metadata.get("labels", {})
        assert metadata["annotations"]["pulumi.com/patchForce"] == "true"


def test_adopting_one_object_leaves_the_others_as_they_were() -> None:
    stack = made("models", json.dumps({"adopt": ["Service/models/employment"]}))
    problems = refused(stack, cluster(stack))
    others = set(references(stack)) - {"Service/models/employment"}
    assert {p.path for p in problems} == others
    assert [r.urn.split("::")[-1] for r in objects(stack) if r.retain] == ["employment"]


@pytest.mark.parametrize(
    ("name", "reason", "fix"),
    [
        ("Service/models/employmnt", "declares no such object", "Service/models/empl"),
        ("Service/employment", "declares no such object", "Service/models/employment"),
        ("Widget/x", "declares no such object", "remove it"),
        ("employment", "not a reference", "give Kind/name"),
        ("service/models/employment", "not a reference", "give Kind/name"),
    ],
)
def test_to_adopt_what_the_stack_does_not_have_is_refused(
    name: str, reason: str, fix: str
) -> None:
    with pytest.raises(SettingsError) as error:
        made("models", json.dumps({"adopt": [name]}))
    (problem,) = error.value.problems
    assert problem.path == "adopt.0"
    assert reason in problem.reason
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("manager", "operation", "labels", "expected"),
    [
        ("pulumi-kubernetes-1a2b3c4d", "Apply", {}, True),
        ("pulumi-kubernetes-1a2b3c4d", "Apply", {naming.STACK_LABEL: "x"}, False),
        ("pulumi-kubernetes", "Update", {}, False),
        ("kubectl", "Apply", {}, False),
    ],
)
def test_pulumis_program_knows_its_own_of_earlier_versions(
    manager: str, operation: str, labels: dict[str, str], *, expected: bool
) -> None:
    fields = [{"manager": manager, "operation": operation}]
    metadata = {"name": "x", "labels": labels, "managedFields": fields}
    assert existing.applied_by_pulumi({"metadata": metadata}) is expected
    adopted = metadata | {"annotations": {"pulumi.com/patchForce": "true"}}
    assert not existing.applied_by_pulumi({"metadata": adopted})


def test_a_label_is_one_whatever_the_stack_is_called() -> None:
    names = ["models.prod", "models." + "x" * 70, "models." + "x" * 71, "a.b-", "a.b_"]
    labels = [ownership.label(name) for name in names]
    assert labels[0] == "models.prod"
    assert len({*labels}) == len(names)
    for label in labels:
        assert re.fullmatch("[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", label)


def test_what_is_no_longer_adopted_is_not_deleted_unasked(stack: Rendered) -> None:
    """Else to tidy the setting up would hand what others made to `destroy`."""
    known = state(stack, retainOnDelete=True)
    unmarked = cluster(stack)
    kept = {r.urn for r in objects(stack) if r.retain}
    assert len(refused(stack, unmarked, known)) == len(stack.manifests) - len(kept)
    marked = cluster(stack, labels={naming.STACK_LABEL: stack.stack})
    assert refused(stack, marked, known) == []


def test_all_of_a_stack_is_marked(stack: Rendered) -> None:
    for manifest in stack.manifests:
        assert manifest["metadata"]["labels"][naming.STACK_LABEL] == stack.stack


def test_the_refusal_says_what_to_do() -> None:
    stack = made("platform")
    fake = FakeCluster()
    wanted = ("Namespace/models", "ServiceAccount/kube-system/metrics-server")
    for manifest in stack.manifests:
        meta = manifest["metadata"]
        if (manifest["kind"], meta["name"]) in (
            ("Namespace", "models"),
            ("ServiceAccount", "metrics-server"),
        ):
            fake.add_manifest(manifest, managedFields=BY_KUBECTL)
    with pytest.raises(SettingsError) as error:
        existing.refuse_foreign(stack, {}, lambda: fake.api, lambda _: None)
    adopt = "to `adopt`, which takes it over and keeps it at `destroy`"
    reason = (
        "it exists and does not have the label of platform.test: `destroy` would "
        "delete an object that others created"
    )
    assert str(error.value) == (
        "stacks/config/Pulumi.platform.test.yaml: 2 problems, nothing was touched\n"
        f"  {wanted[0]}: 'managed by kubectl-create'\n"
        f"    reason: {reason}\n"
        f"    fix: give another name (namespaces.models), or add {wanted[0]} {adopt}\n"
        f"  {wanted[1]}: 'managed by kubectl-create'\n"
        f"    reason: {reason}\n"
        f"    fix: set metrics_server.enabled: false, or add {wanted[1]} {adopt}"
    )


@pytest.mark.parametrize("verb", ["up", "preview"])
def test_a_cluster_that_does_not_answer_stops_up_and_no_preview(verb: str) -> None:
    def reach() -> KubeApi:
        raise KubeApiError("the API server does not answer (no route)")

    said: list[str] = []
    arguments: Any = (verb, made("models"), {}, reach, said.append)
    if verb == "up":
        with pytest.raises(EngineError, match="could not be checked: the API"):
            existing.before(*arguments)
    else:
        existing.before(*arguments)
        assert "could not be checked" in said[0]


def test_no_content_of_a_secret_is_asked_for() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"metadata": {"name": "x"}})

    client = httpx.Client(base_url="https://x", transport=httpx.MockTransport(answer))
    path = "/api/v1/namespaces/models/secrets/x"
    assert KubeApi(client).metadata(path) == {"metadata": {"name": "x"}}
    assert "as=PartialObjectMetadata" in asked[0].headers["accept"]


@pytest.mark.parametrize("path", sorted({*existing.LEFT_OUT.values()}))
def test_the_settings_that_leave_a_part_out_are_real(path: str) -> None:
    model: Any = PlatformSettings
    for name in path.split("."):
        field = model.model_fields[name]
        model = field.annotation
    assert model is bool


def test_every_component_whose_objects_can_be_left_out_is_known() -> None:
    types = {r.type for r in made("platform").resources if not r.custom}
    always = {"slipway:platform:Manifest", "slipway:observability:PlatformRules"}
    assert types - always <= {*existing.LEFT_OUT, *existing.RENAMED}
