"""Whether the name of pods' interfaces takes in one that is not a pod's.

What comes from such an interface with an address of no known pod is dropped. Of
loopback, or of the way out of the node, that is all traffic of the node itself.
"""

from __future__ import annotations

from pathlib import Path

LOOPBACK = "lo"
PROC_NET = Path("/proc/net")
_ANYWHERE = "00000000"
_UP = 0x1
_ANYWHERE_V6 = ("0" * 32, "00")


def problem(pattern: str, proc_net: Path = PROC_NET) -> str:
    """Why `pattern` (a name, or the beginning of one and `*`) cannot be; else empty."""
    for name, why in _of_the_node(proc_net).items():
        if matches(pattern, name):
            return f"{pattern} takes in {name}, {why}: all its traffic would be dropped"
    return ""


def matches(pattern: str, name: str) -> bool:
    """As nftables compares names."""
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def _of_the_node(proc_net: Path) -> dict[str, str]:
    found = {LOOPBACK: "the node's loopback"}
    for name in _default_routes(proc_net):
        found.setdefault(name, "which has a default route")
    return found


def _default_routes(proc_net: Path) -> list[str]:
    """Interfaces of all default routes, as proc(5) writes them."""
    found = []
    for line in _lines(proc_net / "route")[1:]:
        name, destination, _gateway, flags, *rest = line
        mask = rest[3]
        if destination == mask == _ANYWHERE and int(flags, 16) & _UP:
            found.append(name)
    # Of IPv6, unreachable ones are on loopback, which is refused anyway.
    lines = _lines(proc_net / "ipv6_route")
    return found + [line[-1] for line in lines if (line[0], line[1]) == _ANYWHERE_V6]


def _lines(file: Path) -> list[list[str]]:
    try:
        return [line.split() for line in file.read_text().splitlines()]
    except FileNotFoundError:
        return []  # a kernel without IPv6
