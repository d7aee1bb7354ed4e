"""A flat apt repository with what the roles install: hosts have no internet access.

The packages and those they depend on, less what the base holds, as signed by Debian
when they were fetched; hosts see the folder read-only at /opt/slipway/repo.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from lab import rootfs
from toolchain import commands, packages, paths, whole_files
from toolchain.digests import sha256_of
from toolchain.locks import locked

PACKAGES = ("docker-registry", "runc", "socat")
_FORMAT = 2


def key(more: Sequence[str] = ()) -> str:
    """Digest of what decides the result; `more` packages beside those of all labs."""
    words = json.dumps([sorted({*PACKAGES, *more}), rootfs.key(), _FORMAT])
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def folder(more: Sequence[str] = ()) -> Path:
    """Return the folder of the repository, whether it exists or not."""
    return paths.cache() / "debian" / "repository" / key(more)


def is_made(more: Sequence[str] = ()) -> bool:
    return (folder(more) / "Release").is_file()


def make(more: Sequence[str] = ()) -> Path:
    """Makes the repository unless it stands; the base must be made before."""
    target = folder(more)
    with locked(target.parent / "lock"):
        if not is_made(more):
            with whole_files.made(target) as part:
                part.mkdir()
                status = rootfs.folder() / "var/lib/dpkg/status"
                names = [*PACKAGES, *more]
                packages.download_with_dependencies(names, rootfs.SUITE, status, part)
                _index(part)
    return target


def _index(repository: Path) -> None:
    entries = []
    for deb in sorted(repository.glob("*.deb")):
        control = commands.run(["dpkg-deb", "--field", deb]).strip()
        entries.append(
            f"{control}\nFilename: ./{deb.name}\nSize: {deb.stat().st_size}\n"
            f"SHA256: {sha256_of(deb)}\n"
        )
    text = "\n".join(entries).encode()
    (repository / "Packages").write_bytes(text)
    (repository / "Packages.gz").write_bytes(gzip.compress(text, mtime=0))
    sums = [
        f" {sha256_of(path)} {path.stat().st_size} {path.name}\n"
        for path in sorted(repository.glob("Packages*"))
    ]
    date = time.strftime("%a, %d %b %Y %H:%M:%S UTC", time.gmtime())
    (repository / "Release").write_text(
        f"Origin: Slipway lab\nSuite: lab\nDate: {date}\nSHA256:\n{''.join(sums)}"
    )
