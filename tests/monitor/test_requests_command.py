"""Commands beside a running monitor: the same output and status as by themselves."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from model_monitor import __main__ as program
from model_monitor.cycle import Cycle
from model_monitor.requests import Inbox
from model_monitor.requests import inbox as inbox_module
from model_monitor.store import Store

from tests.support.monitor_requests import (
    KEY,
    MEMBER,
    config,
    filled,
    full_disk,
    late_labels,
    past,
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that is counted."""
    found = tmp_path_factory.mktemp("prepared") / "store"
    filled(found)
    return found


@pytest.fixture
def root(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "store"))


@pytest.fixture
def run(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Run a command with the configuration of the store, by words."""
    path = root.parent / "monitor.json"
    model = {"name": "m", "label_horizon_days": 1}
    fairness = {"attributes": ["sex"], "min_group": 10}
    content = {"clock": "event", "models": [model | {"fairness": fairness}]}
    monkeypatch.setenv("MODEL_MONITOR_CONFIG", str(path))

    def call(*words: object, store: Path = root) -> tuple[int, str, str]:
        path.write_text(json.dumps(content | {"store": str(store)}))
        status = program.main([str(word) for word in words])
        out, err = capsys.readouterr()
        told = [line for line in err.splitlines() if not line.startswith("{")]
        return status, out, "\n".join(told)

    yield call
    # The program's own handler writes to a stream that ends with the test.
    logging.getLogger().handlers.clear()


@contextmanager
def running(root: Path) -> Iterator[Store]:
    """Hold the store and do cycles until the end, as a monitor does."""
    stop = threading.Event()

    def work(store: Store) -> None:
        cycle = Cycle(config(root), store)
        while not stop.wait(0.05):
            if cycle.waiting():
                cycle.run()

    with Store(root).opened() as store:
        thread = threading.Thread(target=work, args=[store])
        thread.start()
        try:
            yield store
        finally:
            stop.set()
            thread.join()


def words(name: str, folder: Path) -> list[object]:
    """A command by name, with files in a folder."""
    folder.mkdir(exist_ok=True)
    if name == "erase":
        key = folder / "key"
        key.write_bytes(KEY + b"\n")
        return ["erase", "member", MEMBER, "--key", key, "--actor", "dpo"]
    if name == "import-labels":
        return ["import-labels", late_labels(folder), "--actor", "ann"]
    predictions, labels = past(folder)
    return [
        *("backfill", "--model", "m", "--id", "key", "--date", "2026-10-30"),
        *("--predictions", predictions, "--labels", labels, "--decision", "said"),
        *("--label", "truth", "--label-time", "known"),
    ]


def same(output: str) -> str:
    """Output without times and durations, whichever store it is about."""
    output = re.sub(r'"time": "[^"]*"', "", output)
    return re.sub(r"in \d+\.\d s", "", output).replace("other", "store")


@pytest.mark.parametrize("name", ["erase", "import-labels", "backfill"])
def test_output_and_status_are_the_same_beside_a_monitor(
    run: Run, root: Path, tmp_path: Path, name: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(root, other)
    command = words(name, tmp_path / "files")
    alone = run(*command, store=other)
    with running(root):
        beside = run(*command)
    status, out, err = beside
    assert status == alone[0]
    assert status == (1 if name == "import-labels" else 0)
    assert same(out) == same(alone[1])
    assert out
    told = [line for line in err.splitlines() if not line.startswith("request ")]
    assert told == same(alone[2]).splitlines()
    # Nothing of the request stays but its answer, and both stores say the same.
    (answer,) = (root / "requests").iterdir()
    assert answer.name.endswith(".answer.json")
    assert not (other / "requests").exists()
    if name != "import-labels":
        twin = (other / "results/m.json").read_bytes()
        assert (root / "results/m.json").read_bytes() == twin


def test_an_answer_is_shown_as_the_command_prints_it(run: Run, root: Path) -> None:
    with Store(root).opened() as store:
        status, out, err = run(*words("erase", root.parent / "files"), "--no-wait")
        assert (status, err) == (0, "")
        name = out.strip()
        waiting = f"request {name}: waits for the monitor's next cycle\n"
        assert run("request", name) == (3, waiting, "")
        _, second, _ = run(*words("import-labels", root.parent / "files"), "--no-wait")
        status, out, _ = run("request", second.strip())
        assert out.endswith(": waits behind 1 others for the monitor's next cycle\n")
        Cycle(config(root), store).run()
        status, out, err = run("request", name)
        assert (status, err) == (0, "")
        assert json.loads(out)["rows"]["predictions"] == 6
        status, out, err = run("request", second.strip())
        assert status == 1
        assert "late.jsonl: 60 labels accepted" in out
        assert "late.jsonl: 1 lines refused: missing_field" in err
    actors = [
        (entry["actor"], entry["action"])
        for entry in map(json.loads, store.chain.read_text().splitlines())
    ]
    assert ("dpo", "erased") in actors
    assert ("ann", "labels_imported") in actors


def test_an_unknown_request(run: Run, root: Path) -> None:
    status, out, err = run("request", "r1")
    assert (status, out) == (2, "")
    assert err == (
        f"error: request r1: is not in {root / 'requests'}; give an id that a command "
        "printed, within 30 days of its answer"
    )


def test_a_command_does_the_work_itself_once_the_monitor_has_ended(
    run: Run, root: Path
) -> None:
    """Whoever held the store may have ended before the request was written."""
    ended = threading.Event()

    def end_when_asked() -> None:
        with Store(root).opened() as store:
            held.set()
            while not Inbox(store).waiting():
                ended.wait(0.01)

    held = threading.Event()
    thread = threading.Thread(target=end_when_asked)
    thread.start()
    held.wait(30)
    status, out, _ = run(*words("erase", root.parent / "files"))
    thread.join()
    assert status == 0
    assert json.loads(out)["rows"] == {"labels": 6, "predictions": 6, "protected": 6}


def test_what_waits_comes_before_what_a_command_does_itself(
    run: Run, root: Path
) -> None:
    folder = root.parent / "files"
    with Store(root).opened():
        _, out, _ = run(*words("import-labels", folder), "--no-wait")
    first = out.strip()
    run(*words("erase", folder))
    answer = Inbox(Store(root)).answer(first)
    assert answer is not None
    assert answer.status == "done"
    chain = (root / "audit/chain.jsonl").read_text().splitlines()
    actions = [it["action"] for it in map(json.loads, chain)]
    assert actions.index("erased") > len(actions) - 1 - actions[::-1].index(
        "labels_imported"
    )


@pytest.mark.parametrize(
    "case",
    [
        (["erase", "", MEMBER, "--key", "KEY"], 2, 'field="": is empty; name one'),
        (["erase", "member", "", "--key", "KEY"], 2, 'value="": is empty; name one'),
        (["erase", "member", "x", "--key", "NONE"], 2, "NONE: cannot be read: no such"),
        (["erase", "member", "x", "--key", "EMPTY"], 2, "EMPTY: is empty; put a sec"),
        (["import-labels", "l.txt"], 2, "l.txt: cannot be read: no such file or"),
        (["import-labels", "BAD.txt"], 2, "BAD.txt: cannot be the name of a file of"),
        (
            ["backfill", "--model", "m", "--predictions", "NONE"],
            2,
            "NONE: cannot be read: no such file or directory; give a file that can",
        ),
        (["backfill", "--model", "x", "--predictions", "KEY"], 2, "--model x: not in"),
    ],
)
def test_a_bad_request_is_refused_and_not_written(
    run: Run,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[list[str], int, str],
) -> None:
    command, status, error = case
    monkeypatch.chdir(tmp_path)
    for name, text in {"KEY": "k", "EMPTY": "\n", "BAD.txt": "x"}.items():
        Path(name).write_text(text)
    with Store(root).opened():
        found, out, err = run(*command, "--no-wait")
    assert (found, out) == (status, "")
    assert err.startswith(f"error: {error}")
    assert not (root / "requests").exists()


def test_a_backfill_with_wrong_columns_is_refused_and_not_written(
    run: Run, root: Path
) -> None:
    command = words("backfill", root.parent / "files")
    with Store(root).opened():
        status, _, err = run(*command, "--row", "r", "--no-wait")
    assert status == 2
    assert "--row r: no such column; it has key, truth, known" in err
    assert not (root / "requests").exists()


@pytest.mark.parametrize(
    "case",
    [
        ("MOST_BYTES", 10, " bytes, at most 10 for one request; split the files"),
        ("SPARE_BYTES", 1 << 60, "; make room, or split the files"),
        ("MOST_WAITING", 0, "0 requests wait, at most 0 may; look at the monitor's"),
    ],
)
def test_a_request_beyond_the_limits_is_refused(
    run: Run,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, int, str],
) -> None:
    limit, value, error = case
    monkeypatch.setattr(inbox_module, limit, value)
    with Store(root).opened():
        status, out, err = run(*words("import-labels", root.parent / "files"))
    assert (status, out) == (1, "")
    assert error in err
    assert not list((root / "requests").iterdir())


def answered(root: Path, name: str, content: Any) -> dict[str, Any]:
    """The answer of a file that somebody put there."""
    folder = root / "requests"
    folder.mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / f"{name}.json").write_text(text)
    with Store(root).opened() as store:
        Cycle(config(root), store).run()
    found: dict[str, Any] = json.loads((folder / f"{name}.answer.json").read_text())
    assert [it.name for it in folder.iterdir()] == [f"{name}.answer.json"]
    return found


GOOD = {
    "id": "r1",
    "kind": "erase",
    "arguments": {"field": "member", "value": MEMBER, "value_hash": "0"},
    "actor": "dpo",
    "time": "2026-11-29T12:00:00+00:00",
    "files": [],
}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{", "the file: is not JSON"),
        ({}, "the file: has not just actor, arguments, files, id, kind, time"),
        (GOOD | {"id": "r2"}, "id='r2': is not the name of the file"),
        (GOOD | {"kind": "drop"}, "kind='drop': is not one of erase, backfill, import"),
        (GOOD | {"time": "2026-11-29T12:00:00"}, "is not a time with its zone"),
        (GOOD | {"files": ["/etc/passwd"]}, "is not a list of 0 to 0 paths"),
        (GOOD | {"arguments": {"value": MEMBER}}, "are not just field, value, value"),
        (GOOD | {"kind": "backfill", "files": ["a"]}, "are not just model, mapping"),
    ],
)
def test_a_file_that_is_no_request_is_answered(
    root: Path, content: Any, error: str
) -> None:
    answer = answered(root, "r1", content)
    assert (answer["status"], answer["exit_status"]) == ("failed", 2)
    assert error in answer["errors"][0]
    assert MEMBER not in json.dumps(answer)


def test_an_id_is_carried_out_once_whoever_chose_it(root: Path) -> None:
    assert answered(root, "r1", GOOD)["details"]["rows"]["predictions"] == 6
    before = (root / "audit/chain.jsonl").read_bytes()
    (root / "requests/r1.json").write_text(json.dumps(GOOD))
    with Store(root).opened() as store:
        Cycle(config(root), store).run()
    assert not (root / "requests/r1.json").exists()
    assert (root / "audit/chain.jsonl").read_bytes() == before


def test_a_cycle_that_fails_is_in_the_answer(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(root).opened() as store, monkeypatch.context() as patch:
        folder = root / "requests"
        folder.mkdir()
        mapping = {"id": "key", "date": "2026-10-30", "decision": "said"}
        predictions, _ = past(root.parent)
        content = {
            "id": "r1",
            "kind": "backfill",
            "arguments": {"model": "m", "mapping": mapping},
            "files": [str(predictions)],
        }
        (folder / "r1.json").write_text(json.dumps(GOOD | content))
        copy = folder / "r1.files" / "0" / predictions.name
        copy.parent.mkdir(parents=True)
        copy.write_bytes(predictions.read_bytes())
        patch.setattr("model_monitor.cycle.ingest", full_disk)
        with pytest.raises(OSError, match="No space"):
            Cycle(config(root), store).run()
    answer = Inbox(Store(root)).answer("r1")
    assert answer is not None
    assert (answer.status, answer.exit_status) == ("done", 1)
    failure = "the cycle failed: [Errno 28] No space left on device; it is done again"
    assert answer.errors == (failure,)


def test_a_receipt_is_printed_if_the_cycle_after_it_fails(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_monitor.cycle.ingest", full_disk)
    status, out, err = run(*words("erase", root.parent / "files"))
    assert status == 1
    assert json.loads(out)["rows"]["predictions"] == 6
    assert err.startswith("error: the cycle failed: [Errno 28] No space left")


def test_old_answers_and_leftovers_are_deleted(root: Path) -> None:
    with Store(root).opened() as store:
        inbox = Inbox(store)
        folder = root / "requests"
        (folder / "gone.files").mkdir(parents=True)
        for name, days in {
            "old.answer.json": 31,
            "new.answer.json": 29,
            ".new-1": 1,
            ".new-2": 0,
            "gone.journal.jsonl": 1,
            "gone.files": 1,
        }.items():
            path = folder / name
            if not path.exists():
                path.write_text("{}")
            then = time.time() - days * 86_400
            os.utime(path, (then, then))
        inbox.tidy(30)
        assert {it.name for it in folder.iterdir()} == {"new.answer.json", ".new-2"}
