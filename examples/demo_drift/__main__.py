"""Replays census years against the served model and judges what the monitor finds.

    make demo-drift                     both parts, against the lab of `make up`
    python -m examples.demo_drift --backfill
    python -m examples.demo_drift --replay --url http://127.0.0.1:8080/employment/v1

Two parts. `--backfill` imports the data set's own predictions as a past period and
compares the monitor's figures with golden ones; it needs no lab. `--replay` sends 2016,
2017 and 2018, then a fault, to the served model. Simulated is the clock alone: a day
takes seconds. Exit status: 0 all as expected, 1 something differs, 2 it could not run,
130 interrupted.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from examples.demo_drift import backfill, report
from examples.demo_drift.demo import DemoSettings, replay
from lab.settings import LabSettings
from toolchain.errors import OperatorError

LEAST_ROWS = 6_000
MOST_BATCH_ROWS = 1_000
INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m examples.demo_drift",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    part = found.add_mutually_exclusive_group()
    part.add_argument("--backfill", action="store_true", help="that part alone")
    part.add_argument("--replay", action="store_true", help="that part alone")
    found.add_argument(
        "--url",
        default=_lab_url(),
        help="the served employment model, without /infer; %(default)s, the lab's",
    )
    found.add_argument(
        "--rows",
        type=_number(LEAST_ROWS, 1_000_000),
        default=0,
        metavar="N",
        help=f"rows of each year, at least {LEAST_ROWS:,}; default: all, about 70,000. "
        "With fewer, groups are too small for fairness to be judged",
    )
    found.add_argument(
        "--day-seconds",
        type=_seconds,
        default=1.0,
        help="least time of a simulated day; %(default)s",
    )
    found.add_argument(
        "--batch-rows",
        type=_number(1, MOST_BATCH_ROWS),
        default=400,
        help="rows of one request; %(default)s",
    )
    found.add_argument(
        "--folder",
        type=Path,
        help="keep what the monitor and Prometheus write here; default: a temporary "
        "folder, which is deleted",
    )
    return found


def _lab_url() -> str:
    port = LabSettings.from_environment().ports()["gateway"]
    return f"http://127.0.0.1:{port}/employment/v1"


def _number(least: int, most: int) -> Callable[[str], int]:
    def parsed(text: str) -> int:
        value = int(text) if text.isdecimal() else -1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text}: give {least} to {most}")
        return value

    return parsed


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: give a number of seconds from 0 on")
    return value


def run(options: argparse.Namespace, console: Console, folder: Path) -> int:
    """Do the parts that are asked for; return the exit status."""
    started, status = time.monotonic(), 0
    if not options.replay:
        part = folder / "backfill"
        part.mkdir(parents=True, exist_ok=True)
        console.rule("Backfill")
        status |= _backfill(console, part)
    if not options.backfill:
        part = folder / "replay"
        part.mkdir(parents=True, exist_ok=True)
        console.rule("Replay")
        settings = DemoSettings(
            url=options.url,
            rows=options.rows,
            batch_rows=options.batch_rows,
            day_seconds=options.day_seconds,
            run=f"demo-drift-{dt.datetime.now(dt.UTC):%m%d%H%M%S}",
        )
        status |= replay(settings, console, part)
        _start_console(console)
    console.print(f"{time.monotonic() - started:.0f} s in all")
    return status


def _backfill(console: Console, folder: Path) -> int:
    found = backfill.lines(
        backfill.run(folder, lambda text: console.print(f"  {text}", highlight=False))
    )
    console.print(backfill.table(found))
    return report.conclude(console, "backfill", backfill.wrong(found))


def _start_console(console: Console) -> None:
    ports = LabSettings.from_environment().ports()
    if "console" in ports:
        console.print(
            f"console: http://127.0.0.1:{ports['console']} (of the lab's own monitor, "
            "which has the same requests under today's date)"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    # Ends as by Ctrl-C: what runs beside it ends too, and temporary files go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.folder is not None:
            return run(options, console, options.folder)
        with tempfile.TemporaryDirectory(prefix="slipway-demo-drift-") as folder:
            return run(options, console, Path(folder))
    except OperatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing is left running", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
