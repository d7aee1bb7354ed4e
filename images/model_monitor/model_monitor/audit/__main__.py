"""Verifies or copies an audit chain, without a monitor's configuration.

    python -m model_monitor.audit verify FILE [--anchor NUMBER:HASH]
    python -m model_monitor.audit copy FILE

Exit status: 0 intact or copied, 1 broken or not to be read, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import fcntl
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from model_monitor.audit.verify import Anchor, verify


def anchor(text: str) -> Anchor:
    """Return an anchor as `verify` prints it; ValueError if it is none."""
    found = re.fullmatch(r"([1-9][0-9]*):([0-9a-f]{64})", text)
    if not found:
        raise ValueError(f"{text!r} is not NUMBER:HASH")
    return Anchor(int(found[1]), found[2])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="model_monitor.audit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("verify")
    check.add_argument("file", type=Path)
    check.add_argument("--anchor", type=anchor)
    commands.add_parser("copy").add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.command == "copy":
            return copy(options.file)
        return tell(options.file, options.anchor)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def tell(path: Path, known: Anchor | None) -> int:
    """Print how many entries there are and the newest, or the first broken link."""
    found = verify(path, known)
    if found.broken is not None:
        broken = found.broken
        print(f"error: {path}:{broken.line}: {broken.what}: {broken.reason}")
        print(f"{path}: {found.entries} entries before it are intact")
        return 1
    head = f"{found.head.sequence}:{found.head.hash}" if found.head else "none"
    print(f"{path}: {found.entries} entries, intact; newest {head}")
    return 0


def copy(path: Path) -> int:
    """Write the chain to standard output as it is between two writes."""
    with path.open("rb") as file:
        # Writers hold the lock exclusively.
        fcntl.flock(file, fcntl.LOCK_SH)
        shutil.copyfileobj(file, sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
