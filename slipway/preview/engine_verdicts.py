"""The engine's preview of head, merged into the report on the renderings.

The renderings compare what base and head declare. The engine compares head with the
state, and asks the provider. Where base is what was applied, both see the same changes.
Where they do not, the report says so of each resource and decides for none, with one
exception: whether a resource is replaced that may be, the engine knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slipway.preview.report import (
    Disagreement,
    Item,
    Previewed,
    Rendered,
    Report,
    StackReport,
)
from toolchain.errors import WrongInputError

SCHEMA = 1
VERDICTS = ("created", "deleted", "changed", "replaced")
Key = tuple[str, str]
"""Type and shown name of a resource: what both sides know of it."""


@dataclass(frozen=True)
class Seen:
    """The engine's planned change of a resource."""

    verdict: Rendered
    paths: tuple[str, ...] = ()
    replacing: tuple[str, ...] = ()


Seens = Mapping[Key, Seen]
_NOTHING = Seen("nothing")


def load(files: Iterable[Path], stacks: Sequence[str]) -> dict[str, Seens]:
    """Read the output of `slipway preview --json`, by stack.

    WrongInputError for a file of another form, and for stacks that are not compared.
    """
    found: dict[str, Seens] = {}
    for file in files:
        try:
            found |= _parsed(json.loads(file.read_text()))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise WrongInputError(
                f"{file}: not what `slipway preview STACK --json` of this version "
                f"writes: {type(error).__name__}: {error}"
            ) from None
    if other := sorted(set(found) - set(stacks)):
        raise WrongInputError(
            f"{', '.join(other)}: previewed but not compared; compared stacks: "
            f"{', '.join(stacks)}. Choose the same ones with --stack"
        )
    return found


def _parsed(content: Mapping[str, Any]) -> dict[str, Seens]:
    if content["schema_version"] != SCHEMA:
        raise ValueError(f"schema_version is {content['schema_version']}")
    return {one["stack"]: _seen(one["resources"]) for one in content["stacks"]}


def _seen(resources: Iterable[Mapping[str, Any]]) -> Seens:
    found: dict[Key, Seen] = {}
    for one in resources:
        key = (one["type"], one["name"])
        if one["verdict"] not in VERDICTS or one["type"].count(":") != 2:
            raise ValueError(f"{one['type']} cannot become {one['verdict']}")
        seen = Seen(one["verdict"], tuple(one["paths"]), tuple(one["replacing"]))
        found[key] = _both(found[key], seen) if key in found else seen
    return found


def _both(one: Seen, other: Seen) -> Seen:
    """Two URNs of the same object: it moves from one to the other."""
    if {one.verdict, other.verdict} == {"created", "deleted"}:
        return Seen("moved")
    paths = tuple(dict.fromkeys((*one.paths, *other.paths)))
    return replace(one if one.verdict != "changed" else other, paths=paths)


def merged(report: Report, previews: Mapping[str, Seens]) -> Report:
    """The report with what the engine decides, and where it disagrees."""
    there = {stack.stack: stack for stack in report.stacks}
    empty = {name: StackReport(name, "both", ()) for name in previews}
    pairs = {name: (empty | there)[name] for name in previews}
    decided = {name: _decided(pairs[name], seen) for name, seen in previews.items()}
    return replace(
        report,
        stacks=tuple(decided.get(stack.stack, stack) for stack in report.stacks),
        previews=tuple(
            _previewed(pairs[name], decided[name], seen)
            for name, seen in previews.items()
        ),
    )


def _decided(stack: StackReport, seen: Seens) -> StackReport:
    items = (_item(item, seen.get((item.type, item.name))) for item in stack.items)
    return replace(stack, items=tuple(items))


def _item(item: Item, seen: Seen | None) -> Item:
    """The item; of one that may be replaced, what the engine says."""
    if item.action != "unknown" or seen is None:
        return item
    if seen.verdict == "changed":
        return replace(item, action="changed", reason="")
    if seen.verdict == "replaced":
        paths = ", ".join(seen.replacing or seen.paths)
        return replace(item, action="replaced", reason=f"{paths}, as the engine says")
    return item


def _previewed(before: StackReport, after: StackReport, seen: Seens) -> Previewed:
    rendered = {(item.type, item.name): item.action for item in after.items}
    both = [key for key, one in seen.items() if rendered.get(key) == one.verdict]
    unsure = sum(item.action == "unknown" for item in before.items)
    left = sum(item.action == "unknown" for item in after.items)
    return Previewed(
        stack=before.stack,
        agreed=len(both) - (unsure - left),
        decided=unsure - left,
        disagreements=tuple(_disagreements(before.stack, rendered, seen)),
    )


def _disagreements(
    stack: str, rendered: Mapping[Key, Rendered], seen: Seens
) -> Iterator[Disagreement]:
    for key in sorted({*rendered, *seen}):
        action, engine = rendered.get(key, "nothing"), seen.get(key, _NOTHING)
        if action != engine.verdict and not key[0].startswith("pulumi:"):
            yield Disagreement(stack, *key, action, engine.verdict, engine.paths)
