"""Runs the recorder.

Settings, by environment: ALERT_RECORDER_PORT (9095), ALERT_RECORDER_FOLDER (JSON lines
are also written there; empty: memory only). SIGTERM ends it with 0.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import uvicorn

from alert_recorder.log import log
from alert_recorder.store import Store
from alert_recorder.web import BOUNDS, Application
from bounded_http import connections
from bounded_http.server import Server

GRACE_SECONDS = 5


def server(store: Store) -> Server:
    application = Application(store)
    config = uvicorn.Config(
        application,
        http=connections.protocol(BOUNDS, application.refused),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return Server(config)


async def serve(port: int, name: str) -> None:
    running = server(Store(Path(name) if name else None))

    def stop(number: signal.Signals) -> None:
        log(f"stopping on {number.name}")
        running.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    with socket.create_server(("", port)) as listener:
        log(f"listening on port {listener.getsockname()[1]}", folder=name or None)
        await running.serve([listener])
    log("stopped")


if __name__ == "__main__":
    asyncio.run(
        serve(
            int(os.environ.get("ALERT_RECORDER_PORT", "9095")),
            os.environ.get("ALERT_RECORDER_FOLDER", ""),
        )
    )
