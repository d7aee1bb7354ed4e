"""The configuration file: what it may say, and every problem at once."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from model_monitor import config
from model_monitor.buckets.address import Address
from model_monitor.config import Config, ConfigError, Model, Quality
from model_monitor.counts.plan import Task
from model_monitor.store.retention import Hold, Retention

WHOLE: dict[str, Any] = {
    "store": "/var/lib/monitor",
    "buckets": ["s3://logs/models", "s3://logs", "s3://logs/models/"],
    "cycle_seconds": 30,
    "clock": "event",
    "host": "127.0.0.1",
    "port": 0,
    "tokens": {"logs": "/run/logs", "labels": "/run/labels"},
    "label_wait_days": 3,
    "retention": {
        "raw_days": 90,
        "figures_days": 200,
        "receipts_days": 10,
        "holds": [{"first": "2026-01-01", "last": "2026-01-31", "model": "plain"}],
    },
    "memory_mib": 128,
    "models": [
        {
            "name": "employment",
            "task": "binary",
            "positive": "yes",
            "reference": "/models/employment/reference.json",
            "label_horizon_days": 7,
            "label_wait_days": 12,
            "retire_after_days": 3,
            "min_labels": 50,
            "min_coverage": 0.5,
            "stale_seconds": 60,
            "quality": [
                {"metric": "f1", "baseline": "reference", "margin": 0.05},
                {"metric": "auc", "baseline": 0.9},
            ],
            "drift": {
                "alpha": 0.05,
                "effect_floor": 0.1,
                "share_floor": 0.02,
                "min_rows": 500,
                "needed": 3,
                "of": 5,
                "features": 10,
            },
            "fairness": {
                "attributes": ["SEX"],
                "min_group": 500,
                "ratio_floor": 0.75,
                "difference_limit": 0.2,
            },
            "concept": {"k": 1, "h": 4, "floor": 0.05},
            "review_by": "2027-03-31",
            "approved_revisions": ["sha256:1"],
        },
        {"name": "plain"},
    ],
}


def parse(raw: object) -> tuple[Config, list[str]]:
    problems: list[str] = []
    return config.parse(raw, problems), problems


def test_all_that_can_be_said() -> None:
    found, problems = parse(WHOLE)
    assert problems == []
    employment = Model(
        name="employment",
        task=Task.BINARY,
        positive="yes",
        reference=Path("/models/employment/reference.json"),
        label_horizon_days=7,
        label_wait_days=12,
        retire_after_days=3,
        min_labels=50,
        min_coverage=0.5,
        stale_seconds=60,
        quality=(Quality("f1", "reference", 0.05), Quality("auc", 0.9, 0.02)),
        drift=config.Drift(0.05, 0.1, 0.02, 500, 3, 5, 10),
        fairness=config.Fairness(("SEX",), 500, 0.75, 0.2),
        concept=config.Concept(1, 4, 0.05),
        review_by=dt.date(2027, 3, 31),
        approved_revisions=("sha256:1",),
    )
    assert found == Config(
        store=Path("/var/lib/monitor"),
        models=(employment, Model("plain")),
        buckets=(Address("logs", "models/"), Address("logs", "")),
        cycle_seconds=30,
        clock="event",
        host="127.0.0.1",
        port=0,
        log_tokens=Path("/run/logs"),
        label_tokens=Path("/run/labels"),
        label_wait_days=3,
        retention=Retention(
            90,
            200,
            10,
            (Hold(dt.date(2026, 1, 1), dt.date(2026, 1, 31), "plain"),),
        ),
        memory_mib=128,
    )


def test_all_labels_wait_as_long_as_one_model_needs() -> None:
    """A label names no model. One of the models has no wait of its own."""
    found, _ = parse(WHOLE)
    assert found.longest_label_wait_days == 12
    models = [{"name": "a", "label_wait_days": 1}, {"name": "b"}]
    found, _ = parse({"store": "/s", "models": models})
    assert found.longest_label_wait_days == 7
    found, _ = parse({"store": "/s", "models": models[:1]})
    assert found.longest_label_wait_days == 1
    assert parse({"store": "/s"})[0].longest_label_wait_days == 7


def test_days_of_waiting_and_of_retiring_are_bounded() -> None:
    model = {"name": "a", "label_wait_days": -1, "retire_after_days": 0}
    _, problems = parse({"store": "/s", "models": [model]})
    assert problems == [
        "models[0].label_wait_days=-1: must lie between 0 and 3650; change it",
        "models[0].retire_after_days=0: must lie between 1 and 3650; change it",
    ]


def test_only_the_store_must_be_said() -> None:
    found, problems = parse({"store": "/s"})
    assert problems == []
    assert found == Config(Path("/s"))


def test_every_problem_is_reported_at_once() -> None:
    _, problems = parse(
        {
            "cycle_seconds": 0,
            "clock": "sun",
            "port": True,
            "retention": {"raw_days": 10, "figures_days": 5, "holds": [{}]},
            "modles": [],
            "models": [
                {
                    "name": "a b",
                    "task": "binary",
                    "quality": [{"metric": "mae", "baseline": "good"}],
                    "drift": {"needed": 4, "of": 3, "alpha": 2},
                    "fairness": {"attributes": "SEX"},
                    "review_by": "soon",
                    "label_horizon_days": 1.5,
                },
                {"name": "twice", "quality": [{"metric": "f1"}]},
                {"name": "twice"},
                3,
            ],
        }
    )
    reference = (
        "is missing, and a baseline is taken from it; give it, or the baseline as a "
        "number"
    )
    name = (
        "is not a name of a model; write it as model.yaml does: at most 128 letters, "
        "digits and . _ -, the first a letter or digit"
    )
    known = (
        "buckets, clock, cycle_seconds, host, label_wait_days, labels_port, "
        "memory_mib, models, port, retention, retraining, store, tokens"
    )
    no_day = "is missing or no day; give the day, 2026-11-29"
    metrics = "accuracy, precision, recall, f1, auc"
    no_date = "is not a day; write it as year-month-day, 2027-03-31"
    first = "models[0]"
    assert set(problems) == {
        "store: is missing; give it",
        "cycle_seconds=0: must lie between 1 and 86400; change it",
        "clock='sun': is not one of wall, event; take one of them",
        "port=True: is not a whole number; give one",
        "retention.figures_days=5: less than raw_days = 10; raise it to that",
        f"retention.holds[0].first=None: {no_day}",
        f"retention.holds[0].last=None: {no_day}",
        f"modles=[]: no such setting; known here are {known}",
        f"{first}.name='a b': {name}",
        f"{first}.quality[0].metric='mae': is not one of {metrics}; take one of them",
        (
            f"{first}.quality[0].baseline='good': is neither a number nor "
            '"reference"; write one of them'
        ),
        f"{first}.reference=None: {reference}",
        f"{first}.drift.needed=4: more than of = 3; lower it or raise of",
        f"{first}.drift.alpha=2: must lie between 1e-09 and 0.5; change it",
        (
            f"{first}.fairness.attributes='SEX': is not a list of texts; "
            'write ["...", "..."]'
        ),
        f"{first}.review_by='soon': {no_date}",
        f"{first}.label_horizon_days=1.5: is not a whole number; give one",
        f"models[1].reference=None: {reference}",
        "models[3]=3: is not an object; write { ... }",
        "models[3].name: is missing; give it",
        "models: 'twice' is listed twice; keep one of them",
    }
    assert len(problems) == len(set(problems))


def test_an_empty_list_of_revisions_approves_none() -> None:
    found, problems = parse(
        {"store": "/s", "models": [{"name": "m", "approved_revisions": []}]}
    )
    assert problems == []
    assert found.models[0].approved_revisions == ()


def test_the_file_is_named_by_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "monitor.json"
    path.write_text(json.dumps(WHOLE))
    found = config.from_environment({"MODEL_MONITOR_CONFIG": str(path)})
    assert found.model("plain") == Model("plain")
    assert found.model("other") is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "cannot be read as JSON: "),
        ("{", "cannot be read as JSON: "),
        ('{"store": 3}', "store=3: is not a text; write it in quotes"),
        ('{"buckets": "s3://a"}', "buckets='s3://a': is not a list of texts; write"),
        (
            '{"buckets": ["logs/a"]}',
            "buckets=['logs/a']: is not an address of a bucket's",
        ),
        (
            '{"buckets": ["s3://logs//a"]}',
            "buckets=['s3://logs//a']: is not an address",
        ),
        ("[]", "the file=[]: is not an object; write { ... }"),
    ],
)
def test_problems_of_a_file_bear_its_path(
    tmp_path: Path, content: str | None, text: str
) -> None:
    path = tmp_path / "monitor.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as raised:
        config.read(path)
    assert any(it.startswith(f"{path}: {text}") for it in raised.value.problems)


def test_without_the_variable() -> None:
    with pytest.raises(ConfigError) as raised:
        config.from_environment({})
    assert raised.value.problems == [
        "MODEL_MONITOR_CONFIG: is not set; set it to the path of the configuration file"
    ]
