"""A store of one model with a subject in it, and requests about it."""

from __future__ import annotations

import csv
import datetime as dt
import json
import random
from pathlib import Path

from model_monitor.config import Config, Fairness, Model
from model_monitor.cycle import Cycle
from model_monitor.labels import import_labels
from model_monitor.requests import Inbox, Kind, Request
from model_monitor.store import Store
from model_monitor.store.erasure import hash_of

MODEL = Model("m", label_horizon_days=1, fairness=Fairness(("sex",), min_group=10))
FIRST = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
MEMBER = "member-4711"
KEY = b"key of receipts"
ROWS = 60
"""Of each of two files; every twentieth is the subject's."""


def config(root: Path) -> Config:
    return Config(root, (MODEL,), clock="event")


def text(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write_log(store: Store) -> None:
    """Two files of predictions and two of protected attributes, and labels of half."""
    chance = random.Random(4)
    labels = []
    for file in range(2):
        predictions, protected = [], []
        for number in range(ROWS):
            moment = FIRST + dt.timedelta(days=number % 2, seconds=file * 7000 + number)
            score = round(chance.random(), 4)
            common = {
                "id": f"{file}-{number}",
                "row": 0,
                "time": text(moment),
                "model": "m",
                "revision": "r1",
            }
            member = MEMBER if number % 20 == 0 else f"other-{number}"
            predictions.append(
                common
                | {
                    "version": "1",
                    "arm": "stable",
                    "status": 200,
                    "latency_seconds": 0.25,
                    "features": {"member": member},
                    "decision": int(score > 0.5),
                    "score": score,
                }
            )
            protected.append(common | {"attributes": {"sex": chance.choice("fm")}})
            labels.append(label(common["id"], moment))
        for kind, lines in (("predictions", predictions), ("protected", protected)):
            path = store.landing / f"{kind}-host-2026-1-{file}.jsonl"
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    import_labels(store, labels_file(store.root.parent / "first.jsonl", labels[::2]))


def label(name: object, moment: dt.datetime = FIRST) -> dict[str, object]:
    known = text(moment + dt.timedelta(days=2))
    return {"id": name, "label": 1, "label_time": known, "source": "test"}


def labels_file(path: Path, labels: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in labels))
    return path


def filled(root: Path) -> None:
    """Make a store whose log and labels are counted."""
    with Store(root).opened() as store:
        write_log(store)
        Cycle(config(root), store).run()


def late_labels(folder: Path) -> Path:
    """Labels of the other half, and a line that is none."""
    odd = [label(f"{file}-{n}") for file in range(2) for n in range(1, ROWS, 2)]
    return labels_file(folder / "late.jsonl", [*odd, {"id": 1}])


def past(folder: Path) -> tuple[Path, Path]:
    """Files of a past period: predictions with a protected attribute, and labels."""
    predictions, labels = folder / "past.csv", folder / "past-labels.csv"
    known = "2026-11-02T02:00:00+02:00"
    rows = [
        {"key": f"p{n}", "said": n % 2, "sex": "fm"[n % 2], "truth": 1, "known": known}
        for n in range(10)
    ]
    for path, names in (
        (predictions, ["key", "said", "sex"]),
        (labels, ["key", "truth", "known"]),
    ):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    return predictions, labels


def submit(store: Store, folder: Path) -> list[str]:
    """Ask for an import, an erasure and a backfill; return the ids in their order."""
    erasure = {
        "field": "member",
        "value": MEMBER,
        "value_hash": hash_of("member", MEMBER, KEY),
    }
    mapping = {
        "id": "key",
        "date": "2026-10-30",
        "decision": "said",
        "protected": ["sex"],
        "label": "truth",
        "label_time": "known",
    }
    paths = tuple(map(str, past(folder)))
    asked = [
        Request.new(Kind.IMPORT_LABELS, {}, "ann", (str(late_labels(folder)),)),
        Request.new(Kind.ERASE, erasure, "dpo"),
        Request.new(Kind.BACKFILL, {"model": "m", "mapping": mapping}, "bob", paths),
    ]
    for it in asked:
        Inbox(store).submit(it)
    return [it.id for it in asked]


def full_disk(*_: object, **__: object) -> None:
    """Stands for any step that writes."""
    raise OSError(28, "No space left on device")
