"""Runs the shipper: `python -m log_shipper`. Its settings are environment variables.

On SIGTERM it sends what is finished, for LOG_SHIPPER_DRAIN_SECONDS at most, and ends
with 0. A wrong setting ends it with 2, a fault of its own with 1.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from dataclasses import asdict

from log_shipper.log import log
from log_shipper.settings import PREFIX, Problem, Settings, SettingsError, read
from log_shipper.shipper import Shipper
from log_shipper.sinks import open_sink
from log_shipper.web import Server

SIGNALS = {signal.SIGTERM, signal.SIGINT}
ALIVE_SECONDS = 5.0
"""Between two looks at whether the thread still runs."""


def main() -> int:
    # Blocked, and waited for below: no thread is interrupted, and a signal that comes
    # early waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        settings = read(os.environ)
        shipper = Shipper(settings, open_sink(settings))
        _serve(settings, shipper)
    except SettingsError as error:
        for problem in error.problems:
            log("a setting is wrong", level="error", **asdict(problem))
        return 2
    thread = threading.Thread(target=_run, args=(shipper,), name="shipper", daemon=True)
    thread.start()
    while thread.is_alive() and not signal.sigtimedwait(SIGNALS, ALIVE_SECONDS):
        pass
    if not thread.is_alive():
        return 1
    log("stopping", seconds=settings.drain_seconds)
    shipper.stop()
    thread.join(settings.drain_seconds)
    shipper.report_left()
    return 0


def _serve(settings: Settings, shipper: Shipper) -> None:
    try:
        server = Server(settings.host, settings.port, shipper.metrics, shipper.is_ready)
    except OSError as error:
        reason = f"{settings.host} cannot be listened on at this port: {error}"
        fix = f"give a free port, and an address of this host in {PREFIX}HOST"
        raise SettingsError(
            [Problem(f"{PREFIX}PORT", str(settings.port), reason, fix)]
        ) from error
    server.start()
    log(
        "started",
        folder=str(settings.folder),
        sink=os.environ[f"{PREFIX}SINK"],
        port=server.server_address[1],
    )


def _run(shipper: Shipper) -> None:
    try:
        shipper.run()
    except Exception:  # noqa: BLE001, whatever it is: the kubelet starts another
        log("a fault of the shipper", level="error", fault=traceback.format_exc())


if __name__ == "__main__":
    sys.exit(main())
