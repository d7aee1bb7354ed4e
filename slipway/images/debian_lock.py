"""images/debian.lock: the Debian packages in our images, by version and sha256.

A section for each thing that is made of packages, and one line for each package:

    [bookworm amd64]
    libjansson4=2.14-2=6a2d... pool/main/j/jansson/libjansson4_2.14-2_amd64.deb

`[suite architecture]` holds packages that are unpacked; `[suite architecture: names]`
all packages of a root file system with these names. The path is that in Debian's
archive. `slipway images renew` writes the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from slipway.images.errors import ImageError
from toolchain import downloads, paths

FILE = paths.ROOT / "images" / "debian.lock"
RENEW = "run `slipway images renew`, which writes it"
SECURITY = "pool/updates/"
"""Prefix of paths in the security archive."""
HEAD = "# Debian packages in our images, by `slipway images renew`.\n# Newest on "


@dataclass(frozen=True)
class Pin:
    """A package's archive."""

    name: str
    version: str
    sha256: str
    path: str
    """Path in Debian's archive, or its security archive."""

    @property
    def name_and_version(self) -> str:
        """Return one version of a package in apt's form."""
        return f"{self.name}={self.version}"

    def __str__(self) -> str:
        return f"{self.name}={self.version}={self.sha256} {self.path}"


Lock = Mapping[str, tuple[Pin, ...]]
"""Pins by section."""


def section(suite: str, architecture: str, names: Sequence[str] = ()) -> str:
    """The heading of a section, without brackets."""
    listed = f": {' '.join(sorted(names))}" if names else ""
    return f"{suite} {architecture}{listed}"


def of(suite: str, names: Sequence[str] = ()) -> tuple[Pin, ...]:
    """The pins of a section for this machine's architecture.

    Raises ImageError if the file has none.
    """
    wanted = section(suite, downloads.architecture(), names)
    if wanted not in read():
        raise ImageError(f"{FILE} has no section [{wanted}]; {RENEW}")
    return read()[wanted]


def package(suite: str, name: str) -> Pin:
    """The pin of a package that is unpacked; ImageError if there is none."""
    for pin in of(suite):
        if pin.name == name:
            return pin
    raise ImageError(f"{FILE} has no package {name} of {suite}; {RENEW}")


@cache
def read() -> Lock:
    """The whole file; empty if there is none."""
    return parse(FILE.read_text()) if FILE.is_file() else {}


def day() -> str:
    """The day on which the packages were the newest, as YYYYMMDDTHHMMSSZ."""
    return FILE.read_text().split(HEAD)[1].split(".")[0]


def parse(text: str) -> Lock:
    """The pins in the file's text; ImageError names an invalid line."""
    found: dict[str, list[Pin]] = {}
    heading = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("["):
            heading = line.strip("[]")
            found[heading] = []
        elif line and not line.startswith("#"):
            pin, _, path = line.partition(" ")
            words = pin.split("=")
            if len(words) != 3 or not path or not heading:
                raise ImageError(f"{FILE}:{number}: {line!r} is not a pin; {RENEW}")
            name, version, sha256 = words
            found[heading].append(Pin(name, version, sha256, path))
    return {heading: tuple(pins) for heading, pins in found.items()}


def write(lock: Lock, day: str) -> None:
    """Replaces the file."""
    lines = [f"{HEAD}{day}."]
    for heading, pins in sorted(lock.items()):
        lines += ["", f"[{heading}]"]
        lines += map(str, sorted(pins, key=lambda pin: pin.name))
    FILE.write_text("\n".join([*lines, ""]))
    read.cache_clear()
