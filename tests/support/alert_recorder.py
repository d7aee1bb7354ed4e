"""The alert recorder in a thread, and messages like Alertmanager's."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from datetime import UTC, datetime
from typing import Any, Self

from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "alert_recorder"))

from alert_recorder import __main__ as program
from alert_recorder import records as recorded
from alert_recorder import store as stored
from alert_recorder import web
from alert_recorder.store import Store

__all__ = ["Store", "program", "recorded", "stored", "web"]
FOLDER = paths.ROOT / "images" / "alert_recorder"


def webhook(*names: str, status: str = "firing") -> dict[str, Any]:
    """A body as Alertmanager 0.28 sends it."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="A"}',
        "status": status,
        "receiver": "recorder",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "truncatedAlerts": 0,
        "alerts": [
            {
                "status": status,
                "labels": {"alertname": name, "model": "m"},
                "annotations": {"summary": "s"},
                "startsAt": "2026-11-23T00:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": "abc",
            }
            for name in names
        ],
    }


class Running:
    """A recorder on a free port of loopback, in a thread."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._server = program.server(store)
        self.application: web.Application = self._server.config.app
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        asyncio.run(self._server.serve([self._listener]))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


def add(store: Store, *names: str, status: str = "firing") -> None:
    body = json.dumps(webhook(*names, status=status)).encode()
    store.add(recorded.parse(body, datetime.now(UTC)))


def kept(store: Store) -> list[str]:
    return [record.name for record in store.select("", "")]
