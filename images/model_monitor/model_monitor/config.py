"""The monitor's settings: a JSON file, parsed once, with all problems at once."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from model_monitor.attributions import settings as attribution_settings
from model_monitor.attributions.settings import AttributionSettings
from model_monitor.buckets.address import Address, address
from model_monitor.config_fields import REQUIRED, Fields, WrongError
from model_monitor.counts.plan import Task
from model_monitor.experiments import settings as experiment_settings
from model_monitor.experiments.settings import Experiments
from model_monitor.intervals import settings as interval_settings
from model_monitor.intervals.settings import Intervals
from model_monitor.retraining import settings as retraining_settings
from model_monitor.retraining.settings import Retraining
from model_monitor.statistics import drift
from model_monitor.store.retention import Hold, Retention

VARIABLE = "MODEL_MONITOR_CONFIG"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
METRICS = {
    Task.BINARY: ("accuracy", "precision", "recall", "f1", "auc"),
    Task.MULTICLASS: ("accuracy", "macro_precision", "macro_recall", "macro_f1"),
    Task.REGRESSION: ("mae", "bias"),
}
"""Metrics that a decision can be made of, by task: those that have an interval."""


class ConfigError(Exception):
    """The file is wrong; `problems` holds one line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Quality:
    """A metric that must not be worse than `baseline` by more than `margin`.

    The baseline "reference" is the model's own, of its model.yaml.
    """

    metric: str
    baseline: float | Literal["reference"] = "reference"
    margin: float = 0.02


@dataclass(frozen=True)
class Drift:
    """When a difference from the reference is drift.

    The adjusted p-value must be below `alpha` and the effect, a share of rows, at
    least `effect_floor`, on `needed` of the last `of` days with at least `min_rows`
    rows.
    """

    alpha: float = drift.ALPHA
    effect_floor: float = drift.EFFECT_FLOOR
    share_floor: float = drift.SHARE_FLOOR
    """Floor for rows without a value, or outside of the reference's range."""
    min_rows: int = drift.MIN_ROWS
    needed: int = 2
    of: int = 3
    features: int = 50
    """Features with metrics of their own, the first ones of the reference; the others
    are shown as one."""


@dataclass(frozen=True)
class Fairness:
    """The compared groups, and the largest allowed differences.

    A ratio counts as too low, or a difference as too high, if its whole interval does.
    """

    attributes: tuple[str, ...] = ()
    min_group: int = 100
    ratio_floor: float = 0.8
    difference_limit: float = 0.1


@dataclass(frozen=True)
class Concept:
    """CUSUM of the daily error rate: alarm limits, in standard deviations, and floor.

    `floor` is by how much the error rate must differ from the baseline: of many rows
    the smallest difference is significant.
    """

    k: float = 0.5
    h: float = 5.0
    floor: float = 0.02


@dataclass(frozen=True)
class Model:
    """The monitor's configuration of one model."""

    name: str
    task: Task = Task.BINARY
    positive: str = "1"
    reference: Path | None = None
    label_horizon_days: int = 30
    label_wait_days: float | None = None
    """How long a label may arrive before its prediction; None: as in the whole file. A
    label names no model, so each waits as long as the longest of all models."""
    retire_after_days: int = 7
    """A revision is retired when the model's newest record is so much newer than its
    own. What needs labels is reported until the last of its rows have left the
    windows."""
    min_labels: int = 300
    min_coverage: float = 0.8
    stale_seconds: float = 3600.0
    quality: tuple[Quality, ...] = ()
    drift: Drift = field(default_factory=Drift)
    fairness: Fairness = field(default_factory=Fairness)
    concept: Concept = field(default_factory=Concept)
    attributions: AttributionSettings | None = None
    """None: the model is not attributed."""
    intervals: Intervals | None = None
    """None: no rollout compares its revisions."""
    review_by: dt.date | None = None
    approved_revisions: tuple[str, ...] | None = None
    """None: every revision may serve."""


@dataclass(frozen=True)
class Config:
    """The whole file."""

    store: Path
    models: tuple[Model, ...] = ()
    buckets: tuple[Address, ...] = ()
    """S3 prefix of the log shippers; files in the store's landing/ are read in any
    case."""
    cycle_seconds: float = 60.0
    clock: Literal["wall", "event"] = "wall"
    """Meaning of "now": "event" is the time of the newest record or label, for
    replays."""
    host: str = "0.0.0.0"  # noqa: S104, a container's
    port: int = 9300
    labels_port: int | None = None
    """A port on which labels are taken and nothing else is answered; None: no such."""
    log_tokens: Path | None = None
    """File of tokens, one a line; log shippers send one. None: no token is asked."""
    label_tokens: Path | None = None
    """The same for clients that send labels."""
    attribution_tokens: Path | None = None
    """The same for the attribution job. None: its requests are rejected."""
    label_wait_days: float = 7.0
    """How long a label waits for its prediction."""
    retention: Retention = field(default_factory=Retention)
    retraining: Retraining = field(default_factory=Retraining)
    """With a clock of events, nothing is deleted."""
    experiments: Experiments | None = None
    """None: experiments are reported only on request."""
    memory_mib: int = 256
    """Memory of the counting engine; what needs more is written to the store's disk."""

    @property
    def longest_label_wait_days(self) -> float:
        """Return the longest wait of labels: a label does not name its model."""
        default = self.label_wait_days
        waits = [it.label_wait_days for it in self.models]
        found = [default if it is None else it for it in waits]
        return max(found, default=default)

    def model(self, name: str) -> Model | None:
        return next((it for it in self.models if it.name == name), None)


def from_environment(environment: Mapping[str, str]) -> Config:
    """Read the file that the environment names; raise ConfigError."""
    path = environment.get(VARIABLE, "")
    if not path:
        raise ConfigError(
            [f"{VARIABLE}: is not set; set it to the path of the configuration file"]
        )
    return read(Path(path))


def read(path: Path) -> Config:
    """Read a configuration file; raise ConfigError with every problem found."""
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path}: cannot be read as JSON: {error}"]) from None
    problems: list[str] = []
    config = parse(raw, problems)
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    return config


def parse(raw: object, problems: list[str]) -> Config:
    """Return the settings of a parsed file; wrong ones are added to `problems`."""
    top = Fields("", raw, problems)
    default = Config(Path())
    tokens = top.nested("tokens")
    models = tuple(_model(fields) for fields in top.objects("models"))
    names = [model.name for model in models if model.name]
    problems += [
        f"models: {name!r} is listed twice; keep one of them"
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    clock = top.choice("clock", ("wall", "event"), default.clock)
    config = Config(
        store=Path(top.text("store")),
        models=models,
        buckets=top.member("buckets", (), _buckets, ()),
        cycle_seconds=top.number("cycle_seconds", default.cycle_seconds, 1, 86400),
        clock="event" if clock == "event" else "wall",
        host=top.text("host", default.host),
        port=top.whole("port", default.port, 0, 65535),
        labels_port=_labels_port(top),
        log_tokens=_path(tokens, "logs"),
        label_tokens=_path(tokens, "labels"),
        attribution_tokens=_path(tokens, "attributions"),
        label_wait_days=top.number(
            "label_wait_days", default.label_wait_days, 0, 36500
        ),
        retention=_retention(top.nested("retention")),
        retraining=retraining_settings.parse(top.nested("retraining")),
        experiments=experiment_settings.parse(top.nested("experiments"))
        if top.has("experiments")
        else None,
        memory_mib=top.whole("memory_mib", default.memory_mib, 64, 2**20),
    )
    tokens.end()
    top.end()
    return config


def _retention(fields: Fields) -> Retention:
    default = Retention()
    found = Retention(
        raw_days=fields.whole("raw_days", default.raw_days, 1, 36500),
        figures_days=fields.whole("figures_days", default.figures_days, 1, 36500),
        receipts_days=fields.whole("receipts_days", default.receipts_days, 1, 36500),
        holds=tuple(_hold(it) for it in fields.objects("holds")),
    )
    if found.figures_days < found.raw_days:
        fields.refuse(
            "figures_days", f"less than raw_days = {found.raw_days}", "raise it to that"
        )
    fields.end()
    return found


def _hold(fields: Fields) -> Hold:
    first, last = fields.date("first"), fields.date("last")
    for name, day in (("first", first), ("last", last)):
        if day is None:
            fields.refuse(name, "is missing or no day", "give the day, 2026-11-29")
    found = Hold(first or dt.date.min, last or dt.date.max, fields.text("model", ""))
    fields.end()
    return found


def _buckets(value: object) -> tuple[Address, ...]:
    if not isinstance(value, list) or not all(isinstance(it, str) for it in value):
        raise WrongError('is not a list of texts; write ["s3://bucket/prefix"]')
    # A duplicate would be read twice.
    return tuple(dict.fromkeys(map(address, value)))


def _labels_port(fields: Fields) -> int | None:
    port = fields.whole("labels_port", -1, 0, 65535)
    return None if port < 0 else port


def _path(fields: Fields, name: str) -> Path | None:
    text = fields.text(name, "")
    return Path(text) if text else None


def _model(fields: Fields) -> Model:
    default = Model("")
    task = Task(fields.choice("task", [*Task], default.task))
    model = Model(
        name=fields.member("name", REQUIRED, _name, ""),
        task=task,
        positive=fields.text("positive", default.positive),
        reference=_path(fields, "reference"),
        label_horizon_days=fields.whole(
            "label_horizon_days", default.label_horizon_days, 0, 3650
        ),
        label_wait_days=fields.number("label_wait_days", 0, 0, 3650)
        if fields.has("label_wait_days")
        else None,
        retire_after_days=fields.whole(
            "retire_after_days", default.retire_after_days, 1, 3650
        ),
        min_labels=fields.whole("min_labels", default.min_labels, 1),
        min_coverage=fields.number("min_coverage", default.min_coverage, 0, 1),
        stale_seconds=fields.number("stale_seconds", default.stale_seconds, 1),
        quality=tuple(_quality(it, task) for it in fields.objects("quality")),
        drift=_drift(fields.nested("drift")),
        fairness=_fairness(fields.nested("fairness")),
        concept=_concept(fields.nested("concept")),
        attributions=attribution_settings.parse(fields.nested("attributions"))
        if fields.has("attributions")
        else None,
        intervals=interval_settings.parse(fields.nested("intervals"))
        if fields.has("intervals")
        else None,
        review_by=fields.date("review_by"),
        approved_revisions=fields.texts("approved_revisions")
        if fields.has("approved_revisions")
        else None,
    )
    if any(it.baseline == "reference" for it in model.quality) and not model.reference:
        fields.refuse(
            "reference",
            "is missing, and a baseline is taken from it",
            "give it, or the baseline as a number",
        )
    fields.end()
    return model


def _name(value: object) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise WrongError(
            "is not a name of a model; write it as model.yaml does: at most 128 "
            "letters, digits and . _ -, the first a letter or digit"
        )
    return value


def _quality(fields: Fields, task: Task) -> Quality:
    def baseline(value: object) -> float | str:
        if value == "reference":
            return "reference"
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WrongError('is neither a number nor "reference"; write one of them')
        return float(value)

    found = Quality(
        metric=fields.choice("metric", METRICS[task]),
        baseline=fields.member("baseline", "reference", baseline),
        margin=fields.number("margin", Quality("").margin, 0),
    )
    fields.end()
    return found


def _drift(fields: Fields) -> Drift:
    default = Drift()
    found = Drift(
        alpha=fields.number("alpha", default.alpha, 1e-9, 0.5),
        effect_floor=fields.number("effect_floor", default.effect_floor, 0, 1),
        share_floor=fields.number("share_floor", default.share_floor, 0, 1),
        min_rows=fields.whole("min_rows", default.min_rows, 1),
        needed=fields.whole("needed", default.needed, 1, 30),
        of=fields.whole("of", default.of, 1, 30),
        features=fields.whole("features", default.features, 0, 10000),
    )
    if found.needed > found.of:
        fields.refuse("needed", f"more than of = {found.of}", "lower it or raise of")
    fields.end()
    return found


def _fairness(fields: Fields) -> Fairness:
    default = Fairness()
    found = Fairness(
        attributes=fields.texts("attributes"),
        min_group=fields.whole("min_group", default.min_group, 1),
        ratio_floor=fields.number("ratio_floor", default.ratio_floor, 0, 1),
        difference_limit=fields.number(
            "difference_limit", default.difference_limit, 0, 1
        ),
    )
    fields.end()
    return found


def _concept(fields: Fields) -> Concept:
    default = Concept()
    found = Concept(
        k=fields.number("k", default.k, 0, 100),
        h=fields.number("h", default.h, 0.1, 1000),
        floor=fields.number("floor", default.floor, 0, 1),
    )
    fields.end()
    return found
