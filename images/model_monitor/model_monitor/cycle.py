"""One pass: landed files, labels, counts of the days that changed, results.

Whatever ends a pass, the next one goes on from the files that it left: see
`counts.cohort_counts`.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from model_monitor import thresholds
from model_monitor.attributions.evaluator import AttributionEvaluator
from model_monitor.buckets.log import FOLDERS, BucketLog
from model_monitor.buckets.logs import BucketLogs
from model_monitor.config import Config, Model
from model_monitor.counts.cohort import CohortKey, Head
from model_monitor.counts.cohort_counts import CohortCounts
from model_monitor.counts.counting import CountsError
from model_monitor.counts.plan import Plan
from model_monitor.counts.reference import (
    Reference,
    UnreadableReferenceError,
    read_reference,
)
from model_monitor.experiments.stored import ExperimentReports
from model_monitor.figures.model_evaluator import ModelEvaluator
from model_monitor.figures.results import Results
from model_monitor.intervals.figures import IntervalCounts
from model_monitor.labels import LabelJoin
from model_monitor.receiver.counters import Counters
from model_monitor.requests import Inbox, Passed, Requests
from model_monitor.retraining.requests import RetrainingRequests
from model_monitor.store import IngestResult, Limits, Store, ingest, whole_files
from model_monitor.store.compaction import Compactor
from model_monitor.store.protected_reads import FairnessReads
from model_monitor.store.retention import retain

logger = logging.getLogger("model_monitor.cycle")

NONE = Reference()
"""For a model without a reference, or with an unreadable one."""
FROZEN_DAYS = 2
"""Days before the deletion of its files at which a cohort's counts are frozen: counts
of a day that has lost some files would be too low."""
EVERYTHING_DAYS = 36_500


class StoppedError(Exception):
    """The pass was stopped between two steps."""


@dataclass
class CycleResult:
    """The result of a pass."""

    now: dt.datetime
    computed: list[CohortKey] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    """By model."""
    unreadable: frozenset[str] = frozenset()
    """Models whose reference cannot be read."""
    results: dict[str, Results] = field(default_factory=dict)
    """Models whose results were written again."""
    seconds: float = 0.0

    @property
    def passed(self) -> Passed:
        """Return it as commands print it."""
        return Passed(
            len(self.computed),
            len(self.results),
            self.seconds,
            tuple(line for lines in self.problems.values() for line in lines),
        )


class Cycle:
    """The monitor's work on one store, again and again; used by one thread."""

    def __init__(
        self,
        config: Config,
        store: Store,
        is_stopping: Callable[[], bool] = bool,
        counters: Counters | None = None,
    ) -> None:
        """The store must be open; is_stopping is asked between steps."""
        self._config, self._store, self._is_stopping = config, store, is_stopping
        self._counters = counters
        self._labels = LabelJoin(
            store, limits=self.limits(), horizon_days=config.longest_label_wait_days
        )
        self._buckets = BucketLogs(
            [
                BucketLog(
                    store, it, self.limits(), folder=folder, is_stopping=is_stopping
                )
                for it in config.buckets
                for folder in FOLDERS
            ]
        )
        self._compactor = Compactor(
            store, limits=self.limits(), is_stopping=is_stopping
        )
        self._counts = CohortCounts(store, config.memory_mib)
        self._reads = FairnessReads(store, config.memory_mib)
        self._requests = Requests(store, self.limits(), config.retention.receipts_days)
        self._attributions = AttributionEvaluator(config, store)
        self._intervals = IntervalCounts(config, store)
        self._experiments = ExperimentReports(config, store)
        self._retraining = RetrainingRequests(config, store)
        self._evaluators: dict[str, tuple[Reference, ModelEvaluator]] = {}
        self._written: dict[str, object] = {}
        self._has_noted = False

    def waiting(self) -> list[str]:
        """Return the ids of requests that the next pass carries out."""
        return Inbox(self._store).waiting()

    def run(self) -> CycleResult:
        """Do one pass, and first what operators have asked for.

        Raises StoppedError, ChainError, duckdb.Error and OSError. Requests are answered
        when the pass has ended, with its problems; one that was stopped leaves them to
        the next.
        """
        carried = self._requests.carry_out(self._step)
        try:
            result = self._pass()
        except StoppedError:
            raise
        except Exception as error:
            self._requests.answer(carried, Passed.failed(error))
            raise
        self._requests.answer(carried, result.passed)
        return result

    def _pass(self) -> CycleResult:
        started = time.monotonic()
        if not self._has_noted:
            thresholds.note(self._store.chain, self._config.models)
            self._has_noted = True
        self._take_in()
        problems: dict[str, list[str]] = {}
        references = self._references(problems)
        plans = {it.name: _plan(it, references[it.name]) for it in self._config.models}
        result = CycleResult(
            self._now(), problems=problems, unreadable=frozenset(problems)
        )
        self._count(plans, result)
        result.now = self._now()
        self._intervals.run(
            plans, result.now.date(), result.computed, self._reads.note, self._step
        )
        self._forget(result.now)
        heads = self._heads()
        for model in self._config.models:
            self._step()
            self._write(model, references[model.name], heads, result)
        self._experiments.run(self._step)
        self._retraining.deliver()
        result.seconds = time.monotonic() - started
        return result

    def _step(self) -> None:
        if self._is_stopping():
            raise StoppedError

    def _take_in(self) -> None:
        """Read what has landed; join labels to predictions, of this time or before.

        Of a bucket's log that much that the pass does not take much longer than the
        time between two: the next one goes on.
        """
        until = time.monotonic() + self._config.cycle_seconds
        while self._take_in_some() and time.monotonic() < until:
            pass
        self._step()
        joined = self._labels.run()
        if joined.joined or joined.early or joined.given_up:
            logger.info("labels joined", extra=vars(joined))
        if self._counters is not None:
            self._counters.joined(joined)
        self._step()
        compacted = self._compactor.run()
        if compacted.joined or compacted.failures:
            logger.info("small files joined", extra=vars(compacted))

    def _take_in_some(self) -> bool:
        """Fetch and read files; return whether the buckets have more."""
        self._step()
        fetched = self._buckets.fetch(dt.datetime.now(dt.UTC).date())
        self._step()
        found = ingest(
            self._store,
            limits=self.limits(),
            known_models=[it.name for it in self._config.models],
        )
        if found.files:
            logger.info("ingested", extra=_log_fields(found))
        if self._counters is not None:
            self._counters.fetched(fetched, self._buckets.failures)
            self._counters.ingested(found)
        return fetched.has_more

    def limits(self) -> Limits:
        """Return the bounds of what is taken in."""
        # A replay's records are old, whatever the wall clock says.
        is_wall = self._config.clock == "wall"
        return Limits(
            memory_mib=self._config.memory_mib,
            retention_days=self._config.retention.raw_days
            if is_wall
            else EVERYTHING_DAYS,
        )

    def _references(self, problems: dict[str, list[str]]) -> dict[str, Reference]:
        """Read every model's reference; one that cannot be read is a problem.

        The last one that could be read stands in; without it, new days are counted
        without bins, and counted again when there is one.
        """
        found: dict[str, Reference] = {}
        for model in self._config.models:
            name = model.name
            found[name] = (
                self._evaluators[name][0] if name in self._evaluators else NONE
            )
            if model.reference is None:
                continue
            try:
                found[name] = read_reference(model.reference)
            except UnreadableReferenceError as error:
                problems.setdefault(name, []).append(str(error))
        return found

    def _now(self) -> dt.datetime:
        """Return the time of the configuration's clock."""
        if self._config.clock == "wall":
            return dt.datetime.now(dt.UTC)
        newest = max((head.newest for head in self._heads().values()), default="")
        return (
            dt.datetime.fromisoformat(newest)
            if newest
            else dt.datetime.fromtimestamp(0, dt.UTC)
        )

    def _heads(self) -> dict[CohortKey, Head]:
        found = {key: self._counts.head(key) for key in self._counts.stored()}
        return {key: head for key, head in found.items() if head is not None}

    def _count(self, plans: Mapping[str, Plan], result: CycleResult) -> None:
        """Count every cohort whose files have changed, oldest first."""
        kept = self.limits().retention_days - FROZEN_DAYS
        oldest = result.now.date() - dt.timedelta(days=kept)
        changed = self._counts.changed(
            plans,
            is_frozen=lambda it: it.date < oldest,
            any_plan=[it for it in result.unreadable if plans[it].reference is NONE],
        )
        self._reads.note(
            path
            for key, files in changed
            if plans[key.model].attributes
            for path in files.protected
        )
        for key, files in changed:
            self._step()
            try:
                self._counts.compute(key, files, plans[key.model])
            except CountsError as error:
                problems = result.problems.setdefault(key.model, [])
                problems.append(f"{key.model}, {key.date}: {error}")
            else:
                result.computed.append(key)

    def _forget(self, now: dt.datetime) -> None:
        """Delete what is older than the configuration keeps; a replay keeps all."""
        if self._config.clock == "wall":
            done = retain(self._store, self._config.retention, now)
            if done.deleted:
                logger.info("deleted for age", extra={"files": dict(done.deleted)})

    def _write(
        self,
        model: Model,
        reference: Reference,
        heads: Mapping[CohortKey, Head],
        result: CycleResult,
    ) -> None:
        """Write a model's results, unless they would be the same."""
        own = {
            key: head.inputs.digest
            for key, head in heads.items()
            if key.model == model.name
        }
        problems = result.problems.get(model.name, [])
        path = self._store.results / f"{model.name}.json"
        # Results change with the counts, and with the day: what is due, what is recent.
        attributed = self._attributions.mark(model)
        mark = (own, reference, result.now.date(), problems, attributed)
        if self._written.get(model.name) == mark and path.exists():
            return
        found = self._evaluator_of(model, reference).results(
            own,
            result.now,
            problems,
            reference_is_missing=model.name in result.unreadable,
        )
        found = self._attributions.added(found, model)
        whole_files.write_whole(path, found.content())
        self._retraining.judged(found)
        self._written[model.name] = mark
        result.results[model.name] = found

    def _evaluator_of(self, model: Model, reference: Reference) -> ModelEvaluator:
        known = self._evaluators.get(model.name)
        if known is None or known[0] != reference:
            known = reference, ModelEvaluator(model, reference, self._counts.load)
            self._evaluators[model.name] = known
        return known[1]


def _log_fields(found: IngestResult) -> dict[str, object]:
    """Return what the log says of files that were read."""
    return {
        name: dict(value) if isinstance(value, dict) else value
        for name, value in vars(found).items()
        if value
    }


def _plan(model: Model, reference: Reference) -> Plan:
    return Plan(model.task, model.positive, model.fairness.attributes, reference)
