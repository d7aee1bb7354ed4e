"""A resource that the engine has read, as an item of the report.

The engine names the drifted properties: it asks the provider what an update of the
unchanged program would change. The values are those of the state and those that it
read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pulumi.automation.events import StepEventMetadata, StepEventStateMetadata

from slipway import hidden_values
from slipway.engine import steps
from slipway.preview import changes, replacement
from slipway.preview.difference import Difference, differences
from slipway.preview.report import Item
from slipway.rendering import manifests

UNKNOWN = "not known"
_PART = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|\.?([^.\[\]]+)')


def item(stack: str, step: StepEventMetadata) -> Item | None:
    """Return the resource's drift; None without drift."""
    verdict = steps.VERDICTS[step.op.value]
    old = step.old or steps.known(step)
    before = steps.resource(old)
    if verdict == "deleted":
        return changes.single(stack, before, "deleted")
    if verdict != "changed":
        return None
    now = steps.known(step)
    after = steps.resource(now)
    hidden = changes.is_secret(before) or changes.is_secret(after)
    found = list(_differences(step, old, now))
    judged = replacement.judge(before, after, [one.path for one in found])
    replaced = steps.replacing(step)
    if not replaced and judged.certainty == "replaced":
        replaced = list(judged.paths)
    return Item(
        stack=stack,
        type=after.type,
        name=manifests.shown_name(before),
        action="changed",
        reason=_reason(replaced, hidden=hidden),
        changes=() if hidden else changes.shown(found),
        secret=hidden,
        holds_data=replacement.holds_data(before),
        protection="kept" if before.protect else "",
        retained=before.retain,
    )


def _reason(replaced: list[str], *, hidden: bool) -> str:
    """Return how an update restores the resource, if not in place."""
    if not replaced:
        return ""
    what = "its secret values" if hidden else ", ".join(replaced)
    return f"{what} cannot be put right in place: an update replaces it"


def _differences(
    step: StepEventMetadata, old: StepEventStateMetadata, new: StepEventStateMetadata
) -> Iterator[Difference]:
    """Return the deepest differences at or below the paths that the provider names.

    Each is from the first pair of values that differs: declared values are inputs, and
    the provider also compares outputs.
    """
    inputs = [hidden_values.hidden(of.inputs) for of in (old, new)]
    outputs = [hidden_values.hidden(of.outputs) for of in (old, new)]
    pairs = (inputs, outputs, (inputs[0], outputs[1]))
    for path in steps.paths(step):
        keys = list(_keys(path))
        for before, after in pairs:
            values = _value(before, keys), _value(after, keys)
            if found := list(differences(*values, _joined(keys))):
                yield from found
                break
        else:
            yield Difference(_joined(keys), UNKNOWN, UNKNOWN)


def _keys(path: str) -> Iterator[str | int]:
    """Parts of a path: `spec.containers[0].env`, `metadata.labels["a.b/c"]`."""
    for quoted, number, plain in _PART.findall(path):
        yield quoted.replace('\\"', '"') or plain or int(number)


def _joined(keys: list[str | int]) -> str:
    """Return the path in the form of `slipway compare`."""
    text = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in keys)
    return text.removeprefix(".")


def _value(properties: Any, keys: list[str | int]) -> Any:
    """Return the value there; None without one."""
    found = properties
    for key in keys:
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            return None
    return found
