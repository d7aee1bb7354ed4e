"""Checks that the lab's loopback ports are free, and finds who uses them."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from lab.settings import PORT_OFFSET_VARIABLE
from toolchain.errors import OperatorError

LOOPBACK = "127.0.0.1"
_LISTENING = "0A"


def listen(port: int) -> socket.socket:
    """A socket listening on loopback; OSError if the port is taken."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def check_free(ports: Mapping[str, int]) -> None:
    """Raises OperatorError naming each busy port, its owner, and what to do."""
    busy = []
    for name, port in ports.items():
        try:
            listen(port).close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            busy.append(f"  {port} ({name}): {owner(port) or 'owner not found'}")
    if busy:
        raise OperatorError(
            f"ports on {LOOPBACK} that the lab needs are busy:\n"
            + "\n".join(busy)
            + f"\nEnd their owners, or set {PORT_OFFSET_VARIABLE} (such as 1000): it "
            "is added to all ports of the lab"
        )


def owner(port: int) -> str:
    """The process listening on a port of this network namespace, as far as visible."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        path = Path("/proc/self/net", table)
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        for line in lines:
            fields = line.split()
            if (
                fields[3] == _LISTENING
                and int(fields[1].rpartition(":")[2], 16) == port
            ):
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        if inodes & _open_files(process):
            name = (process / "comm").read_text().strip()
            who = "this process" if process.name == str(os.getpid()) else name
            return f"{who}, process {process.name}"
    return ""


def _open_files(process: Path) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):  # it ended, or is another user's
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(link.readlink()))
    return found
