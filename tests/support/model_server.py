"""Runs the real model server as a process on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

SERVER = Path(__file__).parents[2] / "images/model_server"
START_SECONDS = 30.0


class ModelServer:
    """One server process; use it in a `with` statement.

    Settings are the environment variables without their prefix.
    """

    start_seconds = START_SECONDS

    def __init__(self, models: Path, log: Path, **settings: object) -> None:
        values: dict[str, object] = {
            "MODELS": models,
            "HOST": "127.0.0.1",
            "PORT": 0,
            "PREDICTION_LOG": log,
            "DEREGISTRATION_SECONDS": 0,
            "THREADS": 1,
            **settings,
        }
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SERVER),
            "PYTHONWARNINGS": "error",
            **{f"MODEL_SERVER_{name}": str(value) for name, value in values.items()},
        }
        self.command = [sys.executable, "-m", "model_server"]
        self.output = log.parent / f"server-{time.monotonic_ns()}.log"
        self.port = 0

    def __enter__(self) -> Self:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.client = httpx.Client(base_url=self.url, timeout=10.0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def logs(self) -> list[dict[str, Any]]:
        """The server's own log so far."""
        return [
            json.loads(line)
            for line in self.output.read_text().splitlines()
            if line.startswith("{")
        ]

    def stop(self, seconds: float = 20.0) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def suspend(self) -> None:
        """Stop every thread; return when the last one has stopped. SIGCONT undoes it.

        A signal is sent before the process has it: until then the server would read.
        """
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def connect(self, timeout: float = 10.0) -> socket.socket:
        """Open a plain connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def exchange(self, raw: bytes, timeout: float = 10.0) -> bytes:
        """Send bytes, return all that comes until the server closes or is silent."""
        with self.connect(timeout) as connection:
            connection.sendall(raw)
            return read_all(connection)

    def exchange_once(self, raw: bytes) -> bytes:
        """Send bytes and an end; return the answer or what came of it."""
        with self.connect() as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def metrics(self) -> dict[str, float]:
        """Sum of each metric's samples over labels, by sample name."""
        return sums(self.client.get("/metrics").text)

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def resident_bytes(self) -> int:
        text = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _wait(self) -> None:
        end = time.monotonic() + self.start_seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.output.read_text()}")
            for line in self.logs():
                if line["message"] == "listening":
                    self.port = line["port"]
                if line["message"] == "ready":
                    return
            time.sleep(0.02)
        raise RuntimeError(f"the server is not ready: {self.output.read_text()}")


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes, resets or is silent for the timeout."""
    received = b""
    while True:
        try:
            chunk = connection.recv(65536)
        except (TimeoutError, ConnectionResetError):
            return received
        if not chunk:
            return received
        received += chunk


def sums(text: str) -> dict[str, float]:
    """Parse Prometheus text; sum each sample name over its labels."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def request(
    values: list[Any], columns: int, **changes: Mapping[str, Any] | Any
) -> dict[str, Any]:
    """An inference request of flat values; `changes` are its tensor's."""
    tensor = {
        "name": "X",
        "shape": [len(values) // columns, columns],
        "datatype": "FP32",
        "data": values,
    }
    return {"inputs": [{**tensor, **changes}]}


def run_to_the_end(settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The server with these MODEL_SERVER_ variables, which are to make it end."""
    return subprocess.run(
        [sys.executable, "-m", "model_server"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SERVER),
            **{f"MODEL_SERVER_{name}": text for name, text in settings.items()},
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
