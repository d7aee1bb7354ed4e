"""Other servers of the same model, each with its pins in an environment of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.servers import ROOT, Running, free_port, run
from toolchain import own_venv

HERE = ROOT / "benchmarks"
PATH = "/v2/models/tiny/infer"


@contextmanager
def mlserver(models: Path, folder: Path) -> Iterator[Running]:
    """Run MLServer with a runtime of our own, in one process, log off."""
    python = own_venv.python(HERE / "requirements-mlserver.txt")
    port = free_port()
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "debug": False,
    }
    model = {"name": "tiny", "implementation": "mlserver_runtime.Runtime"}
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    command = ["-c", "from mlserver.cli import main; main()", "start", str(folder)]
    environment = _environment(models)
    with run(
        "MLServer",
        command,
        environment,
        port,
        python=str(python),
        path=PATH,
        folder=folder,
    ) as running:
        yield running


@contextmanager
def kserve(models: Path) -> Iterator[Running]:
    """Run KServe's SDK in one process, log off."""
    python = own_venv.python(HERE / "requirements-kserve.txt")
    port = free_port()
    command = [str(HERE / "kserve_app.py"), str(port)]
    with run(
        "KServe SDK", command, _environment(models), port, python=str(python), path=PATH
    ) as running:
        yield running


@contextmanager
def static_answer() -> Iterator[Running]:
    """Run the floor of HTTP: no parsing, no model."""
    port = free_port()
    command = ["-m", "benchmarks.static_answer", str(port)]
    with run("static answer", command, {}, port) as running:
        yield running


def _environment(models: Path) -> dict[str, str]:
    return {
        "BENCHMARK_MODEL": str(models / "tiny"),
        "PYTHONPATH": str(HERE),
        "PYTHONWARNINGS": "ignore",
        "HOME": os.environ.get("HOME", "/tmp"),  # noqa: S108
    }
