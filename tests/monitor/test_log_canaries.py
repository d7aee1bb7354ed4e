"""Values of records and labels, right and wrong ones, are in no line of the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from model_monitor.store import Store

from tests.support.monitor_records import NAME, label, land, prediction, protected, text
from toolchain import paths

PLANTED = "planted-4711"
NUMBER = 471147.25
LINES: list[Any] = [
    prediction(features={"AGEP": NUMBER, "SCHL": PLANTED}, decision=PLANTED),
    prediction(id="b", features={"AGEP": [[PLANTED]]}),
    prediction(id="c", score=PLANTED),
    prediction(id="d", time=PLANTED),
    prediction(id="e", latency_seconds=PLANTED),
    prediction(id="f", status=PLANTED, row=PLANTED),
    prediction(id="g", features={"AGEP": float("nan"), "SCHL": PLANTED}),
    f'{{"id": "h", "features": {{"SCHL": "{PLANTED}"'.encode(),
    f'"{PLANTED}"'.encode(),
    b"\xff" + PLANTED.encode(),
]
LABELS: list[Any] = [
    label(label=PLANTED),
    label(id="i", label=[[PLANTED]]),
    label(id="j", label_time=PLANTED),
    PLANTED.encode(),
]


def monitor(config: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "model_monitor", *words],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(paths.ROOT / "images" / "model_monitor"),
            "MODEL_MONITOR_CONFIG": str(config),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def test_what_is_planted_in_records_and_labels_is_in_no_log(tmp_path: Path) -> None:
    with Store(tmp_path / "store").opened() as store:
        land(store, LINES)
        apart = NAME.replace("predictions", "protected")
        bad = protected(id="b", attributes={"SEX": [[PLANTED]]})
        land(store, [protected(attributes={"SEX": PLANTED}), bad], apart)
    config = tmp_path / "monitor.json"
    models = [{"name": "employment", "fairness": {"attributes": ["SEX"]}}]
    settings = {"store": str(store.root), "clock": "event", "models": models}
    config.write_text(json.dumps(settings))
    labels = tmp_path / "labels.jsonl"
    labels.write_bytes(text(LABELS))
    said = monitor(config, "cycle")
    said += monitor(config, "import-labels", str(labels))
    said += monitor(config, "cycle")
    said += monitor(config, "find", "b")
    assert PLANTED not in said, said
    assert "471147" not in said
    assert PLANTED not in store.chain.read_text()
    # They were read, and what was wrong with them was told.
    assert '"quarantined": {' in said
    assert "lines refused" in said
