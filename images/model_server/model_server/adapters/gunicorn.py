"""gunicorn's configuration for an application that mounts a predictor.

    gunicorn --config python:model_server.adapters.gunicorn module:application

One process with threads: its requests meet in one queue and run as one batch. What the
command line or GUNICORN_CMD_ARGS says wins. After SIGTERM the server stays ready for
the deregistration delay, asks each client to connect anew, finishes what is in flight
and exits with 0.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import struct
import sys
from typing import Any

from model_server import logs
from model_server.adapters import registry
from model_server.adapters.drain import CLOSING, DRAINING, LOG_FLUSH_SECONDS, TAKING
from model_server.adapters.gunicorn_worker import Worker
from model_server.adapters.settings import read_settings
from model_server.config import ConfigError

_MOST = 8190
"""gunicorn takes no longer line, and no longer header."""

_logger = logging.getLogger("model_server")
_drain = registry.drain

logs.configure("info")
try:
    _settings = read_settings(os.environ)
except ConfigError as _error:
    for _problem in _error.problems:
        _logger.error(_problem)  # noqa: TRY400, the reason says it all
    sys.exit(2)

_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host
_drain_seconds = math.ceil(_settings.drain_seconds)

# What follows are gunicorn's settings, by its names.
bind = f"{_host}:{_settings.port}"
worker_class = Worker
workers = 1
threads = 32
worker_connections = _settings.max_connections
keepalive = _settings.keepalive_seconds
# gunicorn's own process waits a little longer than the worker, which writes its log.
graceful_timeout = _drain_seconds + math.ceil(LOG_FLUSH_SECONDS)
limit_request_line = min(_settings.max_header_bytes, _MOST)
limit_request_field_size = min(_settings.max_header_bytes, _MOST)
control_socket_disable = True
loglevel = _settings.log_level
logconfig_dict: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": logs.JsonFormatter}},
    "filters": {"repeated": {"()": logs.RepeatFilter}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "json",
            "filters": ["repeated"],
        }
    },
    "root": {"level": loglevel.upper(), "handlers": ["console"]},
    "loggers": {"gunicorn.error": {"handlers": [], "propagate": True}},
}


def on_starting(server: Any) -> None:
    """Refuse what a model does not survive."""
    if server.cfg.preload_app:
        _logger.error(
            "preload_app is set: onnxruntime's threads do not pass a fork; unset it"
        )
        sys.exit(2)


def when_ready(server: Any) -> None:
    """Bound how long a client may keep a thread waiting; wait for SIGTERM."""
    seconds = _settings.request_timeout_seconds
    limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    for listener in server.LISTENERS:
        # Connections inherit both (Linux); gunicorn itself sets no limit.
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        host, port = listener.sock.getsockname()[:2]
        _logger.info("listening", extra={"host": host, "port": port})
    stop = signal.getsignal(signal.SIGTERM)

    def close(*_: object) -> None:
        """Hand over to gunicorn: it stops listening, its worker finishes."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        _drain.state = CLOSING
        signal.signal(signal.SIGTERM, stop)
        os.kill(os.getpid(), signal.SIGTERM)

    def drain(*_: object) -> None:
        """Stay ready while load balancers learn; a second SIGTERM ends the wait."""
        if _drain.state != TAKING or not _settings.deregistration_seconds:
            close()
            return
        _drain.state = DRAINING
        signal.setitimer(signal.ITIMER_REAL, _settings.deregistration_seconds)

    signal.signal(signal.SIGALRM, close)
    signal.signal(signal.SIGTERM, drain)


def post_worker_init(worker: Any) -> None:
    """Load the models, in a thread of the process that will answer."""
    worker.cfg.set("graceful_timeout", _drain_seconds)
    worker.max_wait_seconds = _settings.max_wait_seconds
    for predictor in registry.predictors:
        host = predictor.start()
        host.service.count_connections = lambda: int(worker.nr_conns)


def pre_request(_worker: Any, request: Any) -> None:
    """Ask clients of a draining server to connect anew."""
    if _drain.state != TAKING:
        request.force_close()


def worker_exit(_server: Any, _worker: Any) -> None:
    """Write out the prediction log."""
    for predictor in registry.predictors:
        predictor.close()
