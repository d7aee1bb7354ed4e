"""Nodes that a change makes differ from their pool, by pool, and how quickly they go.

Karpenter replaces nodes that differ from their NodePool or EC2NodeClass, as many at
once as the pool's disruption budget allows. EKS replaces those of a managed node group
whose launch template or release changes. No cluster is asked: the numbers are the
bounds of the pools before the change.
https://karpenter.sh/docs/concepts/disruption/#drift
https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from components import catalog
from slipway import hidden_values
from slipway.preview.changes import is_same, shown
from slipway.preview.difference import Difference, differences
from slipway.preview.report import Drift
from slipway.rendering import manifests
from slipway.rendering.recorder import Resource

NODE_POOL, NODE_CLASS = ":NodePool", ":EC2NodeClass"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
EKS_DRAIN_SECONDS = 900
"""How long EKS waits for a node's pods before the update fails."""
DEFAULT_BUDGET = "10%"
"""Karpenter's own, where a pool gives none."""
_GROUP_PATHS = (
    "version",
    "releaseVersion",
    "launchTemplate",
    "diskSize",
    "nodeRoleArn",
)
"""Properties of a node group by which EKS makes nodes anew; labels and taints are set
on those that are there."""
_TEMPLATE_OWN = ("tags", "name", "updateDefaultVersion")
"""Properties of a launch template of which there is no new version."""
_INSTANCE_TYPE = "node.kubernetes.io/instance-type"
_UNITS = {"s": 1, "m": 60, "h": 3600}
_Objects = dict[str, Resource]


def drifts(
    stack: str,
    base: Sequence[Resource],
    head: Sequence[Resource],
    replaced: Iterable[str] = (),
) -> Iterator[Drift]:
    """Pools there before and after whose nodes no longer are as the pool says.

    `replaced`: node groups that are replaced as a whole, by name.
    """
    yield from _of_karpenter(stack, base, head)
    yield from _of_groups(stack, base, head, set(replaced))


def _of_karpenter(
    stack: str, base: Sequence[Resource], head: Sequence[Resource]
) -> Iterator[Drift]:
    pools, later = _named(base, NODE_POOL), _named(head, NODE_POOL)
    classes, later_classes = _named(base, NODE_CLASS), _named(head, NODE_CLASS)
    for name in sorted(pools.keys() & later.keys()):
        found = [*_of_template(pools[name], later[name])]
        own = _class_name(pools[name])
        if own == _class_name(later[name]) and {own} <= classes.keys() & later_classes:
            found += _of_class(classes[own], later_classes[own])
        if found:
            spec = _mapping(later[name].inputs, "spec")
            most = _most_nodes(_mapping(pools[name].inputs, "spec"))
            seconds = _seconds(
                _mapping(spec, "template", "spec").get("terminationGracePeriod")
            )
            budgets = _budgets(spec)
            yield Drift(
                stack=stack,
                pool=name,
                kind="NodePool",
                nodes_min=0,
                nodes_max=most,
                at_once=" and ".join(budgets),
                drain_seconds=seconds,
                longest_seconds=_longest(most, budgets, seconds),
                changes=shown(found),
            )


def _of_template(before: Resource, after: Resource) -> Iterator[Difference]:
    """Return what a node has from its NodePool and no longer matches."""
    if is_same(before, after):
        return
    old, new = (_mapping(r.inputs, "spec", "template") for r in (before, after))
    path = "spec.template"
    for found in differences(old, new, path):
        if not found.path.startswith(f"{path}.spec.requirements"):
            yield found
    wanted = [_requirements(_mapping(one, "spec")) for one in (old, new)]
    for key, values in wanted[1].items():
        known = wanted[0].get(key)
        if known is None or not _is_wider(known, values):
            place = f"{path}.spec.requirements[{key}]"
            yield Difference(place, known and known[1], values[1])


_Requirement = tuple[str, list[str]]
"""Operator and values."""


def _is_wider(known: _Requirement, wanted: _Requirement) -> bool:
    """Return whether each node that matched the one still matches the other."""
    if known[0] != wanted[0] or known[0] != "In":
        return known == wanted
    return set(known[1]) <= set(wanted[1])


def _requirements(spec: Mapping[str, Any]) -> dict[str, _Requirement]:
    """Operator and values by key."""
    return {
        str(one.get("key")): (str(one.get("operator", "In")), _texts(one.get("values")))
        for one in _items(spec.get("requirements"))
    }


def _of_class(before: Resource, after: Resource) -> list[Difference]:
    if is_same(before, after):
        return []
    old, new = (
        _mapping(hidden_values.hidden(one.inputs), "spec") for one in (before, after)
    )
    return list(differences(old, new, "spec"))


def _most_nodes(spec: Mapping[str, Any]) -> int | None:
    """Nodes that the pool's limits admit; None if that is not known.

    Each of the limits holds, so the least of what they admit of the smallest type.
    """
    limits = _mapping(spec, "limits")
    if str(limits.get("nodes", "")).isdecimal():
        return int(limits["nodes"])
    wanted = _requirements(_mapping(spec, "template", "spec"))
    operator, names = wanted.get(_INSTANCE_TYPE, ("In", []))
    if operator != "In":
        return None
    try:
        types = [catalog.instance_type(name) for name in names]
    except catalog.UnknownInstanceTypeError:
        return None
    needs = {
        "cpu": [t.vcpus for t in types],
        "nvidia.com/gpu": [t.gpu.count for t in types if t.gpu],
    }
    found = [
        int(limits[name]) // int(min(some))
        for name, some in needs.items()
        if some and min(some) >= 1 and str(limits.get(name, "")).isdecimal()
    ]
    return min(found, default=None)


def _budgets(spec: Mapping[str, Any]) -> list[str]:
    """Nodes at once, of each budget that is about drift."""
    found = [
        f"{one.get('nodes', DEFAULT_BUDGET)}"
        + (f" during {one['schedule']}" if one.get("schedule") else "")
        for one in _items(_mapping(spec, "disruption").get("budgets"))
        if not one.get("reasons") or "Drifted" in _texts(one["reasons"])
    ]
    return found or [DEFAULT_BUDGET]


def _longest(most: int | None, budgets: list[str], seconds: int | None) -> int | None:
    """Time of all drains together; None if it has no bound that is known."""
    numbers = [int(text) for text in budgets if text.isdecimal()]
    if most is None or seconds is None or len(numbers) < len(budgets) or 0 in numbers:
        return None
    return -(-most // min(numbers)) * seconds


def _of_groups(
    stack: str, base: Sequence[Resource], head: Sequence[Resource], replaced: set[str]
) -> Iterator[Drift]:
    groups, later = _typed(base, NODE_GROUP), _typed(head, NODE_GROUP)
    templates, later_templates = _typed(base, TEMPLATE), _typed(head, TEMPLATE)
    for name in sorted(groups.keys() & later.keys()):
        before, after = groups[name], later[name]
        found = [
            one
            for one in differences(before.inputs, after.inputs)
            if one.path.startswith(_GROUP_PATHS)
        ]
        own = _template_name(after)
        if own in templates and own in later_templates:
            found += _of_launch(templates[own], later_templates[own])
        if found or name in replaced:
            yield _group(stack, before, after, found, whole=name in replaced)


def _group(
    stack: str,
    before: Resource,
    after: Resource,
    found: Sequence[Difference],
    *,
    whole: bool,
) -> Drift:
    size = _mapping(before.inputs, "scalingConfig")
    least, most = (_number(size.get(key)) for key in ("minSize", "maxSize"))
    update = _mapping(after.inputs, "updateConfig")
    share = update.get("maxUnavailablePercentage")
    at_once = f"{share}%" if share else str(update.get("maxUnavailable", 1))
    at_once = "all" if whole else at_once
    drain = EKS_DRAIN_SECONDS
    return Drift(
        stack=stack,
        pool=str(after.inputs.get("nodeGroupName", after.name)),
        kind="NodeGroup",
        nodes_min=least or 0,
        nodes_max=most,
        at_once=at_once,
        drain_seconds=drain,
        longest_seconds=drain if whole else _longest(most, [at_once], drain),
        changes=shown(found),
    )


def _of_launch(before: Resource, after: Resource) -> list[Difference]:
    if is_same(before, after):
        return []
    pair = (hidden_values.hidden(r.inputs) for r in (before, after))
    return [
        Difference(f"launchTemplate.{one.path}", one.before, one.after)
        for one in differences(*pair)
        if one.path.partition(".")[0] not in _TEMPLATE_OWN
    ]


def _template_name(group: Resource) -> str:
    """The name in the stack of the template, by its placeholder in a rendering."""
    return str(_mapping(group.inputs, "launchTemplate").get("id")).removesuffix("-id")


def _class_name(pool: Resource) -> str:
    found = _mapping(pool.inputs, "spec", "template", "spec", "nodeClassRef")
    return str(found.get("name"))


def _named(resources: Iterable[Resource], ending: str) -> _Objects:
    return {
        manifests.shown_name(r): r
        for r in resources
        if r.type.endswith(ending) and "karpenter" in r.type and r.custom
    }


def _typed(resources: Iterable[Resource], type_: str) -> _Objects:
    return {r.name: r for r in resources if r.type == type_}


def _seconds(text: Any) -> int | None:
    """A duration of Go's such as 1h30m; None if it is none."""
    if not isinstance(text, str) or not re.fullmatch(r"([0-9]{1,9}[smh])+", text):
        return None
    parts = re.findall(r"([0-9]+)([smh])", text)
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def _number(value: Any) -> int | None:
    return int(value) if str(value).isdecimal() else None


def _items(value: Any) -> list[Mapping[str, Any]]:
    found = value if isinstance(value, list) else []
    return [one for one in found if isinstance(one, dict)]


def _texts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _mapping(value: Any, *path: str) -> Mapping[str, Any]:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
