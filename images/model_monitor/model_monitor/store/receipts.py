"""Receipts: a small file for each name that came in, with the digest of its content.

They distinguish a repeated file from another one of the same name, also after the store
has read and removed it. `.received/` holds those of landed files, `.imported/` those of
labels.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from model_monitor.store import whole_files


@dataclass(frozen=True)
class Receipt:
    """The data about a received file name."""

    digest: str
    """SHA-256 of its uncompressed content, in hexadecimal digits."""
    time: str = ""
    """When it came, RFC 3339 in UTC."""
    is_complete: bool = True
    """Whether all work of the file is done."""
    accepted: int = 0
    refused: int = 0
    """Lines of it."""


def read(folder: Path, name: str) -> Receipt | None:
    """Return the receipt of a name, None if it never came or was forgotten."""
    try:
        content = (folder / name).read_text()
    except FileNotFoundError:
        return None
    return Receipt(**json.loads(content))


def write(folder: Path, name: str, receipt: Receipt) -> None:
    whole_files.write_whole(folder / name, json.dumps(asdict(receipt)).encode())


def prune(folder: Path, days: float, most: int) -> int:
    """Delete up to `most` receipts that are older than `days`; return how many."""
    oldest = time.time() - days * 86_400
    count = 0
    for path in folder.iterdir():
        if count == most:
            break
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            count += 1
    return count
