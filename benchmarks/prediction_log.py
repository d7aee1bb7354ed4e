"""`python -m benchmarks.prediction_log [REVISION]`: what the complete log costs.

Three model servers get the same requests in turns: that of this checkout with its log
of all features, the same without a log, and that of a revision with the log it had (the
last before the log was complete, unless another is named). Compares the CPU time per
request of each round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import yaml
from sklearn.ensemble import GradientBoostingClassifier

from benchmarks.contender import Contender
from benchmarks.model_folder import made_up_rows, write_model_folder
from benchmarks.programs import revision
from benchmarks.servers import model_server

BEFORE = "a03ff72"
"""The last revision before records had a policy, every input and protected files."""
AIM = 1.05
COLUMNS = 20
CONNECTIONS = 32


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.prediction_log", description=__doc__
    )
    parser.add_argument("revision", nargs="?", default=BEFORE)
    parser.add_argument("--rounds", type=int, default=8, choices=range(1, 51))
    parser.add_argument("--seconds", type=int, default=3, choices=range(1, 61))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        contenders = _contenders(Path(name), options.revision, stack)
        for contender in contenders:
            contender.round(CONNECTIONS, 1)
        for _ in range(options.rounds):
            for contender in contenders:
                contender.many.append(contender.round(CONNECTIONS, options.seconds))
        _check_logged(Path(name))
    return report(contenders)


def _contenders(folder: Path, before: str, stack: ExitStack) -> list[Contender]:
    """Start all three; ours is the first, that of the revision the second."""
    rows, labels = made_up_rows(5000, COLUMNS)
    classifier = GradientBoostingClassifier(n_estimators=100, max_depth=3)
    classifier.fit(rows[:4000], labels[:4000])
    write_model_folder(folder / "models", classifier, COLUMNS)
    _write_without_policy(write_model_folder(folder / "old", classifier, COLUMNS))
    for name in ("log", "old-log"):
        (folder / name).mkdir()
    values = [round(float(it), 4) for it in rows[4000]]
    tensor = {"name": "X", "shape": [1, COLUMNS], "datatype": "FP32", "data": values}
    body = json.dumps({"inputs": [tensor]}).encode()
    checkout = stack.enter_context(revision(before))
    servers = {
        "complete log": model_server(folder / "models", folder / "log"),
        before: model_server(folder / "old", folder / "old-log", checkout=checkout),
        "no log": model_server(folder / "models", None),
    }
    running = {name: stack.enter_context(it) for name, it in servers.items()}
    return [Contender(name, it, it.url, body) for name, it in running.items()]


def _write_without_policy(model: Path) -> None:
    """Leave out `log`, which older servers do not know: they log every feature."""
    path = model / "model.yaml"
    content = yaml.safe_load(path.read_text())
    del content["log"]
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def _check_logged(folder: Path) -> None:
    """See that both logs have all features: otherwise less work would be measured."""
    for name in ("log", "old-log"):
        (first, *_) = sorted((folder / name).rglob("*.jsonl*"))
        with first.open() as file:
            record = json.loads(file.readline())
        features = record["features"]
        if len(features) != COLUMNS or None in features:
            raise RuntimeError(f"{name}: a record without all features: {record}")


def report(contenders: Sequence[Contender]) -> int:
    """Print the table; return 1 if the aim is missed."""
    ours, before, _ = contenders
    base = [it.cpu_per_request for it in before.many]
    print(f"{'':14}{'CPU us/request':>15}  times {before.name}'s (spread)")
    for it in contenders:
        used = [found.cpu_per_request for found in it.many]
        ratios = [a / b for a, b in zip(used, base, strict=True)]
        print(
            f"{it.name:14}{statistics.median(used) * 1e6:>15.0f}  "
            f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    times = statistics.median(
        a.cpu_per_request / b for a, b in zip(ours.many, base, strict=True)
    )
    is_kept = times <= AIM
    print(
        f"aim: the complete log's server at most {AIM} times {before.name}'s CPU time: "
        f"{times:.2f} {'kept' if is_kept else 'MISSED'}"
    )
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
