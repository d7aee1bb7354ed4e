"""Finds the newest Debian packages for all images and pins them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Sequence

from slipway.images import debian_archive, debian_lock, dpkg, rootfs
from slipway.images.debian_lock import Lock, Pin, section
from slipway.images.errors import ImageError, Report
from slipway.images.inputs import Debian, RootFs
from slipway.images.table import images
from toolchain import packages

ARCHITECTURES = ("amd64", "arm64")


def renew(report: Report) -> dict[str, list[str]]:
    """Pins the newest packages; what changed, by section, as `name old -> new`.

    Needs Debian's apt, which checks the archive's signatures. Raises ImageError, also
    if a package that apt names cannot be had; the file is then as before.
    """
    if not packages.has_apt():
        raise ImageError(
            "the newest packages are found by Debian's apt, which this machine lacks; "
            "renew the pins on Debian, or in a container of it"
        )
    before = debian_lock.read()
    after: dict[str, tuple[Pin, ...]] = {}
    for architecture in ARCHITECTURES:
        report("debian.lock", f"asking for the newest packages for {architecture}")
        for suite in {*_wanted(), *(it.suite for it in _roots())}:
            packages.forget_lists(suite, architecture)
        after |= _single(architecture) | _systems(architecture)
    day = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    _check(after, day, report)
    debian_lock.write(after, day)
    return changes(before, after)


def _check(lock: Lock, day: str, report: Report) -> None:
    """Raises ImageError if a package of the lock cannot be had."""
    report("debian.lock", "asking whether the newest packages can be had")
    lacking = debian_archive.missing((it for pins in lock.values() for it in pins), day)
    if lacking.gone:
        raise ImageError(
            f"apt names packages that {debian_archive.mirror()[0]} does not have: "
            f"{', '.join(lacking.gone)}; images/debian.lock is as before. Perhaps the "
            "mirror is being updated: renew again in some minutes"
        )
    for line in lacking.unknown:
        report("debian.lock", f"not known whether it can be had: {line}")


def gone(report: Report) -> debian_archive.Missing:
    """Pinned archives for this machine that can no longer be fetched."""
    report("debian.lock", "asking whether all pinned packages can be had")
    return debian_archive.missing(_all_here())


def changes(before: Lock, after: Lock) -> dict[str, list[str]]:
    """Return the differences by section."""
    found = {}
    for heading, pins in after.items():
        old = {pin.name: pin.version for pin in before.get(heading, ())}
        new = {pin.name: pin.version for pin in pins}
        lines = [
            f"{name} {old.get(name, '(none)')} -> {new.get(name, '(none)')}"
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        ]
        if lines:
            found[heading] = lines
    return found


def _all_here() -> list[Pin]:
    here = [debian_lock.of(suite) for suite in _wanted()]
    here += [debian_lock.of(it.suite, it.rootfs) for it in _roots()]
    return [pin for pins in here for pin in pins]


def _wanted() -> dict[str, set[str]]:
    """Packages that are unpacked, by suite."""
    found = defaultdict(set)
    for image in images().values():
        for source in image.inputs.values():
            if isinstance(source, Debian):
                found[source.suite].add(source.package)
    return found


def _roots() -> list[RootFs]:
    sources = [it for image in images().values() for it in image.inputs.values()]
    return [it for it in sources if isinstance(it, RootFs)]


def _single(architecture: str) -> dict[str, tuple[Pin, ...]]:
    return {
        section(suite, architecture): _pins(names, suite, architecture)
        for suite, names in _wanted().items()
    }


def _systems(architecture: str) -> dict[str, tuple[Pin, ...]]:
    """All packages of each root file system, dependencies too."""
    found = {}
    for root in _roots():
        suite, names = root.suite, root.rootfs
        always = _required(suite, architecture)
        wanted = sorted({*always, *names, *rootfs.ALWAYS})
        whole = packages.with_dependencies(wanted, suite, architecture)
        found[section(suite, architecture, names)] = _pins(whole, suite, architecture)
    return found


def _required(suite: str, architecture: str) -> Sequence[str]:
    """What every Debian has (https://www.debian.org/doc/debian-policy/ch-archive)."""
    blocks = dpkg.blocks(packages.available(suite, architecture))
    return [
        block["Package"]
        for block in blocks
        if block.get("Priority") == "required" or block.get("Essential") == "yes"
    ]


def _pins(names: Collection[str], suite: str, architecture: str) -> tuple[Pin, ...]:
    found = packages.archives(sorted(names), suite, architecture)
    if len(found) != len(names):
        raise ImageError(
            f"apt names {len(found)} archives with a sha256 for {len(names)} packages "
            f"of {suite} on {architecture}: {', '.join(sorted(names))}"
        )
    return tuple(_pin(archive) for archive in found)


def _pin(archive: packages.Archive) -> Pin:
    name, version = archive.name_and_version
    path = archive.url[archive.url.index("/pool/") + 1 :]
    return Pin(name, version, archive.sha256, path)
