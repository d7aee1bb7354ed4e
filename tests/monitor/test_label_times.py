"""Times of labels with an offset are taken in, as the moment in UTC that they name."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from model_monitor.backfill import BackfillError, backfill
from model_monitor.column_mapping import ColumnMapping
from model_monitor.labels import import_labels
from model_monitor.labels.importing import import_posted
from model_monitor.store import Store, ingest
from model_monitor.store.checks import FIXES

from tests.support.monitor_records import NOW, label, land, prediction, rows, text

GOOD = (
    "2026-11-29T13:45:00Z",
    "2026-11-29T15:45:00+02:00",
    "2026-11-29T08:15:00.123456-05:30",
    "2026-11-30T03:44:00.5+14:00",
    "2026-11-29T13:45:00-00:00",
    "2024-02-29T23:59:59+23:59",
)
BAD = (
    "2026-11-29T13:45:00",
    "2026-11-29 13:45:00+02:00",
    "2026-11-29T13:45:00+0200",
    "2026-11-29T13:45:00+02",
    "2026-11-29T13:45:00+24:00",
    "2026-11-29T13:45:00+02:60",
    "2026-11-29T13:45:00 +02:00",
    "2026-11-29T13:45:00 Europe/Paris",
    "2025-02-29T13:45:00+02:00",
    "2026-11-29T24:00:01+02:00",
    "0001-01-01T00:00:00+02:00",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def utc(moment: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(moment)
    return found.astimezone(dt.UTC).replace(tzinfo=None)


def known(store: Store) -> list[dt.datetime]:
    """The times of the labels that wait, by the ids."""
    return [
        it["label_time"] for it in sorted(rows(store.pending), key=lambda x: x["id"])
    ]


def lines(times: tuple[str, ...]) -> bytes:
    return text([label(id=f"{n:02}", label_time=it) for n, it in enumerate(times)])


def parquet(path: Path, times: tuple[str, ...]) -> None:
    values = ", ".join(f"('{n:02}', 1, '{it}', 's')" for n, it in enumerate(times))
    columns = "id, label, label_time, source"
    duckdb.sql(f"select * from (values {values}) as t({columns})").write_parquet(
        str(path)
    )


def csv(path: Path, times: tuple[str, ...]) -> None:
    records = [f"{n:02},1,{it},s" for n, it in enumerate(times)]
    path.write_text("\n".join(["id,label,label_time,source", *records]) + "\n")


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_file_of_labels(store: Store, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"l.{ending}"
    write = {"csv": csv, "parquet": parquet}.get(ending)
    if write:
        write(path, (*GOOD, *BAD))
    else:
        path.write_bytes(lines((*GOOD, *BAD)))
    result = import_labels(store, path, now=NOW)
    assert (result.accepted, result.refused) == (len(GOOD), {"bad_time": len(BAD)})
    assert known(store) == [utc(it) for it in GOOD]


def test_a_post_of_labels(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(lines((*GOOD, *BAD)))
    result = import_posted(store, path, "0" * 64, now=NOW)
    assert (result.accepted, result.refused) == (len(GOOD), {"bad_time": len(BAD)})
    assert known(store) == [utc(it) for it in GOOD]
    assert "2026-11-29T15:00:00+02:00" in FIXES["bad_time"]
    assert "without Z or an offset a time names no moment" in FIXES["bad_time"]


def test_the_machines_zone_is_of_no_account(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    path = tmp_path / "l.jsonl"
    path.write_bytes(lines(GOOD))
    import_labels(store, path, now=NOW)
    assert known(store) == [utc(it) for it in GOOD]


def test_a_moment_in_the_future_is_reported_by_its_utc(
    store: Store, tmp_path: Path
) -> None:
    """It is 14:00 in UTC: 15:00 at +02:00 has passed, 12:00 at -05:00 has not."""
    path = tmp_path / "l.jsonl"
    times = ("2026-11-29T15:00:00+02:00", "2026-11-29T12:00:00-05:00")
    path.write_bytes(lines(times))
    result = import_labels(store, path, now=NOW)
    assert (result.accepted, result.refused) == (1, {"future_time": 1})


def test_the_hint_may_have_an_offset_too(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(text([label(prediction_time="2026-11-29T14:30:00+02:00")]))
    import_labels(store, path, now=NOW)
    (row,) = rows(store.pending)
    assert row["prediction_time"] == utc("2026-11-29T12:30:00Z")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_backfill_takes_text_with_an_offset(
    store: Store, tmp_path: Path, ending: str
) -> None:
    """Without an offset it is UTC, as the option says; a bare cast drops the offset."""
    predictions, labels = tmp_path / f"p.{ending}", tmp_path / f"l.{ending}"
    for path, column in ((predictions, "time"), (labels, "known")):
        select = (
            f"select '1' as id, 1 as decision, 1 as label, "
            f"'2026-11-01T01:30:00+02:00' as {column} union all "
            f"select '2', 0, 1, '2026-11-01 01:30:00'"
        )
        if ending == "csv":
            duckdb.sql(select).write_csv(str(path))
        else:
            duckdb.sql(select).write_parquet(str(path))
    mapping = ColumnMapping(time="time", label_time="known")
    done = backfill(store, "m", mapping, predictions, labels)
    assert (done.predictions, done.days, done.labels) == (2, 2, 2)
    moments = [
        it["time"] for it in sorted(rows(store.predictions), key=lambda x: x["id"])
    ]
    assert moments == [
        utc("2026-10-31T23:30:00Z"),
        utc("2026-11-01T01:30:00Z"),
    ]
    assert known(store) == moments


def test_predictions_keep_to_the_contract(store: Store) -> None:
    """Servers write Z: another form is not theirs."""
    land(store, [prediction(time="2026-11-29T13:00:00+01:00"), prediction(id="b")])
    result = ingest(store, now=lambda: NOW)
    assert result.quarantined == {"bad_time": 1}
    (report,) = store.quarantine.glob("*.reason.json")
    assert json.loads(report.read_text())["bad"]["bad_time"]["fields"] == {"time": 1}


ANY_OFFSET = {
    "2026-11-29 00:30:00+01": "2026-11-28T23:30:00",
    "2026-11-29T00:30:00+0130": "2026-11-28T23:00:00",
    "2026-11-29 00:30:00-05:00": "2026-11-29T05:30:00",
    "2026-11-29 00:30:00.25-05": "2026-11-29T05:30:00.250000",
    "2026-11-29T00:30:00Z": "2026-11-29T00:30:00",
    "2026-11-29T00:30:00z": "2026-11-29T00:30:00",
    "2026-11-29 00:30:00": "2026-11-29T00:30:00",
    "2026/11/29 00:30:00": "2026-11-29T00:30:00",
    "2026-11-29": "2026-11-29T00:00:00",
}
"""As PostgreSQL, Python and others write times."""
NO_TIME = (
    *("2026-11-29T00:30:00+02:00:00", "2026-11-29 00:30:00 Europe/Berlin"),
    *("2026-11-29 00:30:00 UTC", "2026-11-29 00:30:00+02:00 ", "infinity", "epoch"),
    *("2026-11-29T00:30:00+24", "2026-11-29T00:30:00+0260", "2026-11-29T00:30:00+2"),
    *("2026-11-29T00:30:00+020", "2026-11-29-05", "0001-01-01T00:00:00+02", ""),
)


def backfilled(store: Store, path: Path, times: list[str]) -> list[str]:
    """The times that the store has of a file of these times."""
    lines = [f"{n:02},1,{it}" for n, it in enumerate(times)]
    path.write_text("\n".join(["id,decision,at", *lines]) + "\n")
    backfill(store, "m", ColumnMapping(time="at"), path)
    found = sorted(rows(store.predictions), key=lambda it: it["id"])
    return [it["time"].isoformat() for it in found]


def test_times_of_a_past_period_have_offsets_of_any_form(
    store: Store, tmp_path: Path
) -> None:
    found = backfilled(store, tmp_path / "p.csv", list(ANY_OFFSET))
    assert found == list(ANY_OFFSET.values())


@pytest.mark.parametrize("moment", NO_TIME)
def test_what_stands_after_a_time_is_not_dropped(
    store: Store, tmp_path: Path, moment: str
) -> None:
    """A file with such a time is refused, with the number of its rows."""
    with pytest.raises(BackfillError, match="--time: 2 rows have none"):
        backfilled(store, tmp_path / "p.csv", [moment, "2026-11-29T00:30:00Z", moment])
    assert rows(store.predictions) == []
