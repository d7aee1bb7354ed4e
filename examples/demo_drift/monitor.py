"""The model monitor as a process of this machine, and what is sent to it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from examples.demo_drift import watched
from examples.demo_drift.census import MODEL, Card
from examples.demo_drift.processes import START_SECONDS, running, wait_for
from examples.demo_drift.retraining import Requested
from toolchain import paths
from toolchain.errors import OperatorError

TIMEOUT_SECONDS = 60.0
TOLD_LINES = 5


def command() -> list[str]:
    """Return the words that start the monitor's program."""
    return [sys.executable, "-m", "model_monitor"]


def environment(config: Path) -> dict[str, str]:
    """Return the variables that it needs beside ours."""
    return {
        "MODEL_MONITOR_CONFIG": str(config),
        "PYTHONPATH": str(paths.ROOT / "images" / "model_monitor"),
    }


@dataclass(frozen=True)
class Monitor:
    """A running monitor with a store of its own."""

    client: httpx.Client
    process: subprocess.Popen[bytes]
    log: Path
    config: Path
    store: Path
    token: str
    port: int

    def ship(self, name: str, content: bytes) -> None:
        """Send a file of the prediction log, as the log shipper does."""
        answer = self.client.put(f"/v1/logs/{name}", content=content)
        if answer.status_code not in {HTTPStatus.CREATED, HTTPStatus.OK}:
            raise OperatorError(f"the monitor refuses {name}: {answer.text[:500]}")

    def label(self, lines: bytes) -> int:
        """Send labels; return how many were accepted."""
        answer = self.client.post(
            "/v1/labels",
            content=lines,
            headers={"authorization": f"Bearer {self.token}"},
        )
        found: dict[str, Any] = answer.json()
        if answer.status_code != HTTPStatus.OK or found["refused"]:
            raise OperatorError(f"the monitor refuses labels: {answer.text[:500]}")
        return int(found["accepted"])

    def results(self) -> dict[str, Any]:
        """Return the last results of the model; empty before the first ones.

        They are the file that metrics and `figures --json` are made from.
        """
        path = self.store / "results" / f"{MODEL}.json"
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def problems(self) -> list[str]:
        """Return what it logged as errors or warnings, the first ones."""
        found = [
            text
            for text, line in self._lines()
            if line.get("level") != "info" and not Requested.of_line(line)
        ]
        return found[:TOLD_LINES]

    def retraining(self) -> list[Requested]:
        """Return its requests to retrain the model."""
        return [it for _, line in self._lines() if (it := Requested.of_line(line))]

    def _lines(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the lines of its log as they are and, where they are JSON, as that."""
        for text in self.log.read_text(errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                line = {}
            yield text, line if isinstance(line, dict) else {}

    def metrics(self) -> str:
        return self.client.get("/metrics").raise_for_status().text


@contextmanager
def serving(folder: Path, card: Card) -> Iterator[Monitor]:
    """Run the monitor while the block runs; all that it keeps is in `folder`."""
    token = secrets.token_hex(24)
    places = watched.Places(
        store=folder / "store",
        reference=card.folder / "reference.json",
        label_token=folder / "label-token",
    )
    config, log = folder / "monitor.json", folder / "monitor.log"
    config.write_text(watched.monitor_text(card, places))
    places.label_token.touch(0o600)
    places.label_token.write_text(f"{token}\n")
    with running([*command(), "serve"], log, environment(config)) as process:
        port = wait_for(
            lambda: _port(log),
            "the model monitor starts",
            START_SECONDS,
            {"the model monitor": (process, log)},
        )
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(
            base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False
        ) as client:
            yield Monitor(client, process, log, config, places.store, token, port)


def _port(log: Path) -> int:
    """Return the port that it reports to listen on; 0 before it does."""
    for line in log.read_text(errors="replace").splitlines(keepends=True):
        if line.startswith("{") and line.endswith("\n"):
            found: Mapping[str, Any] = json.loads(line)
            if "port" in found:
                return int(found["port"])
    return 0


def run(config: Path, *words: str) -> str:
    """Run one of the monitor's commands to its end; return what it prints.

    Raises OperatorError with its output if it fails.
    """
    done = subprocess.run(
        [*command(), *words],
        env={**os.environ, **environment(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OperatorError(
            f"model_monitor {words[0]} ended with status {done.returncode}: "
            f"{done.stderr.strip()[-1000:]}"
        )
    return done.stdout
