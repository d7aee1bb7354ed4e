"""The result of a request."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from model_monitor.requests.request import Kind, Request

FAILED = 1
WRONG = 2
"""Exit status of wrong arguments."""


@dataclass(frozen=True)
class Passed:
    """The result of the pass that followed."""

    computed: int = 0
    """Days of predictions that were counted."""
    written: int = 0
    """Models whose results were written."""
    seconds: float = 0.0
    problems: tuple[str, ...] = ()
    failure: str = ""
    """Why it did not finish; empty if it did."""

    @classmethod
    def failed(cls, error: Exception) -> Passed:
        reason = str(error).partition("\n")[0]
        return cls(failure=f"the cycle failed: {reason}; it is done again")

    @property
    def text(self) -> str:
        return (
            f"{self.computed} days of predictions counted, results of {self.written} "
            f"models written, in {self.seconds:.1f} s"
        )


@dataclass(frozen=True)
class Outcome:
    """The result of the request itself, before the pass that follows."""

    status: int = 0
    """Exit status of the command."""
    output: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    """One line for each: what, its value, the reason, the fix."""
    is_done: bool = True
    details: dict[str, Any] = field(default_factory=dict)
    """The receipt of an erasure, or the counts of an import."""

    @classmethod
    def failed(cls, *errors: str, status: int = FAILED) -> Outcome:
        return cls(status, errors=errors, is_done=False)

    @classmethod
    def of_json(cls, raw: dict[str, Any]) -> Outcome:
        texts = {key: tuple(raw[key]) for key in ("output", "errors")}
        return cls(**{**raw, **texts})


@dataclass(frozen=True)
class Answer:
    """Content of `requests/<id>.answer.json`. It never contains an erasure's value."""

    id: str
    kind: str
    actor: str
    asked: str
    answered: str
    """RFC 3339 in UTC."""
    status: str
    """done or failed."""
    exit_status: int
    output: tuple[str, ...]
    """Lines that the command prints."""
    errors: tuple[str, ...]
    details: dict[str, Any]

    @classmethod
    def of(
        cls, request: Request, outcome: Outcome, passed: Passed, figures: str
    ) -> Answer:
        """Return the answer; a backfill's includes the pass.

        figures: of the model of a backfill, as a table; "" if there are none.
        """
        output, errors, status = outcome.output, outcome.errors, outcome.status
        counts = request.kind is not Kind.IMPORT_LABELS and outcome.is_done
        if counts and passed.failure:
            errors, status = (*errors, passed.failure), max(status, FAILED)
        elif counts and request.kind is Kind.BACKFILL:
            output = (*output, passed.text, *([figures] if figures else []))
            errors = (*passed.problems, *errors)
            status = max(status, FAILED if passed.problems else 0)
        return cls(
            request.id,
            request.kind,
            request.actor,
            request.time,
            dt.datetime.now(dt.UTC).isoformat(),
            "done" if outcome.is_done else "failed",
            status,
            output,
            errors,
            outcome.details,
        )

    def content(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode() + b"\n"

    @classmethod
    def of_content(cls, content: bytes) -> Answer:
        raw = json.loads(content)
        texts = {key: tuple(raw[key]) for key in ("output", "errors")}
        return cls(**{**raw, **texts})
