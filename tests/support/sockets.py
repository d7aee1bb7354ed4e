"""What the kernel holds of a server's connections on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

WAIT_SECONDS = 60.0
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
"""proc_tcp(5): a server of IPv6 takes callers of IPv4, too."""


def unread(port: int) -> int:
    """Bytes that have come to the port and the server has not read."""
    return sum(received for local, _, _, received in _rows() if local == port)


def under_way(port: int) -> int:
    """Bytes that callers here have sent to the port and the server has not read."""
    sent = sum(sent for _, remote, sent, _ in _rows() if remote == port)
    return sent + unread(port)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Until it is so; it fails only where that would never be."""
    end = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < end, "it is not so after a minute"
        time.sleep(0.01)


def _rows() -> list[tuple[int, int, int, int]]:
    """Both ports and both queues (sent, received) of each established connection."""
    found = []
    for table in _TABLES:
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, remote, state, queues, *_ = line.split()
            if state == "01":
                ours, theirs = (int(it[-4:], 16) for it in (local, remote))
                sent, received = (int(it, 16) for it in queues.split(":"))
                found.append((ours, theirs, sent, received))
    return found
