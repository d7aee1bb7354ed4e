"""Rolls out a good and a bad revision in the lab of `make up`, and shows the evidence.

    make demo-rollout
    python -m examples.demo_rollout --interval-seconds 10

Creates a stack of its own, models.demo, with one model server; the lab's own models
stay as they are. The stack is destroyed at the end, also after Ctrl-C. Exit status: 0
the good revision was promoted and the bad one taken back, 1 something else happened,
2 it could not run, 130 interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from examples.demo_rollout import demo
from lab.settings import LabSettings
from toolchain.errors import INTERRUPTED, OperatorError

LEAST_INTERVAL, MOST_INTERVAL = 5, 300
"""Seconds."""


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m examples.demo_rollout",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument(
        "--interval-seconds",
        type=_interval,
        default=10,
        metavar="N",
        help=f"time between two looks at the counts, {LEAST_INTERVAL} to "
        f"{MOST_INTERVAL}; %(default)s",
    )
    return found


def _interval(text: str) -> int:
    value = int(text) if text.isdecimal() else -1
    if not LEAST_INTERVAL <= value <= MOST_INTERVAL:
        raise argparse.ArgumentTypeError(
            f"{text}: give {LEAST_INTERVAL} to {MOST_INTERVAL}"
        )
    return value


def run(console: Console, folder: Path, interval: int) -> int:
    """Do both rollouts; return the exit status."""
    started = time.monotonic()
    port = LabSettings.from_environment().ports()["gateway"]
    gateway = f"http://127.0.0.1:{port}"
    demo.check_lab(gateway)
    results = demo.run(console, gateway, folder, interval)
    console.print(demo.table(results))
    console.print(f"{time.monotonic() - started:.0f} s in all")
    return 0 if all(it.is_expected for it in results) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    # Ends as by Ctrl-C, so that the stack is destroyed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="slipway-demo-rollout-") as folder:
            return run(console, Path(folder), options.interval_seconds)
    except OperatorError as error:
        print(f"error: {error}", file=sys.stderr)
        # The engine turns an interruption into an error of its own.
        return INTERRUPTED if error.exit_status == INTERRUPTED else 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
