"""One JSON line on standard output for each thing worth saying."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any


def log(message: str, level: str = "info", **fields: Any) -> None:
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    record = {
        "time": time.replace("+00:00", "Z"),
        "level": level,
        "logger": "rollout",
        "message": message,
        **fields,
    }
    print(json.dumps(record), flush=True)
