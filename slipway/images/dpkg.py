"""The installed packages of a Debian system, from dpkg's own list.

The format: https://man7.org/linux/man-pages/man5/deb-control.5.html; each package is a
block of `Field: value` lines.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from slipway import sbom
from slipway.images import debian_archive
from slipway.images.debian_lock import Pin
from slipway.sbom import Part
from toolchain import commands, downloads

STATUS = "var/lib/dpkg/status"
SOURCE, SOURCE_VERSION, SUITE = "debian:source", "debian:source-version", "debian:suite"
"""Properties: Debian's security tracker knows sources, not the packages they give."""


def blocks(text: str) -> Iterator[dict[str, str]]:
    """The blocks of a control file, by field; lines that continue one are left out."""
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line[:1] not in ("", " ", "\t")]
        if lines:
            pairs = (line.partition(":") for line in lines)
            yield {name: value.strip() for name, _, value in pairs}


def installed(text: str, suite: str, sha256: Mapping[str, str] = {}) -> list[Part]:
    """The installed packages of a status file; `sha256` of their archives by name."""
    found = [it for it in blocks(text) if "ok installed" in it.get("Status", "")]
    return [part(block, suite, sha256.get(block["Package"], "")) for block in found]


def part(block: Mapping[str, str], suite: str, sha256: str = "") -> Part:
    """One package from its block."""
    name, version = block["Package"], block["Version"]
    source, _, bracketed = block.get("Source", name).partition(" ")
    said = {
        SOURCE: source,
        SOURCE_VERSION: bracketed.strip("()") or version,
        SUITE: suite,
    }
    purl = sbom.deb(name, version, block["Architecture"], suite)
    return Part(name, version, purl, sha256=sha256, properties=said)


def pinned(pin: Pin, suite: str) -> Part:
    """A pinned package; the fields of its archive where this machine can read them."""
    fields = {"Package": pin.name, "Version": pin.version}
    fields["Architecture"] = downloads.architecture()
    fields["Source"] = unquote(pin.path.split("/")[-2])
    if shutil.which("dpkg-deb"):
        (archive,) = debian_archive.fetch([pin])
        (fields,) = blocks(commands.run(["dpkg-deb", "--field", archive]))
    return part(fields, suite, pin.sha256)
