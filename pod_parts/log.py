"""A log of JSON lines."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal


@dataclass(frozen=True)
class Log:
    """The log of one program."""

    program: str
    stream: Literal["stdout", "stderr"] = "stdout"

    def __call__(self, message: str, level: str = "info", **fields: Any) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {
            "time": time.replace("+00:00", "Z"),
            "level": level,
            "logger": self.program,
            "message": message,
            **fields,
        }
        out = sys.stdout if self.stream == "stdout" else sys.stderr
        # One write for each line: lines of several threads do not mix.
        out.write(json.dumps(record) + "\n")
        out.flush()
