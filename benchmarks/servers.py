"""The servers under measurement, each pinned to core 0, and what CPU they took."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway.images import tree_extension

ROOT = Path(__file__).parents[1]
SERVER_CORE = "0"
START_SECONDS = 60.0
SAID_CHARACTERS = 400
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Running:
    """A server process: its name in the report, address, and process id."""

    name: str
    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process and all below it so far."""
        total = 0
        for pid in _tree(self.pid):
            try:
                text = Path(f"/proc/{pid}/stat").read_text()
            except OSError:
                continue
            fields = text.rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS_PER_SECOND

    def memory_bytes(self) -> int:
        """Return the memory of the process and all below it, shared pages in part."""
        total = 0
        for pid in _tree(self.pid):
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            for line in text.splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total


@contextmanager
def model_server(
    models: Path, log: Path | None, grpc_port: int = 0, *, checkout: Path = ROOT
) -> Iterator[Running]:
    """Run ours, of a checkout, complete: counters, limits, prediction log to disk."""
    port = free_port()
    settings = {
        "MODELS": models,
        "HOST": "127.0.0.1",
        "PORT": port,
        "GRPC_PORT": grpc_port,
        "PREDICTION_LOG": log or "",
        "THREADS": 1,
        "DEREGISTRATION_SECONDS": 0,
        "LOG_LEVEL": "warning",
    }
    environment = {f"MODEL_SERVER_{name}": str(it) for name, it in settings.items()}
    found = [str(checkout / "images/model_server"), *tree_extension.search_path()]
    environment["PYTHONPATH"] = os.pathsep.join(found)
    with run("model_server", ["-m", "model_server"], environment, port) as running:
        yield running


@contextmanager
def fastapi(models: Path) -> Iterator[Running]:
    """Run FastAPI under uvicorn with its quickest loop and parser, log off."""
    port = free_port()
    command = ["-m", "uvicorn", "benchmarks.fastapi_app:app", "--loop", "uvloop"]
    command += ["--http", "httptools", "--no-access-log", "--log-level", "warning"]
    command += ["--port", str(port)]
    environment = {"BENCHMARK_MODEL": str(models / "tiny"), "PYTHONPATH": str(ROOT)}
    with run("FastAPI", command, environment, port) as running:
        yield running


@contextmanager
def run(
    name: str,
    command: list[str],
    environment: dict[str, str],
    port: int,
    *,
    python: str = sys.executable,
    path: str = "/infer",
    folder: Path = ROOT,
    speaks_http1: bool = True,
) -> Iterator[Running]:
    """Run a Python program as a server until the block ends.

    One that speaks HTTP/2 alone is ready when its port is open.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, python, *command],
            cwd=folder,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=said,
            stderr=said,
        )
        try:
            base = f"http://127.0.0.1:{port}"
            try:
                _wait(process, base, speaks_http1=speaks_http1)
            except RuntimeError as error:
                said.seek(0)
                output = said.read().decode(errors="replace").strip()[-SAID_CHARACTERS:]
                raise RuntimeError(f"{name}: {error}: {output}") from None
            yield Running(name, f"{base}{path}", process.pid)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], base: str, *, speaks_http1: bool) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            if not speaks_http1:
                port = int(base.rpartition(":")[2])
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            with urllib.request.urlopen(f"{base}/readyz", timeout=1):  # noqa: S310
                return
        except urllib.error.HTTPError as error:
            if error.code == 404:  # FastAPI has no such page, but it answers
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"no answer from {base} in {START_SECONDS:g} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tree(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = file.read_text()
        except OSError:
            continue
        parent = int(text.rpartition(")")[2].split()[1])
        parents.setdefault(parent, []).append(int(file.parent.name))
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found
