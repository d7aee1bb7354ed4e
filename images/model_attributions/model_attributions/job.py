"""One model: its pending days, each sampled, attributed and sent to the monitor."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from model_server.model import Model, load_model

from model_attributions import columns
from model_attributions.columns import Inputs, Place
from model_attributions.monitor import Monitor, Sample, Work
from model_attributions.outcomes import Answers, Outcomes
from model_attributions.pace import OutOfTimeError, Pace
from model_attributions.permutation import Changes, Orders, estimate, orders, repeated
from model_attributions.settings import Settings, Watched

logger = logging.getLogger("model_attributions")

SCHEMA = 1
BATCH_ROWS = 1024
"""Rows of one run, which limit the model's memory."""
LEAST_ROWS = 100
"""Minimum rows of a sample: standard errors of fewer are not reliable."""
LEAST_LABELLED = 100
LEAST_REPETITIONS = 2


class DayError(Exception):
    """A day cannot be attributed; the text says why."""


def run(watched: Watched, monitor: Monitor, settings: Settings) -> list[str]:
    """Attribute the days of a model that wait; return what went wrong, line by line.

    Raises ModelError, MonitorError and UnfitError where no day can be.
    """
    model = load_model(watched.folder, threads=1)
    columns.check(model.manifest)
    revision = model.manifest.revision
    work = monitor.work(watched.name, revision)
    problems = []
    for day in work.days:
        sample = monitor.sample(watched.name, revision, day)
        pace = Pace(settings.rows_per_second, settings.seconds)
        try:
            found = attributed(
                model, day, sample, work, repetitions=settings.repetitions, pace=pace
            )
        except (DayError, columns.UnfitError) as error:
            problems.append(f"{watched.name}, {day}: {error}")
            continue
        monitor.put({**found, "model": watched.name})
        extra = {"model": watched.name, "revision": revision, "rows": sample.rows}
        logger.info(f"attributed {day}", extra=extra)  # noqa: G004, one line a day
    return problems


def attributed(
    model: Model, day: str, sample: Sample, work: Work, *, repetitions: int, pace: Pace
) -> dict[str, Any]:
    """Return the attributions of one day (contracts/attributions.yaml).

    The same sample gives the same numbers. Raises DayError and UnfitError.
    """
    if sample.rows < LEAST_ROWS:
        raise DayError(f"the sample has {sample.rows} rows, {LEAST_ROWS} are needed")
    manifest = model.manifest
    random = np.random.default_rng(seed(manifest.revision, day))
    inputs = Inputs(manifest, sample.features, sample.rows, model.folder, random)
    if not inputs.varied:
        raise DayError("no feature of the model is in the log; see log of model.yaml")
    outcomes = Outcomes(manifest, work.task, work.positive)
    runner = _Runner(model, inputs, outcomes, sample, pace)
    order = orders(sample.rows, repetitions, random)
    try:
        runner.begin()
        found, done = repeated(len(inputs.varied), order, runner.change, OutOfTimeError)
    except OutOfTimeError:
        found, done = [], 0
    if done < LEAST_REPETITIONS:
        raise DayError(
            f"{done} repetitions within its time, {LEAST_REPETITIONS} are needed; "
            "allow more seconds or rows a second, or fewer rows"
        )
    labelled = runner.labelled
    has_loss = outcomes.loss is not None and labelled >= LEAST_LABELLED
    return {
        "schema": SCHEMA,
        "revision": manifest.revision,
        "date": day,
        "rows": sample.rows,
        "repetitions": done,
        "outcome": outcomes.name,
        "filled": inputs.filled,
        "disagreement": runner.disagreement(),
        "loss": outcomes.loss if has_loss else None,
        "labelled": labelled,
        "features": [
            _feature(place, changes, order[:done], has_loss=has_loss)
            for place, changes in zip(inputs.varied, found, strict=True)
        ],
    }


def _feature(
    place: Place, changes: list[Changes], order: Orders, *, has_loss: bool
) -> dict[str, Any]:
    outcome = estimate(np.array([it.outcome for it in changes]), order)
    loss = estimate(np.array([it.loss for it in changes]), order) if has_loss else None
    if outcome is None:
        raise DayError(f"feature {place.feature}: the model's answers are not numbers")
    return {
        "feature": place.feature,
        "value": outcome.value,
        # A mean of absolute changes is never below 0.
        "low": max(outcome.low, 0.0),
        "high": outcome.high,
        "standard_error": outcome.error,
        "loss": loss and loss.value,
        "loss_low": loss and loss.low,
        "loss_high": loss and loss.high,
    }


@dataclass
class _Runner:
    """Runs the model on a sample, as it is and with one feature permuted."""

    model: Model
    inputs: Inputs
    outcomes: Outcomes
    sample: Sample
    pace: Pace

    def begin(self) -> None:
        """Run the sample as it is."""
        self._as_is = self._answers()
        self._losses = self.outcomes.losses(self._as_is, self.sample.labels)
        self.labelled = int(np.count_nonzero(~np.isnan(self._losses)))

    def change(self, feature: int, order: Orders) -> Changes:
        """Return what a permuted feature changes."""
        answers = self._answers(self.inputs.varied[feature], order)
        return Changes(
            self.outcomes.differences(answers, self._as_is),
            self.outcomes.losses(answers, self.sample.labels) - self._losses,
        )

    def disagreement(self) -> float | None:
        """Return the mean difference of the scores from the logged ones."""
        score = self._as_is.score
        if score is None or score.shape[1] > 1:
            return None
        logged = np.array(self.sample.scores, np.float64)
        known = ~np.isnan(logged)
        if not known.any():
            return None
        return float(np.abs(score[known, 0] - logged[known]).mean())

    def _answers(
        self, place: Place | None = None, order: Orders | None = None
    ) -> Answers:
        parts = list(self._parts(place, order))
        arrays = [np.concatenate(it) for it in zip(*parts, strict=True)]
        return self.outcomes.answers(arrays)

    def _parts(self, place: Place | None, order: Orders | None) -> Iterator[list[Any]]:
        for start in range(0, self.inputs.rows, BATCH_ROWS):
            stop = min(start + BATCH_ROWS, self.inputs.rows)
            self.pace.wait(stop - start)
            yield self.model.run(self.inputs.buffers(start, stop, place, order))


def seed(revision: str, day: str) -> int:
    """Return the seed of a day: the same sample gives the same numbers."""
    digest = hashlib.sha256(f"{revision} {day}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def token(file: Path) -> str:
    """Return the token of a file. Raises OSError."""
    return file.read_text().split()[0]
