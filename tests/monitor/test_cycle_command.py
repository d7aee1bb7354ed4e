"""The program: its commands, what they print, and their exit status."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_monitor import __main__ as program
from model_monitor.audit import Chain
from model_monitor.store import Store

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Run a command with a configuration of one model, by words."""
    path = tmp_path / "monitor.json"
    models: list[dict[str, Any]] = [
        {
            "name": "loans",
            "positive": "yes",
            "label_horizon_days": 1,
            "fairness": {"attributes": ["sex"]},
        }
    ]
    path.write_text(
        json.dumps(
            {"store": str(tmp_path / "store"), "clock": "event", "models": models}
        )
    )
    monkeypatch.setenv("MODEL_MONITOR_CONFIG", str(path))

    def call(*words: object) -> tuple[int, str, str]:
        status = program.main([str(word) for word in words])
        out, err = capsys.readouterr()
        told = [line for line in err.splitlines() if not line.startswith("{")]
        return status, out, "\n".join(told)

    yield call
    # The program's own handler writes to a stream that ends with the test.
    logging.getLogger().handlers.clear()


def write_csv(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def predictions(folder: Path) -> Path:
    return write_csv(
        folder / "predictions.csv",
        [
            {
                "key": f"k{number}",
                "when": f"2026-11-0{1 + number % 2}T10:00:00Z",
                "said": "yes" if number % 2 else "no",
                "p": number / 10,
                "income": 1000.5 * number,
                "owner": number % 3 == 0,
                "sex": "f" if number < 5 else "m",
            }
            for number in range(10)
        ],
    )


def labels(folder: Path) -> Path:
    return write_csv(
        folder / "labels.csv",
        [
            {
                "key": f"k{number}",
                "truth": "yes",
                "known": "2026-11-05 00:00:00",
            }
            for number in range(9)
        ],
    )


BACKFILL = (
    *("backfill", "--model", "loans", "--id", "key", "--time", "when"),
    *("--decision", "said", "--score", "p", "--features", "income,owner"),
    *("--label", "truth", "--label-time", "known"),
)


def test_backfill_imports_counts_and_prints(run: Run, tmp_path: Path) -> None:
    status, out, err = run(
        *BACKFILL,
        *("--predictions", predictions(tmp_path)),
        *("--labels", labels(tmp_path)),
    )
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == (
        "10 predictions of 2 days and 9 labels imported; 0 labels refused"
    )
    assert lines[1].startswith(
        "2 days of predictions counted, results of 1 models written, in "
    )
    # On the second day all five said yes, and four or five of them have that label.
    assert any(it.split()[:3] == ["2026-11-02", "5", "4"] for it in lines)
    read = "select * from read_parquet(?, hive_partitioning = false) order by id"
    stored = str(tmp_path / "store" / "predictions/**/*.parquet")
    (first, *_) = duckdb.sql(read, params=[stored]).fetchall()
    found = dict(zip(duckdb.sql(read, params=[stored]).columns, first, strict=True))
    assert found["id"] == "k0"
    assert found["decision"] == "no"
    assert found["x:income"] == 0.0
    assert found["x:owner"] == 1.0
    assert "a:sex" not in found


def test_backfill_again_changes_nothing(run: Run, tmp_path: Path) -> None:
    words = (
        *BACKFILL,
        *("--predictions", predictions(tmp_path)),
        *("--labels", labels(tmp_path)),
    )
    run(*words)
    root = tmp_path / "store"
    before = {
        path: path.read_bytes()
        for folder in ("predictions", "protected", "labels", "counts", "results")
        for path in (root / folder).rglob("*.*")
        if path.is_file() and "/." not in path.as_posix()
    }
    assert len(before) == 2 + 2 + 2 + 2 + 1
    status, out, _ = run(*words)
    assert status == 0
    assert "0 days of predictions counted" in out
    assert before == {path: path.read_bytes() for path in before}


def test_backfill_names_all_wrong_columns_and_writes_nothing(
    run: Run, tmp_path: Path
) -> None:
    path = predictions(tmp_path)
    status, _, err = run(
        *("backfill", "--model", "loans", "--predictions", path),
        *("--features", "income,wealth", "--date", "2026-11-01"),
    )
    assert status == 2
    has = "it has key, when, said, p, income, owner, sex"
    assert err.splitlines() == [
        f"error: {path}: --id id: no such column; {has}",
        f"error: {path}: --decision decision: no such column; {has}",
        f"error: {path}: --features wealth: no such column; {has}",
    ]
    assert not list((tmp_path / "store" / "predictions").iterdir())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "no time; give --time with a column, or --date with a day"),
        (("--time", "sex"), "--time: 10 rows have none; leave these rows out"),
        (("--date", "soon"), "--date soon: is not a date; write it as 2026-11-29"),
    ],
)
def test_backfill_needs_a_time_for_each_row(
    run: Run, tmp_path: Path, words: tuple[str, ...], text: str
) -> None:
    path = predictions(tmp_path)
    status, _, err = run(
        *("backfill", "--model", "loans", "--predictions", path, "--id", "key"),
        *("--decision", "said", *words),
    )
    assert (status, err) == (2, f"error: {path}: {text}")


def test_backfill_of_a_file_that_is_none(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "no.parquet"
    path.write_text("nothing")
    status, _, err = run("backfill", "--model", "loans", "--predictions", path)
    assert status == 2
    assert err.startswith(f"error: {path}: cannot be read: ")
    assert err.endswith("; give a parquet or CSV file")


def test_backfill_takes_numbers_as_the_log_has_them(run: Run, tmp_path: Path) -> None:
    """A decision of 1.0 and a label of 1 are the same class."""
    path, truth = tmp_path / "p.parquet", tmp_path / "l.parquet"
    pq.write_table(
        pa.table({"id": [1, 2], "decision": [1.0, 0.0], "kind": ["a", None]}), path
    )
    pq.write_table(pa.table({"id": [1.0, 2.0], "label": [1, 0]}), truth)
    status, _, err = run(
        *("backfill", "--model", "loans", "--predictions", path, "--labels", truth),
        *("--date", "2026-11-01", "--features", "kind"),
    )
    assert (status, err) == (0, "")
    stored = str(tmp_path / "store" / "predictions/**/*.parquet")
    read = 'select id, decision, decision_number, "t:kind" from read_parquet(?)'
    assert sorted(duckdb.sql(read, params=[stored]).fetchall()) == [
        ("1", "1", 1.0, "a"),
        ("2", "0", 0.0, None),
    ]
    _, out, _ = run("figures", "loans", "--json")
    (revision,) = json.loads(out)["revisions"]
    (day,) = revision["history"]
    assert day["labelled"] == 2
    assert day["metrics"]["accuracy"]["value"] == 1


def test_backfill_of_a_regression_has_labels_that_are_numbers(
    run: Run, tmp_path: Path
) -> None:
    path, truth = tmp_path / "p.parquet", tmp_path / "l.parquet"
    pq.write_table(pa.table({"id": [1, 2, 3], "decision": [10.0, 20.0, 35.0]}), path)
    pq.write_table(pa.table({"id": [1, 2, 3], "label": [12.5, 20.0, 30.0]}), truth)
    config = tmp_path / "monitor.json"
    content = json.loads(config.read_text())
    content["models"][0] |= {"task": "regression"}
    config.write_text(json.dumps(content))
    status, _, err = run(
        *("backfill", "--model", "loans", "--predictions", path, "--labels", truth),
        *("--date", "2026-11-01"),
    )
    assert (status, err) == (0, "")
    _, out, _ = run("figures", "loans", "--json")
    (revision,) = json.loads(out)["revisions"]
    (day,) = revision["history"]
    assert day["metrics"]["mae"]["value"] == pytest.approx((2.5 + 0 + 5) / 3, abs=1e-12)


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.decimal128(20, 0)])
def test_backfill_keeps_ids_that_no_double_holds_apart(
    run: Run, tmp_path: Path, kind: pa.DataType
) -> None:
    """2**60 and 2**60 + 1 are one double."""
    ids = [1152921504606846976, 1152921504606846977]
    path = tmp_path / "p.parquet"
    table = {"id": pa.array(ids, pa.int64()).cast(kind), "decision": [1, 0]}
    pq.write_table(pa.table(table), path)
    truth = write_csv(tmp_path / "l.csv", [{"id": it, "label": it % 2} for it in ids])
    status, _, err = run(
        *("backfill", "--model", "loans", "--predictions", path, "--labels", truth),
        *("--date", "2026-11-01"),
    )
    assert (status, err) == (0, "")
    _, out, _ = run("figures", "loans", "--json")
    (revision,) = json.loads(out)["revisions"]
    (day,) = revision["history"]
    assert (day["answered"], day["labelled"]) == (2, 2)
    # The first was decided 1 and is 0, the second the other way round.
    assert day["metrics"]["accuracy"]["value"] == 0


def test_figures_of_an_unknown_model_and_of_none_yet(run: Run, tmp_path: Path) -> None:
    assert run("figures", "other") == (
        2,
        "",
        "error: other: no such model in the configuration; known: loans",
    )
    path = tmp_path / "store" / "results" / "loans.json"
    assert run("figures", "loans") == (
        1,
        "",
        f"error: {path}: no results that can be read; run `cycle` or `serve` first",
    )
    status, out, _ = run("cycle")
    assert status == 0
    assert out.startswith("0 days of predictions counted, results of 1 models written")
    status, out, _ = run("figures", "loans", "--json")
    assert status == 0
    assert json.loads(out)["revisions"] == []


def test_labels_are_imported_and_found(run: Run, tmp_path: Path) -> None:
    run(*BACKFILL, "--predictions", predictions(tmp_path))
    path = tmp_path / "more.jsonl"
    line = {
        "id": "k3",
        "label": "yes",
        "label_time": "2026-11-03T00:00:00.000000Z",
        "source": "test",
    }
    path.write_text(f"{json.dumps(line)}\n{json.dumps(line | {'id': 3})}\n")
    # All files are looked at before one is imported.
    status, out, err = run("import-labels", path, tmp_path / "none.jsonl")
    assert (status, out) == (2, "")
    assert err == (
        f"error: {tmp_path / 'none.jsonl'}: cannot be read: no such file or directory; "
        "give a file that can"
    )
    status, out, err = run("import-labels", path)
    assert status == 1
    assert out == f"{path}: 1 labels accepted\n"
    assert f"{path}: 1 lines refused: " in err
    run("cycle")
    _, out, _ = run("figures", "loans", "--json")
    (revision,) = json.loads(out)["revisions"]
    assert [day["labelled"] for day in revision["history"]] == [0, 1]


def test_the_chain_is_verified(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "store" / "audit" / "chain.jsonl"
    assert run("verify") == (
        1,
        "",
        f"error: {path}: there is no audit chain; a running monitor begins one",
    )
    path.parent.mkdir(parents=True)
    Chain(path).append("first", {"n": 1})
    head = Chain(path).append("second", {"n": 2})
    status, out, _ = run("verify")
    assert status == 0
    assert out == f"{path}: 2 entries, intact; newest 2:{head.hash}\n"
    assert run("verify", "--anchor", f"2:{head.hash}")[0] == 0
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0])
    status, _, err = run("verify", "--anchor", f"2:{head.hash}")
    assert status == 1
    assert err.startswith(f"error: {path}:2: anchor: ")
    path.write_text(lines[0].replace('"n":1', '"n":3') + lines[1])
    status, _, err = run("verify")
    assert status == 1
    assert err.startswith(f"error: {path}:1: hash: ")


def test_a_subject_is_erased_and_its_day_counted_again(
    run: Run, tmp_path: Path
) -> None:
    run(
        *BACKFILL,
        *("--predictions", predictions(tmp_path)),
        *("--labels", labels(tmp_path)),
    )
    key = tmp_path / "key"
    key.write_text("secret\n")
    status, out, err = run("erase", "id", "k3", "--key", key, "--actor", "dpo")
    assert (status, err) == (0, "")
    receipt = json.loads(out)
    assert receipt["rows"] == {"labels": 1, "predictions": 1, "protected": 1}
    assert "k3" not in out
    _, out, _ = run("figures", "loans", "--json")
    (revision,) = json.loads(out)["revisions"]
    days = [(day["answered"], day["labelled"]) for day in revision["history"]]
    assert days == [(5, 5), (4, 3)]


def test_a_store_in_use_is_refused(run: Run, tmp_path: Path) -> None:
    with Store(tmp_path / "store").opened():
        status, _, err = run("cycle")
    assert status == 1
    assert "two monitors must not share one" in err


def test_wrong_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MODEL_MONITOR_CONFIG", raising=False)
    assert program.main(["cycle"]) == 2
    assert "error: MODEL_MONITOR_CONFIG: is not set" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        *("", "serve", "cycle", "figures", "backfill", "import-labels", "verify"),
        *("erase", "request", "retraining"),
    ],
)
def test_every_command_has_help(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        program.main([*command.split(), "--help"])
    assert raised.value.code == 0
    assert "usage: model_monitor" in capsys.readouterr().out
