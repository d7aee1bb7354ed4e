"""Carries out requests in the process that holds the store: each once, with an answer.

A kill at any point leaves files from which the next run continues: the journal shows
what was begun and done, the work itself can be repeated, and the answer is written
last.

A request that cannot be read, begun or answered is left to the next cycle, and refused
if it fails again and again. It stops neither the others nor the pass: on a full disk
only the pass, which deletes what is old, makes room.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from model_monitor.figures import results, table
from model_monitor.requests.answer import WRONG, Answer, Outcome, Passed
from model_monitor.requests.inbox import Inbox
from model_monitor.requests.journal import Journal
from model_monitor.requests.operations import (
    UnfinishedError,
    carry_out,
    given_up,
)
from model_monitor.requests.request import BadRequestError, Kind, Request, Work
from model_monitor.store import Limits, Store

logger = logging.getLogger("model_monitor.requests")

MOST_ATTEMPTS = 5
"""Beginnings of one request, and cycles that could not begin it; then it is refused."""
TROUBLES = (OSError, ValueError, KeyError, TypeError)
"""Errors of the files of a request; `carry_out` reports those of its work itself."""


@dataclass(frozen=True)
class Carried:
    """A request that was carried out and not answered yet."""

    request: Request
    outcome: Outcome


class Requests:
    """Carries the requests of an open store out, and answers them after the pass."""

    def __init__(self, store: Store, limits: Limits, answer_days: float) -> None:
        """answer_days: how long answers are kept."""
        self._store, self._limits, self._days = store, limits, answer_days
        self._inbox = Inbox(store)
        self._failures: Counter[str] = Counter()
        """Cycles that could not begin a request, by its id."""

    def carry_out(self, step: Callable[[], None] = lambda: None) -> list[Carried]:
        """Carry out all that wait, in their order; `step` is called before each."""
        carried = []
        for name in self._waiting():
            step()
            try:
                if found := self._one(name):
                    carried.append(found)
                self._failures.pop(name, None)
            except UnfinishedError as error:
                _log(name, "a request failed, and is tried again", error)
            except TROUBLES as error:
                self._failed(name, error)
        return carried

    def answer(self, carried: list[Carried], passed: Passed) -> None:
        """Write the answers, after a pass has counted what they changed.

        One that cannot be written is left to the next cycle: its journal has it.
        """
        for it in carried:
            try:
                answer = answer_of(self._store, it.request, it.outcome, passed)
                self._inbox.put(answer)
            except TROUBLES as error:
                _log(it.request.id, "a request cannot be answered", error)
                continue
            extra = {"request": answer.id, "kind": answer.kind, "status": answer.status}
            logger.info("request answered", extra=extra)

    def _waiting(self) -> list[str]:
        try:
            self._inbox.tidy(self._days)
            return self._inbox.waiting()
        except OSError as error:
            _log("", "requests cannot be read", error)
            return []

    def _one(self, name: str) -> Carried | None:
        """Carry a request out; None if it was refused."""
        try:
            work = self._inbox.work(name)
        except BadRequestError as error:
            self._refuse(name, str(error))
            return None
        return Carried(work.request, self._once(work))

    def _once(self, work: Work) -> Outcome:
        """Return what came of a request, which an earlier run may have done."""
        journal = self._inbox.journal(work.request.id)
        if known := journal.outcome:
            return known
        if journal.attempts >= MOST_ATTEMPTS:
            reason = _given_up_for(work.request.id, journal)
            outcome = given_up(self._store, work, journal, reason)
        else:
            journal.begin(dt.datetime.now(dt.UTC).isoformat())
            outcome = self._attempt(work, journal)
        journal.carried_out(outcome)
        return outcome

    def _attempt(self, work: Work, journal: Journal) -> Outcome:
        try:
            return carry_out(self._store, work, self._limits, journal)
        except UnfinishedError as error:
            with suppress(OSError):
                journal.failed(str(error))
            raise

    def _failed(self, name: str, error: Exception) -> None:
        """Leave a request to the next cycle, or refuse it after the last attempt."""
        _log(name, "a request cannot be carried out", error)
        self._failures[name] += 1
        if self._failures[name] < MOST_ATTEMPTS:
            return
        reason = str(error).partition("\n")[0]
        problem = (
            f"request {name}: {self._failures[name]} cycles could not carry it out: "
            f"{reason}; repair what it names, then ask again"
        )
        try:
            self._give_up(name, problem)
        except TROUBLES as again:
            _log(name, "a request cannot be refused", again)

    def _give_up(self, name: str, problem: str) -> None:
        """Answer a request with what was done of it, as far as its files show."""
        try:
            work = self._inbox.work(name)
        except (BadRequestError, *TROUBLES):
            self._refuse(name, problem)
            return
        try:
            journal = self._inbox.journal(name)
        except TROUBLES:
            # Its result is lost; the audit chain still shows that it is incomplete.
            journal = Journal(None, name)
        outcome = journal.outcome or given_up(self._store, work, journal, problem)
        self._inbox.put(answer_of(self._store, work.request, outcome, Passed()))

    def _refuse(self, name: str, problem: str) -> None:
        """Answer a file that is not a request."""
        now = dt.datetime.now(dt.UTC).isoformat()
        answer = Answer(
            id=name,
            kind="",
            actor="",
            asked="",
            answered=now,
            status="failed",
            exit_status=WRONG,
            output=(),
            errors=(problem,),
            details={},
        )
        self._inbox.put(answer)
        logger.error(problem)


def _given_up_for(name: str, journal: Journal) -> str:
    """Return why a request is not begun once more."""
    if failure := journal.failure:
        return (
            f"request {name}: begun {journal.attempts} times, and failed: {failure}; "
            "repair what it names, then ask again"
        )
    return (
        f"request {name}: begun {journal.attempts} times, and the monitor ended each "
        "time; see why (memory, most likely: raise memory_limit_mib), then ask again: "
        "what is done is not done twice"
    )


def _log(name: str, what: str, error: Exception) -> None:
    reason = str(error).partition("\n")[0]
    logger.error(what, extra={"request": name, "reason": reason})


def answer_of(
    store: Store, request: Request, outcome: Outcome, passed: Passed
) -> Answer:
    """Return the answer of a request, with the figures of a backfill's model."""
    figures = ""
    if request.kind is Kind.BACKFILL and outcome.is_done:
        path = store.results / f"{request.arguments['model']}.json"
        if found := results.read(path):
            figures = table.table(found)
    return Answer.of(request, outcome, passed, figures)
