"""Go modules where there is no Go: fetched from the module proxy, checked by a go.sum.

Protocol and hash: https://go.dev/ref/mod#goproxy-protocol, #go-sum-files.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx

from toolchain.errors import OperatorError

VARIABLE = "GOPROXY"
TIMEOUT = httpx.Timeout(60.0, connect=5.0)


class ModuleError(OperatorError):
    """A module could not be had; the text says which, from where, and why."""


def fetch(module: str, version: str, sums: Path, folder: Path) -> Path:
    """Unpacks a module below `folder` and returns the folder that its files are in.

    `sums` is the go.sum that has its hash. Raises ModuleError; what is not as in the
    go.sum is not unpacked.
    """
    expected = _expected(module, version, sums)
    reasons: list[str] = []
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".zip") as file:
        path = Path(file.name)
        for proxy in _proxies():
            url = f"{proxy}/{_escaped(module)}/@v/{_escaped(version)}.zip"
            try:
                _download(url, path)
            except httpx.HTTPError as error:
                reasons.append(f"{url}: {error or type(error).__name__}")
                continue
            found = hash_of_zip(path)
            if found != expected:
                raise ModuleError(
                    f"{url} has hash {found}, but {sums} has {expected}; not used"
                )
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
            return folder / f"{module}@{version}"
    raise ModuleError("; ".join(reasons) or f"{VARIABLE} names no module proxy")


def hash_of_zip(path: Path) -> str:
    """The hash of a module's zip as go.sum has it (`h1:...`)."""
    lines = []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            digest = hashlib.sha256()
            with archive.open(name) as content:
                while chunk := content.read(2**20):
                    digest.update(chunk)
            lines.append(f"{digest.hexdigest()}  {name}\n")
    whole = hashlib.sha256("".join(lines).encode()).digest()
    return f"h1:{base64.b64encode(whole).decode()}"


def _expected(module: str, version: str, sums: Path) -> str:
    for line in sums.read_text().splitlines():
        words = line.split()
        if words[:2] == [module, version]:
            return words[2]
    raise ModuleError(f"{sums} has no hash of {module} {version}")


def _proxies() -> Iterator[str]:
    """The proxies of GOPROXY; without Go there is neither a default nor a detour."""
    for word in re.split(r"[,|]", os.environ.get(VARIABLE, "")):
        if word not in ("", "direct", "off"):
            yield word.rstrip("/")


def _escaped(text: str) -> str:
    """A path or version in a proxy's URL, where capitals are escaped."""
    return re.sub(r"[A-Z]", lambda match: f"!{match[0].lower()}", text)


def _download(url: str, path: Path) -> None:
    with httpx.stream("GET", url, timeout=TIMEOUT, follow_redirects=True) as response:
        response.raise_for_status()
        with path.open("wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
