"""`python -m model_server`: read the environment, serve until a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import uvloop

from model_server import logs, stderr_log
from model_server.app import App
from model_server.config import ConfigError, read
from model_server.connection import Connection
from model_server.lifecycle import Lifecycle, Server
from model_server.prediction_log import open_prediction_log, unwritable_log
from model_server.service import Service
from model_server.uvicorn_options import uvicorn_config

logger = logging.getLogger("model_server")


def main() -> int:
    """Run the server; return 0 after a drain, 1 on a fault, 2 on a wrong setting."""
    logs.configure("info")
    stderr_log.capture()
    try:
        config = read(os.environ)
    except ConfigError as error:
        for problem in error.problems:
            logger.error(problem)  # noqa: TRY400, the reason says it all
        return 2
    logs.configure(config.log_level)
    try:
        log = open_prediction_log(config)
    except OSError as error:
        logger.error(unwritable_log(config, error))  # noqa: TRY400
        return 2
    service = Service(config, log)
    server = Server(uvicorn_config(config, App(service), Connection.bind(service)))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Lifecycle(config, service, server).run())


if __name__ == "__main__":
    sys.exit(main())
