"""The Go modules that a program was built from, as the program itself says.

Go's linker puts them into every program since Go 1.18; `go version -m FILE` prints the
same. The format: https://go.dev/src/debug/buildinfo/buildinfo.go.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway import sbom
from slipway.sbom import Part

MAGIC = b"\xff Go buildinf:"
ALIGNMENT = 16
HEADER_BYTES = 32
INLINE = 2
"""Flag: the strings follow the header; Go before 1.18 wrote pointers to them."""
SENTINEL_BYTES = 16
"""Before and after the list of modules."""
SAID = "go:h1"
"""The property with a module's checksum as go.sum has it."""


@dataclass(frozen=True)
class Module:
    """A module, its version, and its checksum as in go.sum where it has one."""

    path: str
    version: str
    checksum: str = ""


def parts(program: Path) -> Iterator[Part]:
    """Go itself and the modules in a program; nothing if it is not a Go program."""
    version, modules = read(program)
    if version:
        number = version.removeprefix("go").split()[0]
        yield Part("stdlib", number, sbom.golang("stdlib", number))
    for module in modules:
        said = {SAID: module.checksum} if module.checksum else {}
        purl = sbom.golang(module.path, module.version)
        yield Part(module.path, module.version, purl, properties=said)


def read(program: Path) -> tuple[str, list[Module]]:
    """Go's version and the modules, the main one first."""
    with (
        program.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        start = _header(content)
        if start < 0 or not content[start + 15] & INLINE:
            return "", []
        version, after = _text(content, start + HEADER_BYTES)
        listed, _ = _text(content, after)
    inner = listed[SENTINEL_BYTES:-SENTINEL_BYTES].decode()
    return version.decode(), list(_modules(inner))


def _header(content: mmap.mmap) -> int:
    start = content.find(MAGIC)
    while start >= 0 and start % ALIGNMENT:
        start = content.find(MAGIC, start + 1)
    return start


def _text(content: mmap.mmap, start: int) -> tuple[bytes, int]:
    """Bytes after their length (a varint of seven bits a byte), and where they end."""
    length = shift = 0
    while True:
        byte = content[start]
        length |= (byte & 0x7F) << shift
        start, shift = start + 1, shift + 7
        if not byte & 0x80:
            return content[start : start + length], start + length


def _modules(listed: str) -> Iterator[Module]:
    """Lines `mod|dep|=>`, path, version, checksum; `=>` replaces the line before."""
    last: Module | None = None
    for line in listed.splitlines():
        kind, *words = line.split("\t")
        if kind not in ("mod", "dep", "=>"):
            continue
        if last and kind != "=>":
            yield last
        path, version, checksum = (*words, "", "")[:3]
        last = Module(path, version, checksum)
    if last:
        yield last
