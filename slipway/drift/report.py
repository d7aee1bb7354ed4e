"""What has drifted, as data: docs/reference/drift.schema.json.

Items are those of `slipway compare`, with the state before and what is there after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from slipway.preview.report import Item, Level

SCHEMA = 1


@dataclass(frozen=True)
class StackDrift:
    """What has drifted of one stack."""

    stack: str
    resources: int
    """Those that were read: all of the state that a provider makes."""
    items: tuple[Item, ...] = ()
    """`changed`: it has other values than the state. `deleted`: it is not there."""
    error: str = ""
    """Why it could not be checked; empty if it was."""


@dataclass(frozen=True)
class DriftReport:
    """All stacks that were asked for."""

    stacks: tuple[StackDrift, ...]
    notes: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """What has drifted of all stacks."""
        return tuple(item for stack in self.stacks for item in stack.items)

    @property
    def unchecked(self) -> tuple[StackDrift, ...]:
        """Stacks that could not be checked."""
        return tuple(stack for stack in self.stacks if stack.error)

    def of(self, action: str) -> tuple[Item, ...]:
        """Items of this action."""
        return tuple(item for item in self.items if item.action == action)

    @property
    def changed(self) -> bool:
        """Whether anything has drifted."""
        return bool(self.items)

    @property
    def level(self) -> Level:
        """`danger` if something is gone, `attention` for all else that was found."""
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
