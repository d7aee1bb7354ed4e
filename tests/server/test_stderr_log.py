"""What C++ libraries write on standard error stands in the log as JSON."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from model_server.stderr_log import level_of

from tests.support.model_server import SERVER, ModelServer

PROGRAM = """
import ctypes, sys
from model_server import logs, stderr_log

logs.configure("info")
stderr_log.capture()
libc = ctypes.CDLL(None)
for text in sys.argv[1:]:
    line = text.encode() + b"\\n"
    libc.write(2, line, len(line))
print("an error of Python's own", file=sys.stderr)
"""
LINES = [
    "\x1b[1;31m2026-11-28 10:00:00.1 [E:onnxruntime:, executor.cc:5 Run] no\x1b[m",
    "free(): invalid pointer",
]


def test_what_c_writes_is_json_like_all_else() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *LINES],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SERVER)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["logger"], line["level"], line["message"]) for line in found] == [
        ("stderr", "error", LINES[0].partition("31m")[2].removesuffix("\x1b[m")),
        ("stderr", "warning", LINES[1]),
        ("stderr", "warning", "an error of Python's own"),
    ]


def test_a_crash_in_c_still_shows_pythons_stacks(
    models: Path, log_folder: Path
) -> None:
    with ModelServer(models, log_folder) as server:
        server.process.send_signal(signal.SIGABRT)
        assert server.process.wait(10) == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in server.output.read_text()


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (
            "2026-11-28 10:00:00.1 [E:onnxruntime:, executor.cc:5 Run] no",
            logging.ERROR,
        ),
        ("2026-11-28 10:00:00.1 [W:onnxruntime:, x.cc:5 F] hm", logging.WARNING),
        ("E0000 00:00:1.2 77 ssl.cc:1] handshake", logging.ERROR),
        ("free(): invalid pointer", logging.WARNING),
    ],
)
def test_the_level_is_the_one_that_the_line_names(text: str, level: int) -> None:
    assert level_of(text) == level
