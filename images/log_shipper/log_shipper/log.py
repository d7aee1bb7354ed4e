"""One JSON line on standard error for each event."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any


def log(message: str, level: str = "info", **fields: Any) -> None:
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    record = {
        "time": time.replace("+00:00", "Z"),
        "level": level,
        "logger": "log-shipper",
        "message": message,
        **fields,
    }
    # One write for each line: lines of several threads do not mix.
    sys.stderr.write(json.dumps(record) + "\n")
    sys.stderr.flush()
