"""When a model's retraining is requested: once for each cause.

A request is written where quality is below its baseline or the concept has drifted,
never for drift of data alone. Its cause is not requested again before it has been
absent for SETTLED_DAYS and come back, or has lasted for `repeat_days`.

Labels come late: a revision is often replaced before it is judged. A replaced one's
cause is requested once, unless another's request for it is open, and its request is
over when a revision that began after it answers.

The order of the steps makes a kill at any point harmless: the request is written, then
noted in the audit chain, then given its state. One without a state is completed by the
next pass.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from model_monitor.audit import Chain
from model_monitor.config import Config, Model
from model_monitor.exchange import Address
from model_monitor.figures.results import Results, Revision
from model_monitor.retraining import causes, evidence, stored
from model_monitor.retraining.causes import Finding
from model_monitor.retraining.stored import Delivery, State, Stored
from model_monitor.retraining.webhook import backoff_seconds, post
from model_monitor.store import Store

logger = logging.getLogger("model_monitor.retraining")

ACTION = "retraining_requested"
SETTLED_DAYS = 3
"""A cause that is absent for fewer days has not ended: one good day may be noise."""

SILENT_AFTER = dt.timedelta(days=1)
"""A revision whose newest record is older, beside the model's, answers no more."""


class RetrainingRequests:
    """Writes requests as results are judged, and sends them; used by one thread."""

    def __init__(
        self, config: Config, store: Store, clock: Callable[[], float] = time.time
    ) -> None:
        self._config, self._store, self._clock = config, store, clock

    def judged(self, results: Results) -> None:
        """Take in a model's new results. Raises ChainError and OSError."""
        model = self._config.model(results.model)
        assert model is not None
        today = dt.datetime.fromisoformat(results.now).date()
        for path in stored.damaged(self._store):
            logger.error("retraining request cannot be read", extra={"file": path.name})
        found = [self._completed(it) for it in stored.read_all(self._store, model.name)]
        findings = {it.revision: causes.of_revision(it) for it in results.revisions}
        began = {
            it.revision: it.history[0].date if it.history else ""
            for it in results.revisions
            if _answers(it, results)
        }
        known = [
            self._updated(
                it,
                None
                if _is_replaced(it, began)
                else findings.get(it.content["revision"]),
                today,
            )
            for it in found
        ]
        for revision in results.revisions:
            own = findings[revision.revision]
            if new := _new(revision.revision, own, known, began):
                known.append(self._request(results, revision, new, own, model))
        # Also those of models that have left the configuration.
        self._forget(list(stored.read_all(self._store)), today)

    def deliver(self) -> None:
        """Try to send one request that is due, the longest waiting one first."""
        webhook = self._config.retraining.webhook
        if webhook is None:
            return
        now = self._clock()
        due = [
            (it.state.delivery.next_attempt, it.id, it, it.state)
            for it in stored.read_all(self._store)
            if it.state and it.is_open and it.state.delivery.delivered is None
        ]
        for moment, _, request, state in sorted(due, key=lambda it: it[:2])[:1]:
            if moment <= now:
                self._send(request, state, webhook)

    def _send(self, request: Stored, state: State, webhook: Address) -> None:
        token = self._config.retraining.token
        answer = post(webhook, token, request.id, request.path.read_bytes())
        before, now = state.delivery, self._clock()
        attempts = before.attempts + 1
        request.with_state(
            replace(
                state,
                delivery=Delivery(
                    attempts,
                    now + backoff_seconds(attempts),
                    now if answer.is_accepted else None,
                    answer.text,
                ),
            )
        )
        extra = {"request": request.id, "attempts": attempts, "answer": answer.text}
        if answer.is_accepted:
            logger.info("retraining request sent", extra=extra)
        else:
            logger.warning("retraining request not taken", extra=extra)

    def _request(
        self,
        results: Results,
        revision: Revision,
        new: list[str],
        findings: Mapping[str, Finding],
        model: Model,
    ) -> Stored:
        name = revision.revision
        request_id = stored.new_id(self._store, model.name, name, results.now[:10])
        content = evidence.content(
            request_id,
            results,
            revision,
            new,
            findings,
            min_coverage=model.min_coverage,
            kept_days=self._config.retention.raw_days,
        )
        written = self._completed(stored.write(self._store, content))
        extra = {"request": request_id, "model": model.name, "causes": new}
        logger.warning("retraining requested", extra=extra)
        return written

    def _completed(self, request: Stored) -> Stored:
        """Note a request in the audit chain and give it a state, unless it has one."""
        if request.state is not None:
            return request
        if not self._is_noted(request):
            content = request.content
            details = {key: content[key] for key in ("id", "model", "revision")}
            more = {"causes": request.causes, "sha256": request.digest()}
            Chain(self._store.chain).append(ACTION, {**details, **more})
        return request.with_state(State(dict.fromkeys(request.causes)))

    def _is_noted(self, request: Stored) -> bool:
        """Tell whether the chain has the entry: it was cut short after it."""
        if not self._store.chain.exists():
            return False
        with self._store.chain.open("rb") as file:
            return any(
                line.endswith(b"\n")
                and ACTION.encode() in line
                and f'"id":"{request.id}"'.encode() in line
                for line in file
            )

    def _updated(
        self, request: Stored, findings: Mapping[str, Finding] | None, today: dt.date
    ) -> Stored:
        """Return a request with the causes that are over, written where that changed.

        findings: of its revision; None if that was replaced. A request that is
        `repeat_days` old is over too: what lasts is requested anew.
        """
        state = request.state
        assert state is not None
        created = dt.date.fromisoformat(request.content["created"][:10])
        is_old = (today - created).days >= self._config.retraining.repeat_days
        if findings is None or is_old:
            found = replace(state, ended=tuple(sorted(request.causes)))
        else:
            found = _ended(state, findings, today)
        return request if found == state else request.with_state(found)

    def _forget(self, known: list[Stored], today: dt.date) -> None:
        """Delete requests that are as old as the oldest figures; a replay keeps all."""
        retention = self._config.retention
        if self._config.clock != "wall":
            return
        for it in known:
            day = dt.date.fromisoformat(it.content["created"][:10])
            is_held = any(h.covers(day, it.content["model"]) for h in retention.holds)
            if (today - day).days > retention.figures_days and not is_held:
                stored.remove(it)


def _ended(state: State, findings: Mapping[str, Finding], today: dt.date) -> State:
    """Return the state with the causes that are over by the newest results."""
    absent_since = dict(state.absent_since)
    ended = list(state.ended)
    for cause in absent_since.keys() - set(ended):
        # A metric that is no longer judged is not a cause.
        found = findings.get(cause, Finding(causes.State.ABSENT)).state
        if found is causes.State.PRESENT:
            absent_since[cause] = None
        elif found is causes.State.ABSENT:
            since = absent_since[cause] or today.isoformat()
            absent_since[cause] = since
            if (today - dt.date.fromisoformat(since)).days >= SETTLED_DAYS:
                ended.append(cause)
    return replace(state, absent_since=absent_since, ended=tuple(sorted(ended)))


def _new(
    revision: str,
    findings: Mapping[str, Finding],
    known: Sequence[Stored],
    began: Mapping[str, str],
) -> list[str]:
    """Return the present causes of a revision that are to be requested."""
    return [
        cause
        for cause, finding in findings.items()
        if finding.state is causes.State.PRESENT
        and not any(
            _covers(it, cause, revision, answers=revision in began) for it in known
        )
    ]


def _covers(request: Stored, cause: str, revision: str, *, answers: bool) -> bool:
    """Tell whether a request is that for a revision's cause.

    answers: whether the revision does. If not, a request that is over counts as well,
    and an open one of any revision.
    """
    assert request.state is not None
    is_own = request.content["revision"] == revision
    is_open = cause not in request.state.ended
    counts = is_own and is_open if answers else is_own or is_open
    return counts and cause in request.causes


def _is_replaced(request: Stored, began: Mapping[str, str]) -> bool:
    """Tell whether what came after a request answers instead of its revision.

    began: the first day of each revision that answers.
    """
    created = request.content["created"][:10]
    is_answering = request.content["revision"] in began
    return not is_answering and any(day > created for day in began.values())


def _answers(revision: Revision, results: Results) -> bool:
    """Tell whether a revision answers still."""
    newest = dt.datetime.fromisoformat(results.newest)
    return newest - dt.datetime.fromisoformat(revision.newest) <= SILENT_AFTER
