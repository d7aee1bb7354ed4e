"""`python -m benchmarks.http2_stacks`: what HTTP/2 costs a gRPC call, by its stack.

First our server under load by JSON, raw tensors and gRPC, then servers of a fixed
answer on each stack that an asyncio program can use. All run in turn, on core 0, with
one real gRPC client on core 1 that keeps 32 calls under way on one connection. CPU
time is the server process's; only ratios are worth comparing between machines.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier

from benchmarks.contender import Contender
from benchmarks.http2_echo import STACKS
from benchmarks.model_folder import made_up_rows, write_model_folder
from benchmarks.model_server import COLUMNS, CONNECTIONS, requests_of
from benchmarks.servers import ROOT, Running, free_port, model_server, run
from toolchain import own_venv

REQUIREMENTS = ROOT / "benchmarks/requirements-http2.txt"
OWN_ENVIRONMENT = frozenset({"ours", "grpc.aio"})
MOST_TIMES = 4.0
"""The aim: CPU time of a gRPC call as a multiple of a JSON request's."""
RAW_TIMES = 1.0
"""The same for one row of raw tensors over HTTP."""


def main() -> int:
    """Run the comparison and print it; return 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 51))
    parser.add_argument("--seconds", type=int, default=3, choices=range(1, 61))
    parser.add_argument("--before", type=Path, help="a checkout to measure beside ours")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        contenders = _contenders(Path(folder), stack, options.before)
        for contender in contenders:
            contender.round(CONNECTIONS, 1)
        for _ in range(options.rounds):
            for contender in contenders:
                contender.many.append(contender.round(CONNECTIONS, options.seconds))
    return _report(contenders)


def _contenders(folder: Path, stack: ExitStack, before: Path | None) -> list[Contender]:
    rows, labels = made_up_rows(2000, COLUMNS)
    classifier = GradientBoostingClassifier(n_estimators=100, max_depth=3)
    classifier.fit(rows[:1500], labels[:1500])
    models = folder / "models"
    write_model_folder(models, classifier, COLUMNS)
    row = np.round(rows[1600], 4).astype(np.float32)
    found = []
    for name, checkout in (("ours", ROOT), ("before", before)):
        if checkout is None:
            continue
        log = folder / f"log-{name}"
        log.mkdir()
        port = free_port()
        server = stack.enter_context(model_server(models, log, port, checkout=checkout))
        address = f"grpc://127.0.0.1:{port}"
        json, binary, headers, message = requests_of(row)
        found += [
            Contender(f"{name}, JSON", server, server.url, json),
            Contender(f"{name}, binary", server, server.url, binary, headers),
            Contender(f"{name}, gRPC", server, address, message),
        ]
    *_, message = requests_of(row)
    for name in STACKS:
        try:
            server = stack.enter_context(_echo(name))
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            print(f"{name}: not measured: {error}")
            continue
        found.append(Contender(f"fixed, {name}", server, server.url, message))
    return found


@contextmanager
def _echo(name: str) -> Iterator[Running]:
    port = free_port()
    is_own = name in OWN_ENVIRONMENT
    python = sys.executable if is_own else str(own_venv.python(REQUIREMENTS))
    command = ["-m", "benchmarks.http2_echo", name, str(port)]
    with run(
        name,
        command,
        {"PYTHONPATH": str(ROOT)},
        port,
        python=python,
        speaks_http1=False,
    ) as running:
        yield Running(name, f"grpc://127.0.0.1:{port}", running.pid)


def _report(contenders: list[Contender]) -> int:
    ours = contenders[0]
    print(f"{'':22}{'CPU us/request':>15}{'times our JSON (spread)':>27}")
    medians = {}
    for it in contenders:
        ratios = [
            theirs.cpu_per_request / own.cpu_per_request
            for theirs, own in zip(it.many, ours.many, strict=True)
        ]
        cpu = statistics.median(found.cpu_per_request for found in it.many)
        medians[it.name] = median = statistics.median(ratios)
        spread = f"{median:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{it.name:22}{cpu * 1e6:>15.0f}{spread:>27}")
    is_kept = True
    for name, most in (("ours, gRPC", MOST_TIMES), ("ours, binary", RAW_TIMES)):
        kept = medians[name] <= most
        is_kept &= kept
        words = "kept" if kept else "MISSED"
        print(f"aim: {name}: at most {most:g} times JSON: {medians[name]:.2f} {words}")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
