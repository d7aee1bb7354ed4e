"""Resources of a stack before and after, matched and compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from slipway import hidden_values
from slipway.preview import replacement
from slipway.preview.difference import Difference, differences, texts
from slipway.preview.report import Item, PathChange, StackReport
from slipway.redaction import redact
from slipway.rendering import manifests
from slipway.rendering.recorder import AWS, Resource

SECRET = "kubernetes:core/v1:Secret"  # noqa: S105
Pair = tuple[Resource, Resource]
_LABELS = ("metadata.labels.", "metadata.annotations.", "tags.")
_MEANING = ("Namespace", "ValidatingAdmissionPolicyBinding")
"""Kinds whose labels decide what is allowed in them."""


def stack_report(
    stack: str, base: Sequence[Resource] | None, head: Sequence[Resource] | None
) -> StackReport:
    """Compare the resources of one stack; None: the side has no such stack."""
    before, after = _own(base or ()), _own(head or ())
    both = sorted(before.keys() & after.keys())  # a set has another order each time
    pairs = [(before[urn], after[urn]) for urn in both]
    gone = [r for urn, r in before.items() if urn not in after and _is_made(r)]
    new = [r for urn, r in after.items() if urn not in before and _is_made(r)]
    moved = _moved(gone, new)
    kept = {r.urn for pair in moved for r in pair}
    items = [
        *(single(stack, r, "deleted") for r in gone if r.urn not in kept),
        *(single(stack, r, "created") for r in new if r.urn not in kept),
        *(_move(stack, *pair) for pair in moved),
        *_changed(stack, pairs),
    ]
    presence: Literal["both", "base", "head"] = "both"
    if base is None or head is None:
        presence = "base" if head is None else "head"
    return StackReport(
        stack=stack,
        presence=presence,
        items=tuple(sorted(items, key=lambda item: (item.type, item.name))),
        options_only=sum(_only_options(*pair) for pair in pairs),
    )


def _own(resources: Iterable[Resource]) -> dict[str, Resource]:
    """Resources that a provider makes, and providers, by URN."""
    return {r.urn: r for r in resources if r.custom}


def _is_made(resource: Resource) -> bool:
    """Return whether it has a provider; only the engine knows others."""
    return not resource.type.startswith("pulumi:")


def _moved(gone: Sequence[Resource], new: Sequence[Resource]) -> list[Pair]:
    """Kubernetes objects that are there before and after, under different URNs."""
    places = {_identity(r): r for r in new if manifests.is_object(r)}
    found = ((r, places.get(_identity(r))) for r in gone if manifests.is_object(r))
    return [(before, after) for before, after in found if after is not None]


def _identity(resource: Resource) -> tuple[str, ...]:
    return manifests.identity(manifests.content(resource))


def single(stack: str, resource: Resource, action: Any) -> Item:
    """Compare the resource as a whole."""
    return Item(
        stack=stack,
        type=resource.type,
        name=manifests.shown_name(resource),
        action=action,
        secret=is_secret(resource),
        holds_data=replacement.holds_data(resource),
        protection="kept" if resource.protect else "",
        retained=resource.retain,
    )


def _move(stack: str, before: Resource, after: Resource) -> Item:
    reason = (
        "the same object under another URN: without an alias the engine deletes it "
        "after it has made it"
    )
    item = single(stack, after, "moved")
    return replace(item, reason=reason, changes=_shown(before, after))


def is_same(before: Resource, after: Resource) -> bool:
    """Return whether both request the same; an older side has no digests."""
    return bool(before.digest) and before.digest == after.digest


def of_inputs(before: Resource, after: Resource) -> list[Difference]:
    """Return the differences of inputs, without fields that others own."""
    if is_same(before, after):
        return []
    ignored = set(after.ignore_changes) & set(before.ignore_changes)
    return [
        found
        for found in differences(before.inputs, after.inputs)
        if not found.path.startswith("__")
        and not replacement.covered(found.path, ignored)
    ]


def is_secret(resource: Resource) -> bool:
    """Return whether none of its values may be shown, marked as secret or not."""
    return resource.has_secrets or resource.type == SECRET


def _shown(before: Resource, after: Resource) -> tuple[PathChange, ...]:
    if is_secret(before) or is_secret(after):
        return ()
    hidden = (
        replace(r, inputs=hidden_values.hidden(r.inputs)) for r in (before, after)
    )
    return shown(of_inputs(*hidden))


def shown(found: Iterable[Difference]) -> tuple[PathChange, ...]:
    """Differences with their values in words, and none that looks like a secret.

    Only a whole resource has the names of its values: `hidden_values.hidden` is for the
    caller, before it looks for differences.
    """
    return tuple(_change(one) for one in found)


def _change(one: Difference) -> PathChange:
    before, after = map(hidden_values.shown, (one.before, one.after))
    return PathChange(one.path, *map(redact, texts(before, after)))


def _changed(stack: str, pairs: Sequence[Pair]) -> Iterator[Item]:
    """Pairs that differ in their inputs or protection, and what goes with them."""
    judged = {after.urn: _judged(before, after) for before, after in pairs}
    _follow(pairs, judged)
    for before, after in pairs:
        found = of_inputs(before, after)
        judgement, cause = judged[after.urn]
        if found or cause or before.protect != after.protect:
            yield _item(stack, (before, after), judgement, cause)


_Judged = tuple[replacement.Judgement, str]
"""With what else is replaced and takes this along."""


def _judged(before: Resource, after: Resource) -> _Judged:
    paths = [found.path for found in of_inputs(before, after)]
    return replacement.judge(before, after, paths), ""


def _follow(pairs: Sequence[Pair], judged: dict[str, _Judged]) -> None:
    """Judges what refers to a replaced resource of AWS.

    A rendering has the same placeholder for the identifier before and after, but a new
    resource has a new one. Goes on until nothing more is replaced.
    """
    of_aws = [pair for pair in pairs if pair[1].type.startswith(AWS)]
    replaced = [b for _, b in of_aws if judged[b.urn][0].certainty == "replaced"]
    while replaced:
        cause = replaced.pop()
        for before, after in of_aws:
            if cause.urn not in after.depends_on:
                continue
            paths = list(_references(after.inputs, cause, ""))
            judgement = replacement.judge(before, after, paths)
            if paths and _rank(judgement) > _rank(judged[after.urn][0]):
                judged[after.urn] = judgement, cause.name
                if judgement.certainty == "replaced":
                    replaced.append(after)


def _rank(judgement: replacement.Judgement) -> int:
    return ("updated", "unknown", "replaced").index(judgement.certainty)


def _references(value: Any, cause: Resource, path: str) -> Iterator[str]:
    """Paths in the inputs where the identifier or the ARN of `cause` stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _references(inner, cause, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _references(inner, cause, f"{path}[{index}]")
    elif value in _identifiers(cause) and _is_for(path, cause):
        yield path


def _is_for(path: str, cause: Resource) -> bool:
    """Whether the property's name is that of a reference to such a resource.

    A subnet and its route table may have one name, and then one placeholder.
    `subnetIds[0]`, `nodeRoleArn` and `launchTemplate.id` name what they refer to.
    """
    words = re.sub(r"\[\d+\]|\.(id|arn)$|(Id|Ids|Arn|Arns)(?=$|\[)", "", path)
    named, kind = (
        text.rpartition(".")[2].rpartition(":")[2].lower()
        for text in (words, cause.type)
    )
    return named.endswith(kind) or kind.endswith(named)


def _identifiers(resource: Resource) -> tuple[str, str]:
    """Return its placeholders in a rendering (slipway/rendering/recorder.py)."""
    service = resource.type.removeprefix(AWS).partition("/")[0]
    return f"{resource.name}-id", f"arn:aws:{service}:::{resource.name}"


def _item(stack: str, pair: Pair, judgement: replacement.Judgement, cause: str) -> Item:
    before, after = pair
    changes = _shown(before, after)
    action = {"replaced": "replaced", "unknown": "unknown", "updated": "changed"}
    secret = is_secret(before) or is_secret(after)
    return replace(
        single(stack, after, action[judgement.certainty]),
        reason=_reason(judgement, cause, secret),
        changes=changes,
        secret=secret,
        labels_only=_labels_only(before, after),
        protection=_protection(before, after),
    )


def _reason(judgement: replacement.Judgement, cause: str, secret: bool) -> str:
    if judgement.certainty == "updated":
        return ""
    paths = "its secret values" if secret else ", ".join(judgement.paths)
    if judgement.certainty == "unknown":
        why = f", as {cause} is replaced" if cause else ""
        return f"{replacement.UNKNOWN} ({paths}{why})"
    if cause:
        return f"{paths}: {cause} is replaced"
    return f"{paths} cannot be updated in place"


def _protection(before: Resource, after: Resource) -> Any:
    if before.protect == after.protect:
        return "kept" if after.protect else ""
    return "added" if after.protect else "removed"


def _labels_only(before: Resource, after: Resource) -> bool:
    found = of_inputs(before, after)
    kind = after.type.rpartition(":")[2]
    return (
        bool(found)
        and before.protect == after.protect
        and kind not in _MEANING
        and all(difference.path.startswith(_LABELS) for difference in found)
    )


def _only_options(before: Resource, after: Resource) -> bool:
    return (
        before.digest != after.digest
        and before.inputs == after.inputs
        and before.protect == after.protect
    )
