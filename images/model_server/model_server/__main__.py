"""`python -m model_server`: read the environment, serve until told to stop."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import sys

import uvicorn
import uvloop

from model_server import logs
from model_server.app import App
from model_server.config import Config, ConfigError, read
from model_server.connection import Connection
from model_server.lifecycle import Lifecycle, Server
from model_server.log_files import LogFiles
from model_server.prediction_log import PredictionLog
from model_server.service import Service

BACKLOG = 2048

logger = logging.getLogger("model_server")


def main() -> int:
    """Run the server; return 0 after a drain, 1 on a fault, 2 on a wrong setting."""
    logs.configure("info")
    try:
        config = read(os.environ)
    except ConfigError as error:
        for problem in error.problems:
            logger.error(problem)  # noqa: TRY400, the reason says it all
        return 2
    logs.configure(config.log_level)
    try:
        log = _prediction_log(config)
    except OSError as error:
        logger.error(  # noqa: TRY400, the reason says it all
            "MODEL_SERVER_PREDICTION_LOG=%r cannot be written: %s; mount a writable "
            "folder there or set it empty",
            str(config.prediction_log),
            error,
        )
        return 2
    service = Service(config, log)
    server = Server(_uvicorn_config(config, App(service)))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Lifecycle(config, service, server).run())


def _prediction_log(config: Config) -> PredictionLog | None:
    folder = config.prediction_log
    if folder is None:
        return None
    probe = folder / f".probe-{os.getpid()}"
    probe.touch()
    probe.unlink()
    files = LogFiles(
        folder,
        socket.gethostname(),
        file_bytes=config.prediction_log_file_bytes,
        file_seconds=config.prediction_log_file_seconds,
        total_bytes=config.prediction_log_total_bytes,
    )
    return PredictionLog(files, config.prediction_log_queue_rows)


def _uvicorn_config(config: Config, app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection.bind(app.service),
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=config.keepalive_seconds,
        timeout_graceful_shutdown=math.ceil(config.drain_seconds),
    )


if __name__ == "__main__":
    sys.exit(main())
