"""Lines that are against the contract: each told by its reason, the others kept."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_monitor.audit import verify
from model_monitor.store import Limits, Store, ingest
from model_monitor.store.checks import FIXES

from tests.support.monitor_records import (
    LEFT_OUT,
    NAME,
    NOW,
    land,
    prediction,
    protected,
    rows,
)

SECRET = "visible-nowhere"
BAD: dict[str, tuple[Any, str, str]] = {
    "no json": (b"{", "not_json", ""),
    "two objects": (b'{"id":"a"} {"id":"b"}', "not_json", ""),
    "half a line": (json.dumps(prediction()).encode()[:-20], "not_json", ""),
    "half a surrogate": (b'{"id":"\\ud800"}', "not_json", ""),
    "a list": ([1], "not_an_object", ""),
    "a number": (5, "not_an_object", ""),
    "nothing in it": ({}, "not_an_object", ""),
    "deep": (b"[" * 3_000 + b"]" * 3_000, "not_an_object", ""),
    "no utf-8": (b'{"id":"\xff"}', "not_utf8", ""),
    "too long a line": (prediction(features={"a": "x" * 9_000}), "line_too_long", ""),
    "no id": (prediction(id=LEFT_OUT), "missing_field", "id"),
    "no features": (prediction(features=LEFT_OUT), "missing_field", "features"),
    "features of an error": (prediction(code="x"), "unknown_field", "features"),
    "another field": (prediction(extra=SECRET), "unknown_field", ""),
    "other case": (prediction(ID="a"), "unknown_field", ""),
    "a field twice": (
        json.dumps(prediction()).encode()[:-1] + b',"id":"b"}',
        "repeated_field",
        "",
    ),
    "empty id": (prediction(id=""), "empty", "id"),
    "empty model": (prediction(model=""), "empty", "model"),
    "id is a number": (prediction(id=5), "wrong_type", "id"),
    "id is null": (prediction(id=None), "wrong_type", "id"),
    "control character": (prediction(id="a\nb"), "wrong_type", "id"),
    "long id": (prediction(id="x" * 300), "too_long", "id"),
    # Each of these is a folder's name, of at most 255 bytes.
    "long revision": (prediction(revision="r" * 250), "too_long", "revision"),
    "long model": (prediction(model="m" * 247), "too_long", "model"),
    "long when quoted": (prediction(revision="\u6a21" * 28), "too_long", "revision"),
    "row is text": (prediction(row="0"), "wrong_type", "row"),
    "row is not a whole number": (prediction(row=1.0), "wrong_type", "row"),
    "row is true": (prediction(row=True), "wrong_type", "row"),
    "row below 0": (prediction(row=-1), "out_of_range", "row"),
    "row too large": (prediction(row=2**31), "out_of_range", "row"),
    "status is huge": (prediction(status=10**30), "out_of_range", "status"),
    "latency is text": (
        prediction(latency_seconds="1"),
        "wrong_type",
        "latency_seconds",
    ),
    "latency is NaN": (
        prediction(latency_seconds=float("nan")),
        "not_finite",
        "latency_seconds",
    ),
    "latency beyond doubles": (
        json.dumps(prediction()).replace("0.0025", "1e400").encode(),
        "not_finite",
        "latency_seconds",
    ),
    "time is a number": (prediction(time=1), "wrong_type", "time"),
    "time without zone": (prediction(time="2026-11-29T13:00:00"), "bad_time", "time"),
    "time of a zone": (
        prediction(time="2026-11-29T13:00:00+01:00"),
        "bad_time",
        "time",
    ),
    "time with a space": (prediction(time="2026-11-29 13:00:00Z"), "bad_time", "time"),
    "nanoseconds": (
        prediction(time="2026-11-29T13:00:00.123456789Z"),
        "bad_time",
        "time",
    ),
    "no such day": (prediction(time="2026-02-30T13:00:00Z"), "bad_time", "time"),
    "from the future": (
        prediction(time="2026-11-29T14:05:01Z"),
        "future_time",
        "time",
    ),
    "too old": (prediction(time="2026-06-01T23:59:59Z"), "too_old", "time"),
    "features are a list": (prediction(features=[1]), "wrong_type", "features"),
    "a feature is an object": (
        prediction(features={"a": {"b": SECRET}}),
        "wrong_type",
        "features",
    ),
    "a feature is a list of lists": (
        prediction(features={"a": [[1]]}),
        "wrong_type",
        "features",
    ),
    "a feature is NaN": (
        prediction(features={"a": float("nan"), "b": 1}),
        "not_finite",
        "features",
    ),
    "a feature is infinite": (
        prediction(features={"a": float("-inf"), "b": 1}),
        "not_finite",
        "features",
    ),
    "a feature twice": (
        json.dumps(prediction(features={"a": 1})).replace('{"a": 1}', '{"a":1,"a":2}'),
        "bad_names",
        "features",
    ),
    "a name with a control character": (
        prediction(features={"a\x00": 1}),
        "bad_names",
        "features",
    ),
    "names that differ by case alone": (
        prediction(features={"a": 1, "A": 2}),
        "bad_names",
        "features",
    ),
    "too many names": (
        prediction(features={f"n{n}": n for n in range(300)}),
        "bad_names",
        "features",
    ),
    "decision is an object": (
        prediction(decision={"a": 1}),
        "wrong_type",
        "decision",
    ),
    "decision is NaN": (prediction(decision=float("nan")), "not_finite", "decision"),
    "score is text": (prediction(score=SECRET), "wrong_type", "score"),
    "a score is text": (prediction(score=[0.5, "0.5"]), "wrong_type", "score"),
}
LIMITS = Limits(line_bytes=8_000, names=200)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def take(store: Store) -> Any:
    return ingest(store, limits=LIMITS, now=lambda: NOW)


def as_line(bad: Any) -> bytes:
    if isinstance(bad, str):
        return bad.encode()
    return bad if isinstance(bad, bytes) else json.dumps(bad).encode()


def test_every_bad_line_goes_to_quarantine_with_its_reason(store: Store) -> None:
    """All in one file, a good line after each: none takes another with it."""
    lines: list[Any] = []
    for number, (bad, _, _) in enumerate(BAD.values()):
        lines += [as_line(bad), prediction(id=f"good-{number}")]
    land(store, lines)
    result = take(store)
    assert result.files == {"ingested": 1}
    found = [row["id"] for row in rows(store.predictions)]
    assert found == [f"good-{number}" for number in range(len(BAD))]
    kept = gzip.decompress((store.quarantine / NAME).read_bytes()).splitlines()
    assert kept == [as_line(bad) for bad, _, _ in BAD.values()]
    report = json.loads((store.quarantine / f"{NAME}.reason.json").read_text())
    told = {
        line: code for code, of in report["bad"].items() for line in of["first_lines"]
    }
    expected = {2 * n + 1: reason for n, (_, reason, _) in enumerate(BAD.values())}
    assert told == {line: why for line, why in expected.items() if line in told}
    counts: dict[str, int] = {}
    for _, reason, _ in BAD.values():
        counts[reason] = counts.get(reason, 0) + 1
    assert {code: of["lines"] for code, of in report["bad"].items()} == counts
    assert result.quarantined == counts
    assert (report["lines"], report["kept"]) == (2 * len(BAD), len(BAD))
    assert SECRET not in json.dumps(report)


@pytest.mark.parametrize("what", BAD)
def test_a_bad_line(what: str, store: Store) -> None:
    bad, reason, field = BAD[what]
    land(store, [prediction(features={}), as_line(bad)])
    result = take(store)
    assert result.quarantined == {reason: 1}
    assert len(rows(store.predictions)) == 1
    report = json.loads((store.quarantine / f"{NAME}.reason.json").read_text())
    assert report["bad"][reason]["first_lines"] == [2]
    assert report["bad"][reason]["fields"] == ({field: 1} if field else {})
    assert report["bad"][reason]["fix"] == FIXES[reason]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (protected(attributes={"a": []}), ""),
        (protected(attributes=None), "wrong_type"),
        (protected(attributes={"a": {}}), "wrong_type"),
        (protected(arm="a"), "unknown_field"),
        (prediction(), "missing_field"),
    ],
)
def test_protected_records_have_a_contract_of_their_own(
    store: Store, bad: dict[str, Any], reason: str
) -> None:
    land(store, [bad], "protected-h-1.jsonl.gz")
    assert take(store).quarantined == ({reason: 1} if reason else {})


@pytest.mark.parametrize("name", ["r" * 246, "\u6a21" * 27, "/" * 82, "~" * 246])
def test_the_longest_names_are_kept(store: Store, name: str) -> None:
    """246 bytes when quoted: `revision=` comes before them."""
    land(store, [prediction(revision=name, model=name)])
    land(store, [protected(revision=name, model=name)], "protected-h-1.jsonl.gz")
    assert take(store).files == {"ingested": 2}
    for folder in (store.predictions, store.protected):
        assert [row["revision"] for row in rows(folder)] == [name]


def test_protected_records_of_a_long_revision(store: Store) -> None:
    bad = protected(revision="r" * 250)
    land(store, [protected(), bad], "protected-h-1.jsonl.gz")
    assert take(store).quarantined == {"too_long": 1}
    assert len(rows(store.protected)) == 1
    assert list(store.landing.glob("*.gz")) == []


def test_a_file_of_bad_lines_alone(store: Store) -> None:
    path = land(store, [b"x", b"y"])
    assert take(store).quarantined == {"not_json": 2}
    assert not path.exists()
    assert rows(store.predictions) == []


def test_the_audit_chain_tells_of_quarantine_once(store: Store) -> None:
    land(store, [b"x"])
    take(store)
    (entry,) = map(json.loads, store.chain.read_text().splitlines())
    assert entry["action"] == "quarantined"
    assert entry["details"] == {
        "name": NAME,
        "reason": "bad_lines",
        "lines": {"not_json": 1},
    }
    assert verify(store.chain).is_intact


def test_what_a_clock_may_be_ahead_is_kept(store: Store) -> None:
    land(store, [prediction(time="2026-11-29T14:05:00Z")])
    assert take(store).quarantined == {}


def test_the_first_day_of_the_retention_is_kept(store: Store) -> None:
    land(store, [prediction(time="2026-06-02T00:00:00Z")])
    assert take(store).quarantined == {}


def test_every_reason_says_what_to_do() -> None:
    assert {reason for _, reason, _ in BAD.values()} <= set(FIXES)
