"""Renders stacks with the code of one checkout and writes what they consist of as JSON.

A program of its own: `slipway.preview.rendering` starts it in a process without the
caller's environment. It takes nothing from the checkout that compares, so that each
side is rendered by its own code. Arguments: a descriptor, the checkout, the folder to
write into, a file that describes the other side or nothing, the stacks.

Where the kernel lets it, the process first leaves the machine's network for one of its
own, in which there is nothing but itself. Else the descriptor gets the reason. It is
closed before the checkout's code runs.

Where the other side has the same code, its stacks are rendered here, too. All that this
looks at in the checkout must then be the same there; else the other side is left to a
process of its own.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FIELDS = ("urn", "type", "name", "inputs", "custom", "provider", "digest")
OPTIONS = ("has_secrets", "ignore_changes", "protect", "retain", "depends_on")
"""Fields of a recorded resource; an older checkout may not know all of them."""
GRAPH, OTHER_GRAPH = "graph.json", "other.json"
"""The files written. In the second, a resource of the first stands as its URN."""
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
"""Flags of unshare(2): linux/sched.h."""
_SET_FLAGS, _UP = 0x8914, 0x1
"""The request SIOCSIFFLAGS with the flag IFF_UP: netdevice(7)."""
_READS = ("open", "os.listdir", "os.scandir")
_STARTS = ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system")
"""Events of audit hooks (https://docs.python.org/3/library/audit_events.html)."""


def main(reasons: int, checkout: str, out: str, other: str, stacks: list[str]) -> None:
    """Writes `{stack: {"resources": [...]} or {"error": text}}`.

    `reasons`: a descriptor for why the process keeps the machine's network.
    `other`: a file with JSON: the other side's `folder`, and the `files` and `folders`
    of the checkout that are the same there. Of its stacks, those are written that
    could be rendered here.
    """
    with open(reasons, "w") as pipe:
        pipe.write(without_network())
    seen = None
    if other:
        seen = Seen(Path(checkout), Path(out), **json.loads(Path(other).read_text()))
        sys.addaudithook(seen.hear)
    sys.path.insert(0, checkout)
    from slipway.rendering.render import render

    found, beside = {}, {}
    for stack in stacks:
        pair = _both(stack, seen) if seen else None
        if pair is None:
            found[stack] = _rendered(render, stack)
            continue
        before, after = pair
        found[stack] = _written(before.resources)
        if after is not None and seen and not seen.others:
            beside[stack] = _written(after.resources, known=before.resources)
    for name, content in ((GRAPH, found), (OTHER_GRAPH, beside)):
        Path(out, name).write_text(json.dumps(content))


def without_network() -> str:
    """Leave the machine's network; else the reason why that is not possible.

    With a user namespace, so that no rights are needed, and none are left by which the
    process could come back. Both end with the last process in them. Whether it works is
    tried in a fork, as there is no way back from half of it.
    """
    if not sys.platform.startswith("linux"):
        return f"{sys.platform} has no namespaces"
    read, write = os.pipe()
    trial = os.fork()
    if trial == 0:
        try:
            _enter()
        except Exception as error:  # noqa: BLE001 whatever it is, there is no network
            os.write(write, str(error).encode()[:200])
            os._exit(1)
        os._exit(0)
    os.close(write)
    _, status = os.waitpid(trial, 0)
    with open(read, "rb") as stream:  # noqa: PTH123 a descriptor
        why = stream.read().decode(errors="replace")
    if status:
        return why or "the kernel does not permit it"
    _enter()
    return ""


def _enter() -> None:
    """Enter new namespaces with the same user and a loopback of their own."""
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_USER | _NEW_NET):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny")
    (own / "gid_map").write_text(f"{group} {group} 1")
    (own / "uid_map").write_text(f"{user} {user} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:
        fcntl.ioctl(any_, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP))


def _both(stack: str, seen: Seen) -> tuple[Any, Any] | None:
    """The stack of both sides; None if this side's is to be rendered by itself."""
    from slipway import stack_files
    from slipway.rendering import pair

    try:
        with seen.expected(stack_files.name(stack)):
            before = stack_files.program_config(stack)
        after = stack_files.program_config(stack, seen.folder)
        return None if seen.others else pair.both(stack, before, after)
    except Exception:  # noqa: BLE001 raised again where it is rendered by itself
        return None


def _rendered(render: Callable[[str], Any], stack: str) -> dict[str, Any]:
    try:
        resources = render(stack).resources
    except Exception as error:  # noqa: BLE001 whatever a program raises is its result
        known = hasattr(error, "exit_status")
        return {"error": str(error) if known else traceback.format_exc(limit=-3)}
    return _written(resources)


def _written(resources: Any, known: Any = ()) -> dict[str, Any]:
    """Return JSON; a resource of `known` as its URN."""
    there = {id(resource) for resource in known}
    return {
        "resources": [
            resource.urn if id(resource) in there else _resource(resource)
            for resource in resources
        ]
    }


def _resource(resource: Any) -> dict[str, Any]:
    fields = {name: getattr(resource, name, "") for name in FIELDS}
    return fields | {name: getattr(resource, name, False) for name in OPTIONS}


class Seen:
    """Whether this process and its forks look at what differs on the other side."""

    def __init__(
        self,
        checkout: Path,
        out: Path,
        folder: str,
        files: list[str],
        folders: list[str],
    ) -> None:
        self.folder = Path(folder)
        self._roots = {f"{checkout}/", f"{checkout.resolve()}/"}
        self._environment = f"{sys.prefix}/"
        self._same = {*files, *folders}
        self._expected = ""
        # Forks have it, too: what one of them notes, all see.
        self._notes = os.open(out / "notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Receive Python's audit events of opened files and started programs."""
        if event in _READS:
            path = arguments[0] if arguments[0] is not None else "."
            if not isinstance(path, int):
                # Links are none of what is known to be the same.
                self._look(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100
        elif event in _STARTS:
            self._start(repr(arguments[:2]).replace(self._environment, ""))

    def _look(self, path: str) -> None:
        for root in self._roots:
            if path.startswith(root) and not path.startswith(self._environment):
                name = _source(path.removeprefix(root))
                if name not in self._same and name != self._expected:
                    self._note(name)

    def _start(self, command: str) -> None:
        """Programs get their files by name; one of the checkout is no longer known."""
        for root in self._roots:
            if root in command:
                self._note(command)

    def _note(self, name: str) -> None:
        os.write(self._notes, f"{name}\n".encode())

    @property
    def others(self) -> bool:
        """Return whether a file was read that is not known to be the same."""
        return os.fstat(self._notes).st_size > 0

    @contextmanager
    def expected(self, name: str) -> Iterator[None]:
        """Within it this file may be read: the other side's is read as well."""
        self._expected = name
        try:
            yield
        finally:
            self._expected = ""


def _source(name: str) -> str:
    """The file in Python that a compiled one was made of, else the file itself."""
    folder, _, file = name.rpartition("/")
    if not folder.endswith("__pycache__") or not file.endswith(".pyc"):
        return name
    above = folder.removesuffix("__pycache__")
    return f"{above}{file.partition('.')[0]}.py"


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
