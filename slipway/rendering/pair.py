"""A stack before and after a change of its settings, rendered by the same code.

A member of the stack, such as a model, is declared from its own settings, from those of
the stack and from what the program has noted as common to all members. Where all of
that is the same, the member is rendered once, for both
(docs/decisions/0068-what-did-not-change-is-rendered-once.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from typing import Any

from slipway.rendering import grouped
from slipway.rendering.recorder import Recording
from slipway.rendering.render import Rendered, render, rendered, runs
from stacks import layers
from stacks.groups import Group
from stacks.others import OURS

Values = dict[str, str]
"""Configuration as `stack_files.program_config` gives it."""


def both(stack: str, before: Values, after: Values) -> tuple[Rendered, Rendered | None]:
    """The stack with the one configuration and with the other.

    What is the same in both is the same object. None: the second cannot be rendered;
    render it by itself for the reason. Raises what rendering the first raises.
    """
    if before == after:
        found = render(stack, before)
        return found, found
    if pair := _in_parts(stack, before, after):
        return pair
    return render(stack, before), _rendered(stack, after)


def _rendered(stack: str, values: Values) -> Rendered | None:
    try:
        return render(stack, values)
    except Exception:  # noqa: BLE001 the caller renders it again to say what is wrong
        return None


def _in_parts(
    stack: str, before: Values, after: Values
) -> tuple[Rendered, Rendered | None] | None:
    """Return None if each side has to be rendered as a whole."""
    old, new = (grouped.members(stack, values) for values in (before, after))
    kept = [n for n in old if n in new and _text(old[n]) == _text(new[n])]
    if not kept or _beside(stack, before) != _beside(stack, after):
        return None
    changed, other = ([n for n in names if n not in kept] for names in (old, new))
    rest, later = Group(rest=True), Group(rest=True)
    try:
        run = runs(stack, before)
        first = run(rest)
        # In forks where there are several cores, those that change among them.
        parts = grouped.of(changed, rest), grouped.of(kept, rest)
        found = list(grouped.each(run, [*parts[0], *parts[1]]))
        of_changed, of_kept = found[: len(parts[0])], found[len(parts[0]) :]
        whole = grouped.merged(chain(of_changed, of_kept, [first]))
    except Exception:  # noqa: BLE001 raised again by the run of the whole
        return None
    one = rendered(stack, whole)
    return one, _after(stack, after, (rest, later), other, of_kept)


def _after(
    stack: str,
    values: Values,
    rests: tuple[Group, Group],
    names: list[str],
    kept: list[Recording],
) -> Rendered | None:
    """The second of both, with what it has in common with the first."""
    earlier, later = rests
    try:
        run = runs(stack, values)
        first = run(later)
        if later.common != earlier.common:
            return _rendered(stack, values)
        found = grouped.each(run, grouped.of(names, later))
        return rendered(stack, grouped.merged(chain(found, kept, [first])))
    except Exception:  # noqa: BLE001 raised again by the run of the whole
        return _rendered(stack, values)


def _text(settings: Any) -> str:
    """Return settings as text in their order."""
    return json.dumps(settings)


def _beside(stack: str, values: Mapping[str, str]) -> dict[str, str]:
    """All configuration but that of members."""
    setting = f"{OURS}:{layers.of(stack).members}"
    return {key: value for key, value in values.items() if key != setting}
