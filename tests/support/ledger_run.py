"""One of several writers of a ledger, in a process of its own.

python -m tests.support.ledger_run create|append ROOT NUMBER: says that it is ready,
and starts when a line comes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from slipway.ledger.store import FolderStore, TakenError
from tests.support import ledgers

ENTRIES = 20
EACH = 6


def create(root: Path, writer: str) -> None:
    """Try to create each of the same entries, saying whose it is."""
    for number in range(1, ENTRIES + 1):
        try:
            FolderStore(root).create(ledgers.MODEL, number, writer.encode())
        except TakenError:
            continue


def append(root: Path, writer: str) -> None:
    """Register revisions of this writer's own in one chain."""
    ledger = ledgers.ledger(root)
    for number in range(EACH):
        name = f"r{writer}-{number}"
        ledger.register(ledgers.MODEL, name, ledgers.subject(), ledgers.WORD)


if __name__ == "__main__":
    _, verb, given, name = sys.argv
    print("ready", flush=True)
    sys.stdin.readline()
    {"create": create, "append": append}[verb](Path(given), name)
