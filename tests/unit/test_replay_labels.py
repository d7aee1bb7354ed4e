"""`slipway replay --labels`: both revisions' accuracies on the same rows."""

from __future__ import annotations

import csv
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from slipway.cli import cli
from slipway.replay import labels
from slipway.replay.pairs import Answer, Pair

TIMES = ("2026-11-01T00:00:00Z", "2026-11-02T01:00:00+02:00", "2026-11-03T00:00:00Z")
ROWS = 100


def label(name: str, value: Any, when: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "label": value,
        "label_time": TIMES[when],
        "source": "s",
        **more,
    }


def write(path: Path, *records: dict[str, Any]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            fields = ("id", "row", "label", "label_time", "source")
            writer = csv.DictWriter(file, fields)
            writer.writeheader()
            writer.writerows(
                {**it, "label": "null" if it["label"] is None else it["label"]}
                for it in records
            )
        return path
    content = "".join(json.dumps(one) + "\n" for one in records).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["labels.jsonl", "labels.jsonl.gz", "labels.csv"])
def test_the_label_that_became_known_last_counts(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name,
        label("late", 0, 2),
        label("late", 1, 0),
        label("same", 0, 1),
        label("same", 1, 1),
        label("withdrawn", 1, 0),
        label("withdrawn", None, 1),
        label("row", 1, row=3),
        label("text", "yes"),
    )
    assert labels.read(path) == {
        ("late", 0): "0",
        ("same", 0): "1",
        ("row", 3): "1",
        ("text", 0): "yes",
    }


@pytest.mark.parametrize(
    ("decision", "known", "equal"),
    [
        (1, "1", True),
        (1.0, 1, True),
        ("1", 1, True),
        (True, True, True),
        (0.5, 0.5, True),
        ("yes", "yes", True),
        (1, True, False),
        (1, 2, False),
        (0.1, 0.10000000000000002, False),
    ],
)
def test_a_decision_equals_its_label_as_in_the_monitor(
    decision: Any, known: Any, *, equal: bool
) -> None:
    from model_monitor.store.scalars import canonical

    assert (labels.text(decision) == labels.text(known)) is equal
    assert labels.text(decision) == canonical(decision)


def test_the_accuracies_are_those_of_the_rows_with_a_label() -> None:
    from sklearn.metrics import accuracy_score

    chance = random.Random(7)
    rows = [[chance.randint(0, 1) for _ in range(3)] for _ in range(500)]
    pairs = [
        Pair(Answer(old), Answer(new), f"r{number}", number % 2)
        for number, (_, old, new) in enumerate(rows)
    ]
    pairs += [Pair(Answer(None), Answer(1), "none"), Pair(Answer(1), Answer(1), "late")]
    known = {
        (f"r{number}", number % 2): str(true)
        for number, (true, _, _) in enumerate(rows)
    }
    found = labels.compare(pairs, known | {("none", 0): "1", ("r0", 7): "1"})
    assert found
    true, old, new = zip(*rows, strict=True)
    assert (found.rows, found.of) == (500, 501)
    assert found.stable == pytest.approx(accuracy_score(true, old))
    assert found.canary == pytest.approx(accuracy_score(true, new))
    assert found.change.value == pytest.approx(found.canary - found.stable)
    assert found.change.value == pytest.approx((found.gained - found.lost) / 500)
    assert found.change.lower < found.change.value < found.change.upper
    assert labels.compare(pairs, {}) is None


def run(folder: Path, *more: object) -> Result:
    """Of 100 rows the old revision is right on all, the new one on 90."""
    common = {
        "row": 0,
        "model": "m",
        "status": 200,
        "latency_seconds": 0.5,
        "score": 0.5,
    }
    lines = []
    for number in range(ROWS):
        row = {**common, "id": str(number), "decision": 1}
        wrong = {"decision": int(number >= 10)}
        lines += [{**row, "revision": "old", "arm": "stable"}]
        lines += [{**row, **wrong, "revision": "new", "arm": "shadow"}]
    write(folder / "predictions-1.jsonl", *lines)
    words = ["replay", folder, "m", "--revision", "new", "--recorded", *more]
    return CliRunner().invoke(cli, [*map(str, words)])


@pytest.mark.parametrize(
    ("known", "worse", "status"), [(ROWS, 20, 0), (ROWS, 12, 3), (5, 20, 3), (0, 20, 3)]
)
def test_a_fall_of_the_accuracy_has_the_status_of_a_refusal(
    tmp_path: Path, known: int, worse: int, status: int
) -> None:
    """Also where too few labels are known to be certain."""
    path = write(tmp_path / "l.jsonl", *(label(str(n), 1) for n in range(known)))
    done = run(tmp_path, "--labels", path, "--max-worse-points", worse)
    assert done.exit_code == status, done.output
    assert run(tmp_path, "--labels", path).exit_code == 0


def test_the_accuracies_are_shown_and_are_in_the_json(tmp_path: Path) -> None:
    path = write(tmp_path / "l.jsonl", *(label(str(n), 1) for n in range(50)))
    shown = run(tmp_path, "--labels", path).output
    assert "50 of 100, 50.00%" in shown
    assert "80.00%, -20.00 points (95 %: -30.59 to -7.88)" in shown, shown
    assert "the new one 0, the old one 10" in shown
    found = json.loads(run(tmp_path, "--labels", path, "--json").output)["accuracy"]
    assert (found["stable"], found["canary"], found["lost"]) == (1.0, 0.8, 10)
    empty = write(tmp_path / "none.jsonl")
    assert "no pair has a label" in run(tmp_path, "--labels", empty).output
    nothing = json.loads(run(tmp_path, "--labels", empty, "--json").output)
    assert nothing["accuracy"] is None
    assert "accuracy" not in json.loads(run(tmp_path, "--json").output)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("l.jsonl", "{", ":1: not JSON"),
        ("l.jsonl", "[]", ":1: not a JSON object"),
        ("l.jsonl", '\n{"id": "1", "label": 1}', ":2: without label_time"),
        (
            "l.jsonl",
            '{"id": "1", "label": 1, "label_time": "2026-11-01T00:00:00"}',
            "'2026-11-01T00:00:00' is not a time with its zone",
        ),
        ("l.jsonl", '{"id": "1", "label": 1, "label_time": 5}', "label_time: 5"),
        (
            "l.jsonl",
            '{"id": "1", "row": "x", "label": 1, "label_time": "2026-11-01T00:00:00Z"}',
            ":1: row: 'x' is not a whole number",
        ),
        ("l.csv", "id,label\n1,2,3\n", ":2: it does not have the columns"),
        ("l.csv", "id,label\n1,2\n", ":2: without label_time"),
        ("l.jsonl.gz", "{}", "cannot be read"),
    ],
)
def test_a_wrong_label_is_named_by_its_line(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    done = run(tmp_path, "--labels", path)
    assert done.exit_code != 0
    assert isinstance(done.exception, labels.LabelsError | SystemExit)
    assert said in (done.output + str(done.exception)), done.output


@pytest.mark.parametrize("option", ["--max-worse-points", "--min-labelled-percent"])
def test_a_limit_of_the_accuracy_needs_labels(tmp_path: Path, option: str) -> None:
    done = run(tmp_path, option, 1)
    assert done.exit_code == 2
    assert "--max-worse-points and --min-labelled-percent need" in done.output


@pytest.mark.parametrize(
    ("known", "least", "status"),
    [(90, 90, 0), (89, 90, 3), (0, 1, 3), (0, 0, 0), (100, 100, 0)],
)
def test_too_few_labelled_pairs_have_the_status_of_a_refusal(
    tmp_path: Path, known: int, least: int, status: int
) -> None:
    """Also where the accuracy of those that are labelled has not fallen."""
    path = write(tmp_path / "l.jsonl", *(label(str(n), 1) for n in range(known)))
    done = run(tmp_path, "--labels", path, "--min-labelled-percent", least)
    assert done.exit_code == status, done.output


def test_rows_whose_label_has_not_come_do_not_hide_a_fall(tmp_path: Path) -> None:
    """The ten rows on which the new revision is wrong have none yet."""
    path = write(tmp_path / "l.jsonl", *(label(str(n), 1) for n in range(10, ROWS)))
    given = ("--labels", path, "--max-worse-points", 20)
    assert run(tmp_path, *given).exit_code == 0
    assert run(tmp_path, *given, "--min-labelled-percent", 95).exit_code == 3
