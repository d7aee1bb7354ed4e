"""When retraining is requested: on quality and concept drift, once for each cause."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from model_monitor import __main__ as program
from model_monitor.audit import verify
from model_monitor.config import Config, Model, Quality
from model_monitor.counts.cohort import Cohort
from model_monitor.counts.counts import Counts
from model_monitor.counts.reference import Reference, Variable
from model_monitor.exchange import address
from model_monitor.figures.results import Results
from model_monitor.retraining import stored
from model_monitor.retraining.collector import RetrainingCollector
from model_monitor.retraining.requests import RetrainingRequests
from model_monitor.retraining.settings import Retraining
from model_monitor.store import Store

from tests.support.contracts import contract
from tests.support.monitor_cohorts import binned, cohort, confused, days, results

FIRST = dt.date(2026, 10, 1)
NOW = dt.datetime(2026, 11, 10, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
MODEL = Model(
    "m",
    label_horizon_days=5,
    quality=(Quality("accuracy", 0.9),),
)
REFERENCE = Reference(
    rows=10_000,
    features=(Variable("age", edges=(0.0, 1.0, 2.0), counts=(5000, 5000)),),
    metrics={"accuracy": 0.9},
)
GOOD, BAD = confused(450, 50, 50, 450), confused(300, 200, 200, 300)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def requests(store: Store, **settings: Any) -> RetrainingRequests:
    retraining = Retraining(**settings)
    config = Config(store.root, (MODEL,), clock="event", retraining=retraining)
    return RetrainingRequests(config, store)


def judged(
    counts: Sequence[Counts],
    now: dt.datetime = NOW,
    model: Model = MODEL,
    revision: str = "r1",
) -> Results:
    """Results of days whose newest is that of NOW, told at another time."""
    first = NOW.date() - DAY * (len(counts) - 1)
    cohorts: list[Cohort] = [
        cohort(day, it, REFERENCE, revision)
        for day, it in zip(days(first, len(counts)), counts, strict=True)
    ]
    told = now.isoformat().replace("+00:00", "Z")
    return replace(results(model, cohorts, NOW, REFERENCE), now=told)


@cache
def of(kind: str) -> Results:
    """Results of days that are all alike: good, bad or without labels."""
    counts = {"good": GOOD, "bad": BAD, "unlabelled": Counts(answered=500)}
    return judged([counts[kind]] * 14)


def at(kind: str, later: int) -> Results:
    """The same, told so many days after NOW."""
    told = (NOW + later * DAY).isoformat().replace("+00:00", "Z")
    return replace(of(kind), now=told)


def contents(store: Store) -> list[dict[str, Any]]:
    return [it.content for it in stored.read_all(store)]


def noted(store: Store) -> list[dict[str, Any]]:
    """Entries of the audit chain, which must be intact."""
    if not store.chain.exists():
        return []
    assert verify(store.chain).is_intact
    entries = [json.loads(line) for line in store.chain.read_text().splitlines()]
    return [it["details"] for it in entries if it["action"] == "retraining_requested"]


def test_a_request_says_why_and_what_to_train_from(store: Store) -> None:
    found = judged([GOOD] * 17 + [BAD] * 15)
    requests(store).judged(found)
    (request,) = contents(store)
    assert request["id"] == "m-r1-2026-11-10"
    assert request["causes"] == ["quality accuracy", "concept"]
    quality = {it["window"]: it for it in request["why"] if it["kind"] == "quality"}
    assert set(quality) == {"1d", "7d", "30d"}
    week = quality["7d"]
    assert (week["metric"], week["value"], week["baseline"]) == ("accuracy", 0.6, 0.9)
    assert week["high"] < 0.9 - week["margin"]
    assert (week["answered"], week["labelled"], week["coverage"]) == (7000, 7000, 1)
    (concept,) = (it for it in request["why"] if it["kind"] == "concept")
    assert concept["error"] == 0.4
    assert concept["statistic"] > concept["limit"]
    assert concept["alarms"]
    # Five days are not due yet.
    assert len(request["training_days"]) == 32 - 5 - 1
    assert request["training_days"][-1] == {
        "date": "2026-11-04",
        "answered": 1000,
        "labelled": 1000,
    }
    assert request["results_digest"] == hashlib.sha256(found.content()).hexdigest()
    (entry,) = noted(store)
    (path,) = (it.path for it in stored.read_all(store))
    assert entry == {
        "id": request["id"],
        "model": "m",
        "revision": "r1",
        "causes": request["causes"],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def misfits(record: dict[str, Any], section: str, whole: dict[str, Any]) -> list[str]:
    """Where a record has other fields than a section of the contract, or null ones."""
    fields = whole[section]
    found = [f"{section}.{it}" for it in record.keys() ^ fields.keys()]
    for name in record.keys() & fields.keys():
        of, value = fields[name].get("of"), record[name]
        if value is None and not fields[name].get("optional"):
            found.append(f"{section}.{name}")
        if value is None:
            continue
        if isinstance(of, list):
            found += [m for it in value for m in misfits(it, it["kind"], whole)]
        elif of:
            items = value if isinstance(value, list) else [value]
            found += [m for it in items for m in misfits(it, of, whole)]
    return found


def test_a_request_is_what_the_contract_says(store: Store) -> None:
    drifted = replace(BAD, features={"age": binned((100, 900))})
    requests(store).judged(judged([GOOD] * 20 + [drifted] * 12))
    (request,) = contents(store)
    whole = contract("retraining_request")
    assert misfits(request, "fields", whole) == []
    assert request["context"]["attributions"] is None
    (feature,) = request["context"]["drifted_features"]
    assert feature["name"] == "age"
    assert misfits(
        {**request, "more": 1, "why": [{"kind": "concept"}]}, "fields", whole
    )


def test_drift_of_data_and_predictions_alone_requests_nothing(store: Store) -> None:
    drifted = replace(
        confused(890, 100, 0, 10),
        features={"age": binned((10, 990))},
        score=binned((0,) * 10 + (1000,) + (0,) * 9),
    )
    found = judged([drifted] * 14)
    (revision,) = found.revisions
    assert revision.drift
    assert revision.drift.features[0].persistent
    requests(store).judged(found)
    assert contents(store) == []
    assert noted(store) == []


@pytest.mark.parametrize(
    "counts",
    [
        [replace(BAD, answered=2000)] * 14,
        [confused(3, 2, 2, 3)] * 10,
        [Counts(answered=500)] * 14,
    ],
    ids=["too low a coverage", "too few labels", "no labels"],
)
def test_what_cannot_be_judged_requests_nothing(
    store: Store, counts: list[Counts]
) -> None:
    requests(store).judged(judged(counts))
    assert contents(store) == []


def test_a_cause_is_requested_once_while_it_lasts(store: Store) -> None:
    one = requests(store)
    for later in range(25):
        one.judged(at("bad", later))
    # A monitor that starts anew asks no second time either.
    requests(store).judged(at("bad", 25))
    assert len(contents(store)) == len(noted(store)) == 1


def test_what_lasts_for_long_is_requested_again(store: Store) -> None:
    one = requests(store, repeat_days=10)
    for later in range(25):
        one.judged(at("bad", later))
    created = [it["created"][:10] for it in contents(store)]
    assert created == ["2026-11-10", "2026-11-20", "2026-11-30"]
    assert [it.is_open for it in stored.read_all(store)] == [False, False, True]


def test_a_cause_that_is_over_and_comes_back_is_requested_again(store: Store) -> None:
    one = requests(store)
    one.judged(of("bad"))
    for later in range(1, 5):
        one.judged(at("good", later))
    (request,) = stored.read_all(store)
    assert not request.is_open
    one.judged(at("bad", 6))
    assert len(contents(store)) == 2
    assert len(noted(store)) == 2


def test_one_good_day_is_no_recovery(store: Store) -> None:
    one = requests(store)
    one.judged(of("bad"))
    for later in range(1, 12):
        one.judged(at("good" if later % 2 else "bad", later))
    (request,) = stored.read_all(store)
    assert request.is_open


def test_days_that_cannot_be_judged_end_nothing(store: Store) -> None:
    one = requests(store)
    one.judged(of("bad"))
    for later in range(1, 8):
        one.judged(at("unlabelled", later))
    (request,) = stored.read_all(store)
    assert request.is_open


def test_a_second_cause_of_the_day_has_a_request_of_its_own(store: Store) -> None:
    """Quality over one day at first; then the concept as well."""
    one = requests(store)
    no_concept = of("bad")
    (revision,) = no_concept.revisions
    only = replace(no_concept, revisions=(replace(revision, concept=None),))
    one.judged(only)
    one.judged(no_concept)
    first, second = contents(store)
    assert first["causes"] == ["quality accuracy"]
    assert second["causes"] == ["concept"]
    assert second["id"] == f"{first['id']}.2"
    # The evidence of the other cause is in it too.
    assert {it["kind"] for it in second["why"]} == {"quality", "concept"}


@pytest.mark.parametrize("revision", ["a/b:c", "x" * 128, "../../r"])
def test_any_revision_gives_a_name_of_a_file(store: Store, revision: str) -> None:
    requests(store).judged(judged([BAD] * 14, revision=revision))
    (request,) = stored.read_all(store)
    assert request.path.parent == store.root / "retraining"
    assert request.content["revision"] == revision
    requests(store).judged(judged([BAD] * 14, NOW + DAY, revision=revision))
    assert len(contents(store)) == 1


def samples(store: Store, **settings: Any) -> dict[str, float]:
    config = Config(store.root, (MODEL,), retraining=Retraining(**settings))
    families = RetrainingCollector(config, store).collect()
    return {it.name: it.value for family in families for it in family.samples}


def test_metrics_follow_the_files(store: Store) -> None:
    webhook = address("http://127.0.0.1:9/")
    none_damaged = {"monitor_retraining_files_damaged": 0}
    assert samples(store) == none_damaged
    assert samples(store, webhook=webhook) == {
        "model_retraining_requests_unsent": 0,
        **none_damaged,
    }
    one = requests(store)
    one.judged(of("bad"))
    assert samples(store) == {"model_retraining_requested": 1, **none_damaged}
    assert samples(store, webhook=webhook)["model_retraining_requests_unsent"] == 1
    for later in range(1, 5):
        one.judged(at("good", later))
    assert samples(store, webhook=webhook) == {
        "model_retraining_requested": 0,
        "model_retraining_requests_unsent": 0,
        **none_damaged,
    }


def test_old_requests_are_deleted_unless_held(store: Store) -> None:
    requests(store).judged(of("bad"))
    config = Config(store.root, (MODEL,), clock="wall")
    later = at("good", 401)
    replay = RetrainingRequests(replace(config, clock="event"), store)
    replay.judged(later)
    assert len(contents(store)) == 1
    # So are those of a model that has left the configuration.
    other = Model("n", label_horizon_days=5)
    RetrainingRequests(replace(config, models=(other,)), store).judged(
        replace(later, model="n", revisions=())
    )
    assert list((store.root / "retraining").iterdir()) == []


def test_the_command_prints_what_is_requested(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"store": str(store.root), "models": [{"name": "m"}]}))
    monkeypatch.setenv("MODEL_MONITOR_CONFIG", str(file))
    # The program's own handlers would outlive the output that they write to.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    assert program.main(["retraining", "m"]) == 0
    assert capsys.readouterr().out == "m: retraining has not been requested\n"
    requests(store).judged(judged([GOOD] * 17 + [BAD] * 15))
    assert program.main(["retraining", "m"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "m-r1-2026-11-10: open, quality accuracy, concept"
    assert "accuracy 0.6000 [" in "\n".join(lines)
    assert "26 days, 2026-10-10 to 2026-11-04" in lines[-1]
    assert program.main(["retraining", "m", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["request"] == contents(store)[0]
    assert program.main(["retraining", "other"]) == 2
    assert "known: m" in capsys.readouterr().err
