"""Fetches programs from their publishers: releases over HTTPS, images by digest.

`[GROUP.download]` of toolchain/binaries/groups.toml says where a publisher offers a
group's programs. Everything is checked before it is kept: a release against the sha256
that its publisher lists, an image against the digest that groups.toml pins. A download
that fails leaves nothing behind.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

import httpx

from toolchain.errors import OperatorError

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 10.0
"""The longest wait for the next bytes of an answer."""
FILE_SECONDS = 300.0
"""Seconds for one file; after them, the group is built instead."""
PACE_SECONDS = 15.0
"""After which the pace of a download says how long it will take."""
ATTEMPTS = 2
"""Number of attempts for a file that was cut off."""
TEXT_BYTES = 4 * 2**20
"""The largest list of checksums, manifest or token that is read."""
MIRROR_VARIABLE = "SLIPWAY_PROGRAMS_MIRROR"
"""URL that stands for `https://`: `MIRROR/dl.k8s.io/release/...`."""
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
AS_IT_IS = {"Accept-Encoding": "identity"}
HOSTS_OF_REGISTRIES = {"docker.io": "registry-1.docker.io"}
"""Address of a registry's API, if it is not the host in its references."""

_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')

Expand = Callable[[str], str]
"""Fills a group's version into a text of groups.toml."""
Say = Callable[[str], None]


class DownloadError(OperatorError):
    """A program could not be downloaded; the text says which URL and why."""


class NoAnswerError(DownloadError):
    """The publisher's host does not answer: others of its files need not be tried."""


@dataclass(frozen=True)
class Download:
    """A publisher's download of a group's programs."""

    url: str = ""
    """A program if `{binary}` is in it, else an archive with all of them."""
    checksums: str = ""
    """The publisher's file of sha256 digests for `url`."""
    image: str = ""
    """Instead of a URL: `registry/repository:tag@sha256:...`, an image with them."""

    @property
    def host(self) -> str:
        """The host that is asked first."""
        if self.image:
            registry = self.image.partition("/")[0]
            return HOSTS_OF_REGISTRIES.get(registry, registry)
        return urlsplit(self.url).netloc


def architecture() -> str:
    """This machine's architecture by its name in Go and in images."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def fetch(
    download: Download,
    binaries: tuple[str, ...],
    expand: Expand,
    folder: Path,
    say: Say,
) -> dict[str, str]:
    """Puts the programs into `folder`; the sha256 of each thing fetched, by its URL.

    Raises DownloadError.
    """
    session = _Session(folder, say)
    with session.client:
        if download.image:
            _from_image(session, download.image, binaries)
        else:
            _from_release(session, download, binaries, expand)
    if missing := [name for name in binaries if not (folder / name).is_file()]:
        source = download.image or download.url
        raise DownloadError(f"{source} has no {', '.join(missing)}")
    return session.fetched


@dataclass
class _Session:
    folder: Path
    say: Say
    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(
            timeout=httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=True,
        )
    )
    fetched: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with each request; an image's token."""

    def text(self, url: str) -> bytes:
        """A small file's content."""
        content = bytearray()
        with self._answer(url) as response:
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > TEXT_BYTES:
                    raise DownloadError(f"{url} is larger than {TEXT_BYTES} bytes")
        return bytes(content)

    def file(self, url: str, sha256: str) -> Path:
        """A file with that digest, in the folder under a name of its own."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                path, found = self._file(url)
                break
            except httpx.TransportError as error:
                if attempt == ATTEMPTS:
                    raise DownloadError(
                        f"{url} was cut off: {_error_text(error)}"
                    ) from error
                self.say(f"{url} was cut off, trying again")
        if found != sha256:
            path.unlink()
            raise DownloadError(
                f"{url} has sha256 {found}, but its publisher lists {sha256}; it was "
                "not used"
            )
        self.fetched[url] = sha256
        return path

    def _file(self, url: str) -> tuple[Path, str]:
        digest, start, size = hashlib.sha256(), time.monotonic(), 0
        with (
            self._answer(url, AS_IT_IS, cut_off=False) as response,
            tempfile.NamedTemporaryFile(
                dir=self.folder, prefix=".part-", delete=False
            ) as part,
        ):
            try:
                total = int(response.headers.get("Content-Length", 0))
                for chunk in response.iter_raw():
                    part.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    _check_pace(url, time.monotonic() - start, size, total)
            except BaseException:
                Path(part.name).unlink()
                raise
        return Path(part.name), digest.hexdigest()

    @contextmanager
    def _answer(
        self, url: str, headers: Mapping[str, str] = {}, *, cut_off: bool = True
    ) -> Iterator[httpx.Response]:
        """The answer to a GET; errors of the connection name the URL and the reason.

        `cut_off`: whether an error after the first bytes is reported the same way.
        """
        headers = {**self.headers, **headers}
        asked = self.client.build_request("GET", _mirrored(url), headers=headers)
        try:
            response = self.client.send(asked, stream=True)
        except httpx.HTTPError as error:
            host = urlsplit(url).netloc
            raise NoAnswerError(
                f"{host} does not answer ({_error_text(error)})"
            ) from error
        try:
            if response.status_code != httpx.codes.OK:
                raise _StatusError(url, response)
            yield response
        except httpx.HTTPError as error:
            if not cut_off:
                raise
            raise DownloadError(f"{url} was cut off: {_error_text(error)}") from error
        finally:
            response.close()


class _StatusError(DownloadError):
    def __init__(self, url: str, response: httpx.Response) -> None:
        super().__init__(f"{url} answers {response.status_code}")
        self.response = response


def _error_text(error: Exception) -> str:
    return str(error) or type(error).__name__


def _mirrored(url: str) -> str:
    mirror = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    return f"{mirror}/{url.partition('://')[2]}" if mirror else url


def _check_pace(url: str, seconds: float, size: int, total: int) -> None:
    """Raises DownloadError if a file takes, or will take, too long."""
    if seconds < PACE_SECONDS:
        return
    expected = seconds * total / size if total and size else seconds
    if max(expected, seconds) > FILE_SECONDS:
        raise DownloadError(
            f"{url} is slow: {size / 1e6:.1f} MB in {seconds:.0f} s, and it may take "
            f"{FILE_SECONDS:.0f} s in all"
        )


def _from_release(
    session: _Session, download: Download, binaries: tuple[str, ...], expand: Expand
) -> None:
    each = "{binary}" in download.url
    for name in binaries if each else ("",):
        url, listed = (
            _filled(expand(text), name) for text in (download.url, download.checksums)
        )
        path = session.file(url, _published(session.text(listed), url, listed))
        if each:
            _keep(path, session.folder / name)
        else:
            _unpack(path, binaries, session.folder, url)
            path.unlink()


def _filled(text: str, binary: str) -> str:
    own = architecture()
    return (
        text.replace("{binary}", binary)
        .replace("{architecture}", own)
        .replace("{x64}", "x64" if own == "amd64" else own)
    )


def _published(content: bytes, url: str, listed: str) -> str:
    """The digest of a file in its publisher's list, or the only one in it."""
    name = PurePosixPath(urlsplit(url).path).name
    for line in content.decode(errors="replace").splitlines():
        digest, _, file = line.strip().partition(" ")
        if not _SHA256.match(digest):
            continue
        if not file or PurePosixPath(file.strip().lstrip("*")).name == name:
            return digest
    raise DownloadError(f"{listed} has no sha256 of {name}")


def _unpack(
    archive: Path, binaries: tuple[str, ...], folder: Path, where: str
) -> list[str]:
    """Takes regular files by their names out of a tar archive; the names it had."""
    found = []
    try:
        with tarfile.open(archive) as opened:
            for member in opened:
                name = PurePosixPath(member.name).name
                if name in binaries and member.isfile():
                    content = opened.extractfile(member)
                    assert content is not None
                    _write(content, folder / name)
                    found.append(name)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DownloadError(f"{where} is not a readable archive: {error}") from error
    return found


def _write(content: IO[bytes], target: Path) -> None:
    part = target.with_name(f".part-{target.name}")
    with part.open("wb") as file:
        shutil.copyfileobj(content, file)
    _keep(part, target)


def _keep(part: Path, target: Path) -> None:
    part.chmod(0o755)
    part.replace(target)


def _from_image(session: _Session, image: str, binaries: tuple[str, ...]) -> None:
    """Takes programs out of an image; its manifests are checked by their digests."""
    reference, _, digest = image.partition("@")
    registry, _, repository = reference.rpartition(":")[0].partition("/")
    host = HOSTS_OF_REGISTRIES.get(registry, registry)
    base = f"https://{host}/v2/{repository}"
    session.headers["Accept"] = ", ".join((*INDEXES, *MANIFESTS))
    manifest = _manifest(session, base, digest)
    if "manifests" in manifest:
        manifest = _manifest(session, base, _of_this_machine(manifest, image))
    left = set(binaries)
    # A later layer takes precedence.
    for layer in reversed(manifest.get("layers", [])):
        url = f"{base}/blobs/{layer['digest']}"
        path = session.file(url, layer["digest"].removeprefix("sha256:"))
        left -= set(_unpack(path, tuple(left), session.folder, url))
        path.unlink()
        if not left:
            return


def _of_this_machine(index: Mapping[str, Any], image: str) -> str:
    for entry in index["manifests"]:
        of = entry.get("platform", {})
        if of.get("os") == "linux" and of.get("architecture") == architecture():
            return str(entry["digest"])
    raise DownloadError(f"{image} has nothing for linux on {architecture()}")


def _manifest(session: _Session, base: str, digest: str) -> dict[str, Any]:
    url = f"{base}/manifests/{digest}"
    try:
        content = session.text(url)
    except _StatusError as error:
        if error.response.status_code != httpx.codes.UNAUTHORIZED:
            raise
        _log_in(session, error.response.headers.get("WWW-Authenticate", ""))
        content = session.text(url)
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != digest:
        raise DownloadError(f"{url} has digest {found}; it was not used")
    session.fetched[url] = digest.removeprefix("sha256:")
    manifest: dict[str, Any] = json.loads(content)
    return manifest


def _log_in(session: _Session, challenge: str) -> None:
    """Gets the token that a registry gives to everybody.

    https://distribution.github.io/distribution/spec/auth/token/
    """
    words = dict(_CHALLENGE.findall(challenge))
    if "realm" not in words:
        raise DownloadError(f"a registry asks for a log-in ({challenge or 'no realm'})")
    query = httpx.QueryParams(
        {key: words[key] for key in ("service", "scope") if key in words}
    )
    url = f"{words['realm']}?{query}"
    try:
        answer = json.loads(session.text(url))
    except ValueError as error:
        raise DownloadError(f"{url} answers with no JSON: {error}") from error
    token = answer.get("token") or answer.get("access_token", "")
    session.headers["Authorization"] = f"Bearer {token}"
