"""The drift as data: docs/reference/drift.schema.json.

Items are those of `slipway compare`; before: the state, after: the actual resource.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from slipway.preview.report import Item, Level

SCHEMA = 1


@dataclass(frozen=True)
class StackDrift:
    """The drift of one stack."""

    stack: str
    resources: int
    """Number of resources read: all of the state that have a provider."""
    items: tuple[Item, ...] = ()
    """`changed`: its values differ from the state. `deleted`: it no longer exists."""
    error: str = ""
    """Why it could not be checked; empty if it was."""


@dataclass(frozen=True)
class DriftReport:
    """All requested stacks."""

    stacks: tuple[StackDrift, ...]
    notes: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """Return the drift of all stacks."""
        return tuple(item for stack in self.stacks for item in stack.items)

    @property
    def unchecked(self) -> tuple[StackDrift, ...]:
        """Stacks that could not be checked."""
        return tuple(stack for stack in self.stacks if stack.error)

    def of(self, action: str) -> tuple[Item, ...]:
        """Return the items with this action."""
        return tuple(item for item in self.items if item.action == action)

    @property
    def changed(self) -> bool:
        """Return whether there is any drift."""
        return bool(self.items)

    @property
    def level(self) -> Level:
        """Return `danger` if something was deleted, `attention` for all other drift."""
        if self.of("deleted"):
            return "danger"
        return "attention" if self.items or self.unchecked else "nothing"

    @property
    def verdict(self) -> str:
        """One sentence."""
        text = ", ".join(self._parts())
        return f"{text[:1].upper()}{text[1:]}."

    def _parts(self) -> Iterator[str]:
        read = sum(stack.resources for stack in self.stacks)
        if gone := len(self.of("deleted")):
            yield f"{gone} of {_resources(read)} {_is(gone)} gone"
        if changed := len(self.of("changed")):
            differ = "differs" if changed == 1 else "differ"
            yield f"{changed} of {_resources(read)} {differ} from the state"
        if not self.items and len(self.unchecked) < len(self.stacks):
            yield f"no drift in {_resources(read)}"
        if self.unchecked:
            yield f"not checked: {' and '.join(s.stack for s in self.unchecked)}"

    def as_json(self) -> dict[str, Any]:
        """As docs/reference/drift.schema.json describes it."""
        return {
            "schema_version": SCHEMA,
            "changed": self.changed,
            "level": self.level,
            "verdict": self.verdict,
        } | asdict(self)


def _resources(number: int) -> str:
    return f"{number} resource{'' if number == 1 else 's'}"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
