"""Stacks checked for drift one after the other; one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slipway.drift import findings
from slipway.drift.reading import Reading
from slipway.drift.report import DriftReport, StackDrift
from slipway.redaction import redact
from toolchain.errors import INTERRUPTED, OperatorError

Read = Callable[[str], Reading]


def check(stacks: Sequence[str], read: Read) -> DriftReport:
    """Return the report on the stacks; an interruption ends it with its error."""
    checked: list[StackDrift] = []
    notes: list[str] = []
    for stack in stacks:
        try:
            reading = read(stack)
        except OperatorError as error:
            if error.exit_status == INTERRUPTED:
                raise
            checked.append(StackDrift(stack, 0, error=redact(str(error))))
            continue
        found = (findings.item(stack, step) for step in reading.steps)
        items = sorted(filter(None, found), key=lambda item: (item.type, item.name))
        checked.append(StackDrift(stack, len(reading.steps), tuple(items)))
        notes += [f"{stack}: {redact(text)}" for text in reading.warnings]
    return DriftReport(tuple(checked), tuple(notes))
