"""What `slipway compare` is made of: differences, replacement, pods, Markdown."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from slipway.preview import markdown, pods, replacement, report, traffic
from slipway.preview.changes import stack_report
from slipway.preview.difference import Difference, differences, texts
from slipway.preview.items import code, items
from slipway.preview.report import Item, PathChange, Report, StackReport
from slipway.preview.verdict import with_verdict
from slipway.rendering.recorder import Resource
from tests.support.rendered import EMPLOYMENT, models
from toolchain import paths

STACK = "models.test"


def resource(type_: str, name: str = "a", urn: str = "", **inputs: Any) -> Resource:
    return Resource(
        urn=urn or f"{type_}::{name}", type=type_, name=name, inputs=inputs, custom=True
    )


def of_cluster(kind: str, **inputs: Any) -> Resource:
    metadata = {"name": "a", "namespace": "n"} | inputs.pop("metadata", {})
    return resource(f"kubernetes:{kind}", metadata=metadata, **inputs)


def only(base: Resource, head: Resource) -> Item:
    found = stack_report(STACK, [base], [head]).items
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 1, 2)]),
        ({"a": 1}, {}, [("a", 1, None)]),
        ({"a": True}, {"a": 1}, [("a", True, 1)]),
        ({"a": [1, 2]}, {"a": [1, 3]}, [("a[1]", 2, 3)]),
        ({"a": [1]}, {"a": [1, 2]}, [("a", [1], [1, 2])]),
        (
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]},
            [("env[B]", None, {"name": "B", "value": "2"})],
        ),
        (
            [{"name": "A"}, {"name": "B"}],
            [{"name": "B"}, {"name": "A"}],
            [("", ["A", "B"], ["B", "A"])],
        ),
    ],
)
def test_differences_have_the_deepest_path(before: Any, after: Any, found: Any) -> None:
    assert list(differences(before, after)) == [Difference(*one) for one in found]


def test_values_are_said_in_a_few_words() -> None:
    assert texts(None, True) == ("none", "true")
    assert texts(["a", "b"], {"c": 1}) == ('["a", "b"]', '{"c": 1}')
    assert texts("x" * 81, ["x" * 81]) == ("a text of 81 characters", "a list of 1")
    assert texts({"a": "x" * 81}, 10) == ("a mapping of 1", "10")
    assert texts("a\nb\nc\n", "a\nc\nd\n") == ("3 lines", "3 lines (+1 -1)")


SELECTOR = {"selector": {"matchLabels": {"app": "a"}}}
OTHER = {"selector": {"matchLabels": {"app": "b"}}}


@pytest.mark.parametrize(
    ("kind", "before", "after", "action"),
    [
        ("apps/v1:Deployment", {"spec": SELECTOR}, {"spec": OTHER}, "replaced"),
        ("apps/v1:Deployment", {"spec": {"paused": True}}, {"spec": {}}, "changed"),
        (
            "apps/v1:StatefulSet",
            {"spec": {"volumeClaimTemplates": [{"spec": {"size": 1}}]}},
            {"spec": {"volumeClaimTemplates": [{"spec": {"size": 2}}]}},
            "replaced",
        ),
        ("core/v1:ConfigMap", {"data": {"a": "1"}}, {"data": {"a": "2"}}, "changed"),
        (
            "core/v1:ConfigMap",
            {"data": {"a": "1"}, "immutable": True},
            {"data": {"a": "2"}, "immutable": True},
            "replaced",
        ),
        ("core/v1:Secret", {"type": "Opaque"}, {"type": "other"}, "replaced"),
        ("core/v1:Pod", {"spec": {"a": 1}}, {"spec": {"a": 2}}, "unknown"),
        ("keda.sh/v1:ScaledObject", {"spec": {"a": 1}}, {"spec": {"a": 2}}, "changed"),
        (
            "keda.sh/v1:ScaledObject",
            {"metadata": {"namespace": "n"}},
            {"metadata": {"namespace": "m"}},
            "replaced",
        ),
    ],
)
def test_kubernetes_objects_are_replaced_as_their_provider_does(
    kind: str, before: Any, after: Any, action: str
) -> None:
    assert only(of_cluster(kind, **before), of_cluster(kind, **after)).action == action


NODES = "aws:eks/nodeGroup:NodeGroup"


def test_what_is_not_known_of_aws_is_said() -> None:
    def group(**inputs: Any) -> Resource:
        return resource(NODES, **inputs)

    assert only(group(amiType="a"), group(amiType="b")).action == "replaced"
    assert only(group(labels={"a": "1"}), group(labels={})).action == "changed"
    unknown = only(group(somethingNew=1), group(somethingNew=2))
    assert (unknown.action, unknown.reason) == (
        "unknown",
        "may be replaced: not known (somethingNew)",
    )
    queue = "aws:sqs/queue:Queue"
    tagged = resource(queue, tags={"a": "1"}), resource(queue, tags={"a": "2"})
    assert only(*tagged).labels_only
    sized = resource(queue, size=1), resource(queue, size=2)
    assert only(*sized).action == "unknown"


def test_the_table_has_source_and_date() -> None:
    for provider in ("kubernetes", "aws"):
        held = replacement.table()[provider]
        assert held["source"]
        assert str(held["date"]).startswith("2026-")
    for name, found in replacement.table()["aws"]["types"].items():
        assert name.startswith("aws:")
        assert found.keys() <= {"replace", "update"}, name
        assert not {*found.get("replace", ())} & {*found.get("update", ())}, name


def test_a_secret_is_only_said_to_have_changed() -> None:
    before, after = (
        replace(of_cluster("core/v1:Secret", data={"key": value}), has_secrets=True)
        for value in ("b2xkLXZhbHVl", "bmV3LXZhbHVl")
    )
    found = stack_report(STACK, [before], [after])
    assert [(i.action, i.secret, i.changes) for i in found.items] == [
        ("changed", True, ())
    ]
    text = json.dumps(dataclasses.asdict(found)) + markdown.text(of(found))
    assert "b2xk" not in text
    assert "bmV3" not in text
    assert "secret values" in text


HUSH = "a-value-that-nobody-may-see"


def variables(**values: str) -> dict[str, Any]:
    return {"env": [{"name": name, "value": text} for name, text in values.items()]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"data": {"DB_PASSWORD": "a"}}, {"data": {"DB_PASSWORD": HUSH}}),
        ({"data": {"DB_PASSWORD": HUSH}}, {"data": {}}),
        (variables(PASSWORD="a"), variables(PASSWORD=HUSH)),
        (variables(PORT="80"), variables(PORT="80", API_TOKEN=HUSH)),
        ({}, variables(API_TOKEN=HUSH)),
        ({"url": "a"}, {"url": f"postgres://me:{HUSH}@host/db"}),
        ({"key": "a"}, {"key": f"AKIA{HUSH.upper().replace('-', '')[:16]}"}),
        ({"text": "a"}, {"text": f"password={HUSH} other=b"}),
    ],
)
def test_no_value_is_shown_that_looks_like_a_secret(before: Any, after: Any) -> None:
    """Nobody marked them, as in a ConfigMap: as `slipway drift` hides them."""
    kind = "core/v1:ConfigMap"
    item = only(of_cluster(kind, **before), of_cluster(kind, **after))
    found = json.dumps(dataclasses.asdict(item))
    assert "[redacted]" in found
    assert HUSH not in found
    assert "AKIA" not in found


def test_no_value_of_a_secret_is_shown_that_is_not_marked() -> None:
    before, after = (of_cluster("core/v1:Secret", data={"a": v}) for v in ("b", HUSH))
    item = only(before, after)
    assert (item.secret, item.changes) == (True, ())


def test_a_secret_that_differs_is_a_change() -> None:
    kind = "core/v1:ConfigMap"
    before, after = (of_cluster(kind, data={"TOKEN": v}) for v in ("a", "b"))
    (change,) = only(before, after).changes
    assert (change.path, change.before) == ("data.TOKEN", "[redacted]")


def test_why_pods_restart_shows_no_secret() -> None:
    def one(value: str) -> Resource:
        container = {"name": "c", **variables(API_TOKEN=value)}
        template = {"spec": {"containers": [container]}}
        return of_cluster("apps/v1:Deployment", spec={"template": template})

    (found,) = pods.restarts(STACK, [one("a")], [one(HUSH)])
    (change,) = found.changes
    assert change.path.endswith("env[API_TOKEN].value")
    assert (change.before, change.after) == ("[redacted]", "[redacted]")


def test_what_another_controller_writes_is_no_change() -> None:
    before, after = (
        replace(
            of_cluster("apps/v1:Deployment", spec={"replicas": number}),
            ignore_changes=("spec.replicas",),
        )
        for number in (2, 3)
    )
    assert stack_report(STACK, [before], [after]).items == ()


def test_the_same_object_under_another_urn_is_moved() -> None:
    before = of_cluster("core/v1:Service", spec={"a": 1})
    after = replace(before, urn="another")
    found = only(before, after)
    assert found.action == "moved"
    assert "without an alias" in found.reason


def of(*stacks: StackReport, **fields: Any) -> Report:
    given = {"restarts": (), "traffic": (), "bills": (), "secrets": ()} | fields
    return with_verdict(
        Report("base", "head", "base", "locked", "nothing", "", stacks, **given)
    )


def labelled(number: int) -> StackReport:
    change = PathChange("metadata.labels.app.kubernetes.io/version", "1", "2")
    kind = "kubernetes:core/v1:Service"
    items = [
        Item(STACK, kind, f"n/{i}", "changed", changes=(change,), labels_only=True)
        for i in range(number)
    ]
    return StackReport(STACK, "both", tuple(items))


def test_label_only_changes_are_one_line() -> None:
    found = of(labelled(30))
    assert found.level == "calm"
    assert found.verdict == "Changes labels of 30 resources."
    lines = [
        line for line in markdown.text(found).splitlines() if "labels only" in line
    ]
    assert lines == [
        "- 30 changed in labels only: `app.kubernetes.io/version` `1` → `2`"
    ]


def test_labels_of_a_namespace_are_more_than_labels() -> None:
    space = "core/v1:Namespace"
    enforce = "pod-security.kubernetes.io/enforce"
    before = of_cluster(space, metadata={"labels": {enforce: "restricted"}})
    after = of_cluster(space, metadata={"labels": {enforce: "privileged"}})
    assert not only(before, after).labels_only


def test_names_cannot_format_the_report() -> None:
    name = "a`@everyone\n# <script> | b"
    item = Item(STACK, "kubernetes:core/v1:Service", name, "deleted")
    text = markdown.text(of(StackReport(STACK, "both", (item,))))
    assert "`a'@everyone # <script> ¦ b`" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [("", '`""`'), (" ", '`" "`'), ("\n", '`" "`'), (0, "`0`"), ("a", "`a`")],
)
def test_an_empty_text_is_seen(value: Any, shown: str) -> None:
    assert code(value) == shown


def test_a_long_report_is_cut_and_says_so() -> None:
    items = [
        Item(STACK, "kubernetes:core/v1:Service", f"n/{i}", "created")
        for i in range(2000)
    ]
    found = of(StackReport(STACK, "both", tuple(items)))
    text = markdown.text(found, 5000)
    assert len(text) <= 5000
    assert text.startswith("### ✅ Creates 2000 resources.")
    assert text.endswith("the JSON report has the rest.*\n")
    assert text.count("<details>") == text.count("</details>") == 1
    assert "Cut here" not in markdown.text(found, 500_000)


def workload(kind: str, image: str, **spec: Any) -> Resource:
    template = {"spec": {"containers": [{"name": "c", "image": image}]}}
    return of_cluster(f"apps/v1:{kind}", spec={"template": template} | spec)


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("Deployment", {"replicas": 3}, (3, 3, "RollingUpdate", "25%", "25%")),
        (
            "Deployment",
            {"strategy": {"type": "Recreate"}},
            (1, 1, "Recreate", "0", "all"),
        ),
        ("StatefulSet", {"replicas": 2}, (2, 2, "RollingUpdate", "0", "1")),
        ("DaemonSet", {}, (None, None, "RollingUpdate", "0", "1")),
    ],
)
def test_how_pods_are_restarted(kind: str, spec: Any, expected: Any) -> None:
    sides = [workload(kind, "a", **spec)], [workload(kind, "b", **spec)]
    (one,) = pods.restarts(STACK, *sides)
    found = (
        one.replicas_min,
        one.replicas_max,
        one.strategy,
        one.surge,
        one.unavailable,
    )
    assert found == expected
    assert one.drain_seconds == pods.GRACE_SECONDS
    assert [c.path for c in one.changes] == ["spec.template.spec.containers[c].image"]


def test_a_replaced_workload_stops_all_its_pods() -> None:
    sides = [workload("Deployment", "a")], [workload("Deployment", "a")]
    assert list(pods.restarts(STACK, *sides)) == []
    (one,) = pods.restarts(STACK, *sides, [("Deployment", "n/a")])
    assert (one.strategy, one.unavailable) == ("Replaced", "all")


def with_limit(millicores: int) -> Sequence[Resource]:
    resources = {"cpu_limit_millicores": millicores}
    return models(models={"m": EMPLOYMENT | {"resources": resources}}).resources


def test_a_model_restarts_with_the_bounds_of_its_scaler() -> None:
    (one,) = pods.restarts(STACK, with_limit(1000), with_limit(2000))
    assert (one.replicas_min, one.replicas_max) == (2, 4)


def route(**weights: int) -> Resource:
    backends = [{"name": n, "weight": w} for n, w in weights.items()]
    rule = {"matches": [{"path": {"value": "/m"}}], "backendRefs": backends}
    kind = "gateway.networking.k8s.io/v1:HTTPRoute"
    return of_cluster(kind, spec={"rules": [rule]})


def test_shares_of_traffic_are_of_the_weights_sum() -> None:
    found = traffic.moved(STACK, [route(a=1, b=1)], [route(a=3, b=1)])
    assert [(s.rule, s.backend, s.before, s.after) for s in found] == [
        ("/m", "a", 50, 75),
        ("/m", "b", 50, 25),
    ]
    assert not list(traffic.moved(STACK, [route(a=1, b=1)], [route(a=5, b=5)]))


def test_the_schema_has_the_fields_of_the_report() -> None:
    schema = json.loads((paths.ROOT / "docs/reference/compare.schema.json").read_text())
    described = schema["$defs"] | {"Report": schema}
    for name, found in described.items():
        own = {field.name for field in dataclasses.fields(getattr(report, name))}
        assert set(found["properties"]) - {"schema_version", "changed"} == own, name
        assert set(found["required"]) == set(found["properties"]), name


def test_many_resources_with_one_reason_share_a_line() -> None:
    def item(kind: str, name: str, reason: str) -> report.Item:
        type_ = f"kubernetes:core/v1:{kind}"
        return report.Item("models.lab", type_, name, "moved", reason=reason)

    two = [item("Service", name, "rare") for name in ("a", "b")]
    many = [item(kind, n, "alias") for kind in ("Pod", "Service") for n in ("a", "b")]
    assert [*items("Moved", [*two, *many])][2:] == [
        "- `models.lab` `Service` `a`: `rare`",
        "- `models.lab` `Service` `b`: `rare`",
        "- `models.lab`, 4 resources: `alias`",
        "  - `Pod` `a`, `b`",
        "  - `Service` `a`, `b`",
    ]
    silent = [item("Pod", name, "") for name in ("a", "b", "c")]
    assert [*items("Created", silent)][2:] == [
        f"- `models.lab` `Pod` `{name}`" for name in ("a", "b", "c")
    ]
