"""`python -m benchmarks.model_server`: our server against others and the bare runtime.

All run the same model on the same core, in turn, in one run; only ratios are worth
comparing between machines. Servers sit on core 0, the load on core 1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier

from benchmarks import rivals
from benchmarks.contender import Contender
from benchmarks.load import JSON, has_wrk
from benchmarks.model_folder import made_up_rows, write_model_folder
from benchmarks.report import report
from benchmarks.servers import (
    ROOT,
    SERVER_CORE,
    Running,
    fastapi,
    free_port,
    model_server,
)

COLUMNS = 20
CONNECTIONS = 32


def main() -> int:
    """Run the comparison and print it; return 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 51))
    parser.add_argument("--seconds", type=int, default=3, choices=range(1, 61))
    options = parser.parse_args()
    busy = os.getloadavg()[0]
    if busy > 1:
        print(
            f"note: load average {busy:.0f}: other tasks run too; requests/s and "
            "latencies suffer, CPU time per request less"
        )
    if len(os.sched_getaffinity(0)) < 2:
        print("needs two cores: one for the server, one for the load", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        return _compare(Path(folder), stack, options.rounds, options.seconds)


def _compare(folder: Path, stack: ExitStack, rounds: int, seconds: int) -> int:
    rows, labels = made_up_rows(5000, COLUMNS)
    classifier = GradientBoostingClassifier(n_estimators=100, max_depth=3)
    classifier.fit(rows[:4000], labels[:4000])
    models = folder / "models"
    write_model_folder(models, classifier, COLUMNS)
    print(
        f"model: 100 trees of depth 3, {COLUMNS} floats, one row a request; "
        f"{rounds} rounds of {seconds} s each in turn; load by "
        f"{'wrk for JSON, else ' if has_wrk() else ''}our own generator"
    )
    row = np.round(rows[4000], 4).astype(np.float32)
    contenders = _contenders(folder, models, row, stack)
    for contender in contenders:
        contender.round(CONNECTIONS, 1)
    for _ in range(rounds):
        for contender in contenders:
            contender.many.append(contender.round(CONNECTIONS, seconds))
    for _ in range(rounds):
        for contender in contenders:
            contender.single.append(contender.round(1, seconds))
    for contender in contenders:
        contender.memory_bytes = contender.running.memory_bytes()
    raw = [_raw_loop(models, seconds) for _ in range(min(rounds, 3))]
    return report(contenders, statistics.median(raw), CONNECTIONS)


def _contenders(
    folder: Path, models: Path, row: np.ndarray, stack: ExitStack
) -> list[Contender]:
    """Start all servers; say of each that cannot be had why."""
    for name in ("log", "log-grpc"):
        (folder / name).mkdir()
    port = free_port()
    ours = stack.enter_context(model_server(models, folder / "log"))
    grpc = stack.enter_context(model_server(models, folder / "log-grpc", port))
    body, binary, headers, message = requests_of(row)
    found = [
        Contender("ours, JSON", ours, ours.url, body),
        Contender("ours, binary", ours, ours.url, binary, headers),
        Contender("ours, gRPC", grpc, f"grpc://127.0.0.1:{port}", message),
    ]
    others: tuple[tuple[str, AbstractContextManager[Running]], ...] = (
        ("FastAPI", fastapi(models)),
        ("MLServer", rivals.mlserver(models, folder / "mlserver")),
        ("KServe SDK", rivals.kserve(models)),
    )
    for name, server in others:
        try:
            running = stack.enter_context(server)
            _check_equal(ours, running, body)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            print(f"{name}: not measured: {error}")
            continue
        found.append(Contender(name, running, running.url, body))
    static = stack.enter_context(rivals.static_answer())
    return [*found, Contender("static answer", static, static.url, body)]


def requests_of(row: np.ndarray) -> tuple[bytes, bytes, dict[str, str], bytes]:
    """Return a row as JSON, as raw tensors and their headers, as gRPC's message."""
    sys.path.append(str(ROOT / "images/model_server"))
    from model_server.grpc_messages import message

    tensor = {"name": "X", "shape": [1, COLUMNS], "datatype": "FP32"}
    plain = {"inputs": [{**tensor, "data": [round(float(it), 4) for it in row]}]}
    head = json.dumps(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": 4 * COLUMNS}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(head)),
    }
    data: bytes = message("ModelInferRequest")(
        model_name="tiny", inputs=[tensor], raw_input_contents=[row.tobytes()]
    ).SerializeToString()
    return json.dumps(plain).encode(), head + row.tobytes(), headers, data


def _raw_loop(models: Path, seconds: int) -> float:
    """Return the single-row runs that one CPU second has room for."""
    command = ["taskset", "-c", SERVER_CORE, sys.executable, "-m"]
    text = subprocess.run(
        [*command, "benchmarks.raw_loop", str(models / "tiny"), str(seconds)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    ).stdout
    return float(text)


def _check_equal(ours: Running, theirs: Running, body: bytes) -> None:
    answers = []
    for server in (ours, theirs):
        request = urllib.request.Request(server.url, body, JSON)  # noqa: S310, loopback
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            data = json.load(answer)["outputs"][1]["data"]
            answers.append(np.asarray(data, np.float64).ravel())
    if np.abs(answers[0] - answers[1]).max() > 1e-6:
        raise RuntimeError(f"the servers disagree: {answers}")


if __name__ == "__main__":
    sys.exit(main())
