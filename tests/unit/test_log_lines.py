"""What each program of ours writes into its log has the same fields.

The model server's are in tests/server/test_request_lines.py.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys

import pytest

from toolchain import paths

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LOG = "from {module} import log; log('it\\nhappened', level='warning', file='a')"
LOGGING = """
import logging, sys
from {module} import JsonFormatter
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(JsonFormatter())
logging.basicConfig(handlers=[handler])
logging.getLogger({logger!r}).warning("it\\nhappened", extra={{"file": "a"}})
"""
PROGRAMS = {
    "waker": ("waker", LOG.format(module="waker.log"), "waker"),
    "policy_agent": (
        "policy_agent",
        LOG.format(module="policy_agent.log"),
        "policy-agent",
    ),
    "rollout": ("rollout", LOG.format(module="rollout.log"), "rollout"),
    "log_shipper": ("log_shipper", LOG.format(module="log_shipper.log"), "log-shipper"),
    "alert_recorder": (
        "alert_recorder",
        LOG.format(module="alert_recorder.log"),
        "alert-recorder",
    ),
    "rules_reloader": (
        "prometheus",
        LOG.format(module="rules_reloader"),
        "rules-reloader",
    ),
    "model_monitor": (
        "model_monitor",
        LOGGING.format(module="model_monitor.logs", logger="model_monitor.cycle"),
        "model_monitor.cycle",
    ),
}
PLANTED = "planted-4711"
FAULT = f"""
import logging
from model_monitor import logs
logs.configure()
try:
    raise {{error}}("could not convert '{PLANTED}'")
except {{error}}:
    logging.getLogger("model_monitor.worker").exception("the cycle failed")
"""


def run(folder: str, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{paths.ROOT / 'images' / folder}:{paths.ROOT}",
            # Times are in UTC wherever the program runs.
            "TZ": "Asia/Tokyo",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_line_says_when_how_bad_who_and_what(program: str) -> None:
    folder, code, logger = PROGRAMS[program]
    (line,) = run(folder, code).splitlines()
    found = json.loads(line)
    assert TIME.fullmatch(found["time"])
    shown = (found["level"], found["logger"], found["message"])
    assert shown == ("warning", logger, "it\nhappened")
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(found["time"])
    assert dt.timedelta() <= age < dt.timedelta(hours=1)


def test_the_monitors_faults_come_without_their_words() -> None:
    (line,) = run("model_monitor", FAULT.format(error="ValueError")).splitlines()
    found = json.loads(line)
    assert PLANTED not in line
    assert (found["error"], found["message"]) == ("ValueError", "the cycle failed")
    assert 'File "<string>", line 6' in found["traceback"]
    (line,) = run("model_monitor", FAULT.format(error="OSError")).splitlines()
    assert PLANTED in json.loads(line)["reason"]
