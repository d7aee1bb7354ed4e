"""Many members of a stack rendered in groups, each by a run of the program of its own.

What the SDK keeps of a resource until the program has ended is several times what the
rendering keeps of it, and it takes longer the more there is. Groups bound it, and are
rendered side by side where there are several cores
(docs/decisions/0060-models-are-rendered-in-groups.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from slipway.rendering import processes
from slipway.rendering.recorder import Recording
from stacks import layers
from stacks.groups import Group
from stacks.others import OURS

SIZE = 25
"""Members of a group. A plain model has 11 objects; 25 take 20 MiB while rendered."""
LEAST = 2 * SIZE
"""Members from which a stack is divided."""
_WHOLE = ("adopt",)
"""Settings that are checked against all that the program declares."""

Run = Callable[[Group | None], Recording]
"""Runs the program for a group, or for the whole stack."""


def groups(stack: str, config: Mapping[str, str]) -> list[Group]:
    """First what the stack has beside its members, then groups of these.

    Empty if the stack is to be rendered as a whole. All share what the first parses.
    """
    names = list(members(stack, config))
    if len(names) < LEAST:
        return []
    rest = Group(rest=True)
    return [rest, *of(names, rest)]


def of(names: Sequence[str], rest: Group) -> list[Group]:
    """Groups of these members, with the settings that the run of `rest` parses."""
    batches = (names[at : at + SIZE] for at in range(0, len(names), SIZE))
    return [Group(frozenset(some), parsed=rest.parsed) for some in batches]


def members(stack: str, config: Mapping[str, str]) -> dict[str, Any]:
    """Settings of the members by name, as they are in the stack's file.

    Empty if the stack cannot be divided.
    """
    setting = layers.of(stack).members
    if not setting or any(f"{OURS}:{one}" in config for one in _WHOLE):
        return {}
    try:
        found = json.loads(config.get(f"{OURS}:{setting}", ""))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def recorded(run: Run, groups: Sequence[Group]) -> Recording:
    """What the program registers in all groups, as if it had run once.

    Raises what the first run that fails raises: to say what the program says, the
    caller lets it run as a whole. ValueError if two groups have a resource in common
    that is not the same in both.
    """
    rest, *others = groups
    # First and in this process: most errors are found in it, and forks have what it
    # has parsed.
    beside = run(rest)
    return merged(chain(each(run, others), [beside]))


def each(run: Run, groups: Sequence[Group]) -> Iterable[Recording]:
    """Return the registrations of each group."""
    return (found for _, found in processes.each(run, groups))


def merged(parts: Iterable[Recording]) -> Recording:
    """What they have registered, as if one run had; ValueError as in `recorded`."""
    whole = Recording()
    known: dict[str, str] = {}
    for found in parts:
        _add(found, whole, known)
    return whole


def _add(found: Recording, whole: Recording, known: dict[str, str]) -> None:
    """Add shared resources of groups, such as the provider, once."""
    for one in found.resources:
        if one.urn not in known:
            whole.resources.append(one)
        elif known[one.urn] != one.digest:
            raise ValueError(f"{one.urn} is not the same in two groups")
        known[one.urn] = one.digest
    for name, value in found.outputs.items():
        before: Any = whole.outputs.get(name)
        of_members = isinstance(before, dict) and isinstance(value, dict)
        whole.outputs[name] = before | value if of_members else value
    whole.messages.extend(found.messages)
