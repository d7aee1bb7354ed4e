"""Results and errors of a run of the engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from slipway.engine.steps import Verdict
from slipway.progress import COUNTED, Step, label
from toolchain.errors import FAILED, INTERRUPTED, OperatorError

WORDS = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "same": "unchanged",
}

_NO_CLUSTER = (
    "The cluster does not answer: check that it is running and that "
    "`cluster.kubeconfig` of the stack file is the right one. For the lab: slipway "
    "local status."
)
_OTHER_PHRASE = (
    "The state was encrypted with another passphrase: set PULUMI_CONFIG_PASSPHRASE or "
    "PULUMI_CONFIG_PASSPHRASE_FILE to that one."
)
_LOCKED = (
    "Another run is changing this stack. Wait until it ends; if it was killed on "
    "another host: pulumi cancel."
)
_DRIFTED = (
    "Something in the state was deleted outside Slipway. To read the real resources "
    "again and create what is missing: slipway up --refresh."
)
_ELSEWHERE = (
    "Another stack, or this one with another state, created that object. Work with "
    "that state (PULUMI_BACKEND_URL), or delete the object if nothing manages it any "
    "more."
)
HINTS = {
    "incorrect passphrase": _OTHER_PHRASE,
    "unreachable cluster": _NO_CLUSTER,
    "cluster is unreachable": _NO_CLUSTER,
    "API server does not answer": _NO_CLUSTER,
    "currently locked by": _LOCKED,
    "field conflict detected": _ELSEWHERE,
    r'[a-z] "[^"]+" not found': _DRIFTED,
}
"""Patterns of an engine's error, with their meaning."""


@dataclass(frozen=True)
class StackResult:
    """The result of one run on one stack."""

    stack: str
    verb: str
    """`up`, `preview`, `refresh` or `destroy`."""
    changes: dict[str, int]
    """Resources by create, update, replace, delete and same, without zeros."""
    seconds: float
    outputs: dict[str, Any] = field(default_factory=dict)
    """Stack outputs; secret ones are replaced by `[secret]`."""
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    """For a preview: the change of each resource that has a provider."""

    @property
    def changed(self) -> bool:
        return any(n for kind, n in self.changes.items() if kind != "same")


class EngineError(OperatorError):
    """A failed run: the error, what is left, and how to continue."""

    def __init__(
        self,
        stack: str,
        verb: str,
        errors: Sequence[tuple[str, str]],
        *,
        changes: dict[str, int] | None = None,
        seconds: float = 0.0,
        interrupted: bool = False,
    ) -> None:
        self.stack, self.verb, self.seconds = stack, verb, seconds
        self.errors = list(errors)
        self.changes = changes or {}
        self.interrupted = interrupted
        self.exit_status = INTERRUPTED if interrupted else FAILED
        super().__init__(self._text())

    def _text(self) -> str:
        how = "was interrupted" if self.interrupted else "failed"
        lines = [f"{self.stack}: {self.verb} {how} after {self.seconds:.1f} s"]
        for urn, message in self.errors:
            where = f"{label(urn)}: " if urn else ""
            first, *rest = message.strip().splitlines() or [""]
            lines += [f"  {where}{first}", *(f"    {line.strip()}" for line in rest)]
        return "\n".join([*lines, *self._next_steps()])

    def _next_steps(self) -> list[str]:
        texts = " ".join(message for _, message in self.errors)
        hints = dict.fromkeys(
            hint for pattern, hint in HINTS.items() if re.search(pattern, texts)
        )
        again = f"slipway {self.verb} {self.stack}"
        if self.verb in ("preview", "drift"):
            return ["Nothing was changed.", *hints]
        done = describe({k: n for k, n in self.changes.items() if k != "same"})
        lines = [f"Done before that, and recorded: {done or 'nothing'}.", *hints]
        lines.append(f"To go on where it stopped: {again}")
        if self.verb == "up":
            lines.append(f"To delete what was created: slipway destroy {self.stack}")
        return lines


def describe(changes: dict[str, int]) -> str:
    """Return counts as text, such as `3 created, 1 updated`."""
    return ", ".join(f"{changes[k]} {WORDS[k]}" for k in COUNTED if changes.get(k))
