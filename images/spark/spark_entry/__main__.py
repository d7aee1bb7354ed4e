"""Starts one of Spark's processes in place of this one, so that it gets the signals.

    driver MAIN [ARGUMENT ...]   the program, which makes its executors itself
    executor                     what a driver's pod template starts
    history                      web pages of the event logs

Spark's own image has an entrypoint.sh for that, which its Python distribution lacks.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from spark_entry import commands

BAD_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h, at which a Job of this image is not tried again."""


def main(arguments: list[str], environment: dict[str, str]) -> None:
    """Replace this process. Exits with BAD_CONFIGURATION if it cannot be started."""
    try:
        words = commands.of(arguments, environment)
    except commands.UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_CONFIGURATION)
    if folder := environment.get("SPARK_EVENT_LOG"):
        # Neither the driver nor the history server makes it.
        Path(folder).mkdir(parents=True, exist_ok=True)
    os.execve(words[0], words, environment)  # noqa: S606, words of ours


if __name__ == "__main__":
    main(sys.argv[1:], dict(os.environ))
