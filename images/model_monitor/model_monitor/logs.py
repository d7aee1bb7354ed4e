"""Structured logs: one JSON object per line on standard error."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
import traceback

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


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
        if record.exc_info and (error := record.exc_info[1]):
            content |= _fault(error)
        return json.dumps(content, default=str)


def _fault(error: BaseException) -> dict[str, object]:
    """Return an error with its traceback and, but of the system's, without its words.

    DuckDB's repeat values of records.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    found: dict[str, object] = {"error": type(error).__qualname__, "traceback": frames}
    return found | ({"reason": str(error)} if isinstance(error, OSError) else {})


def configure() -> None:
    """Send all logs of this process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # Events that a client can cause are counted, not logged.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
