"""Structured logs: one JSON object per line on standard output."""

from __future__ import annotations

import datetime as dt
import logging
import sys
import time
import traceback

import orjson

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_QUIET_SECONDS = 1.0
_BOUNDED = "model_server.requests"
"""The logger of lines about requests, which has a bound of its own."""


class JsonFormatter(logging.Formatter):
    """Formats a record and its `extra` fields as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
        content: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        content |= {
            key: value for key, value in vars(record).items() if key not in _STANDARD
        }
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(content, default=str).decode()


class RepeatFilter(logging.Filter):
    """Lets the same message pass once a second and says how many it held back.

    An overloaded server must not spend its time, or its disk, on saying so.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == _BOUNDED:
            return True
        key = (record.name, record.msg if isinstance(record.msg, str) else "")
        last, held = self._last.get(key, (0.0, 0))
        now = time.monotonic()
        if last and now - last < _QUIET_SECONDS:
            self._last[key] = (last, held + 1)
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[key] = (now, 0)
        if held:
            record.held_back = held
        return True


def configure(level: str) -> None:
    """Send all logs of this process to standard output as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(RepeatFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # Events that a client can cause are counted, not logged.
    for name in ("uvicorn", "django.request"):
        logging.getLogger(name).setLevel(logging.ERROR)


def log_fault(
    logger: logging.Logger, message: str, error: BaseException, **extra: object
) -> None:
    """Log an error of a request with its traceback, without its words.

    They may repeat values of features, which stand in the prediction log or nowhere.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    found = {"error": type(error).__qualname__, "traceback": frames}
    logger.error(message, extra={**found, **extra})
