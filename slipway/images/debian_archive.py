"""Fetches pinned Debian archives: from a mirror, else from Debian's own history.

A mirror holds the newest versions only. What it no longer has, snapshot.debian.org has,
under the time for which images/debian.lock was written. Both are checked by the lock's
sha256, so that the way there need not be trusted.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import httpx

from slipway.images import debian_lock
from slipway.images.debian_lock import SECURITY, Pin
from slipway.images.errors import ImageError
from toolchain import commands, packages, paths, whole_files
from toolchain.errors import OperatorError
from toolchain.locks import locked
from toolchain.mirror import DebianMirror

MIRROR_VARIABLE = "SLIPWAY_DEBIAN_MIRROR"
"""Debian's archive, if not the one of this machine's apt. The security archive has the
same address with `-security`."""
SNAPSHOT_VARIABLE = "SLIPWAY_DEBIAN_SNAPSHOT"
SNAPSHOT = "https://snapshot.debian.org/archive"
PUBLIC = "http://deb.debian.org/debian"
CONNECT_SECONDS, TIMEOUT_SECONDS = 5.0, 30.0
PAUSES_SECONDS = (0.5, 2.0)
"""Before a place that did not answer, or that failed, is asked again."""
_GONE = (httpx.codes.NOT_FOUND, httpx.codes.GONE)
_PASSING = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)


def fetch(pins: Iterable[Pin]) -> list[Path]:
    """The archives of pinned packages, from the cache or from Debian.

    Raises ImageError that names each that cannot be had.
    """
    wanted = list(pins)
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    files = [_file(folder, pin) for pin in wanted]
    absent = [pin for pin, file in zip(wanted, files, strict=True) if not file.exists()]
    if absent:
        with locked(folder / "lock"), _Places() as places:
            reasons = [_fetch(places, pin, _file(folder, pin)) for pin in absent]
        if wrong := [reason for reason in reasons if reason]:
            raise ImageError("\n".join([_HEAD, *(f"  {text}" for text in wrong)]))
    return files


_HEAD = (
    "pinned Debian packages cannot be had; `slipway images renew` pins the newest "
    f"(look at what changed and commit images/debian.lock), {MIRROR_VARIABLE} and "
    f"{SNAPSHOT_VARIABLE} name other places:"
)


def unpack(pin: Pin, suite: str) -> Path:
    """A folder with the content of one pinned package, unpacked at the first call."""
    words = [pin.name_and_version]
    if not packages.is_here(words, suite):
        with locked(_folder() / "unpack.lock"):
            if not packages.is_here(words, suite):
                _unpack(pin, suite)
    return packages.location(words, suite)


def _unpack(pin: Pin, suite: str) -> None:
    (archive,) = fetch([pin])
    part = archive.with_name(f"{archive.stem}.unpacked")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was ended
    commands.run(["dpkg-deb", "--extract", archive, part])
    packages.keep(part, pin.name_and_version, suite, {pin.name: pin.version})


class Missing(NamedTuple):
    """Packages that are not in the cache and that no place was seen to have."""

    gone: list[str]
    """Names of those that the mirror says it does not have, and the snapshot too if
    there is a way to it."""
    unknown: list[str]
    """Why nothing is known about the others, one line for each."""


def missing(pins: Iterable[Pin], day: str = "") -> Missing:
    """Asks for all pins that are not in the cache; `day`: as for `addresses`."""
    absent = {pin for pin in pins if not _file(_folder(), pin).exists()}
    found = Missing([], [])
    with _Places() as places:
        for pin in sorted(absent, key=str):
            _ask_for(places, pin, day, found)
    return found


def _ask_for(places: _Places, pin: Pin, day: str, found: Missing) -> None:
    at_mirror, at_snapshot = addresses(pin, day)
    mirror = places.ask("HEAD", at_mirror)
    if _status(mirror) == httpx.codes.OK:
        return
    snapshot = places.ask("HEAD", at_snapshot)
    if _status(snapshot) == httpx.codes.OK:
        return
    # Without access to the snapshot, only the mirror remains.
    neither = _status(snapshot) in _GONE or isinstance(snapshot, _NoWay)
    if _status(mirror) in _GONE and neither:
        found.gone.append(pin.name)
    else:
        said = f"{at_mirror}: {_answer(mirror)}; {at_snapshot}: {_answer(snapshot)}"
        found.unknown.append(f"{pin.name} {pin.version}: {said}")


def _status(answer: httpx.Response | str) -> int:
    return 0 if isinstance(answer, str) else answer.status_code


def _answer(answer: httpx.Response | str) -> str:
    return answer if isinstance(answer, str) else str(answer.status_code)


class _NoWay(str):
    """Why there is no connection to a host: no name, no route, a closed port."""

    __slots__ = ()


class _Places:
    """Hosts with archives; one that failed at each try is not asked again."""

    def __init__(self) -> None:
        timeout = httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS)
        self._client = httpx.Client(timeout=timeout, follow_redirects=True)
        self._silent: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, method: str, url: str) -> httpx.Response | str:
        """The answer, or why there is none."""
        host = httpx.URL(url).netloc.decode()
        for pause in (*PAUSES_SECONDS, 0.0):
            if host in self._silent:
                break
            answer = self._once(method, url)
            if not isinstance(answer, str):
                return answer
            if not pause:
                self._silent[host] = answer
            time.sleep(pause)
        return self._silent[host]

    def _once(self, method: str, url: str) -> httpx.Response | str:
        """The answer, or why it is worth to ask again."""
        try:
            answer = self._client.request(method, url)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            return _NoWay(str(error) or type(error).__name__)
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        passes = answer.is_server_error or answer.status_code in _PASSING
        return f"answers {answer.status_code}" if passes else answer


def _folder() -> Path:
    return paths.cache() / "debian" / "archives"


def _file(folder: Path, pin: Pin) -> Path:
    return folder / f"{pin.sha256[:16]}-{pin.name}.deb"


def addresses(pin: Pin, day: str = "") -> Iterator[str]:
    """Where a package's archive may be, the nearest first.

    `day`: of Debian's history, as YYYYMMDDTHHMMSSZ; default: the lock's.
    """
    main, security = mirror()
    is_security = pin.path.startswith(SECURITY)
    yield f"{security if is_security else main}/{pin.path}"
    snapshot = os.environ.get(SNAPSHOT_VARIABLE, SNAPSHOT).rstrip("/")
    archive = "debian-security" if is_security else "debian"
    yield f"{snapshot}/{archive}/{day or debian_lock.day()}/{pin.path}"


def mirror() -> Sequence[str]:
    """Addresses of Debian's archive and its security archive, without a last slash."""
    if given := os.environ.get(MIRROR_VARIABLE, "").rstrip("/"):
        return given, f"{given}-security"
    if not packages.has_apt():
        return PUBLIC, f"{PUBLIC}-security"
    try:
        of_apt = DebianMirror.of_this_machine()
    except OperatorError:  # an apt of Ubuntu, or one that does not run
        return PUBLIC, f"{PUBLIC}-security"
    found = of_apt.main.rstrip("/"), of_apt.security.rstrip("/")
    is_web = all(it.startswith(("http://", "https://")) for it in found)
    return found if is_web else (PUBLIC, f"{PUBLIC}-security")


def _fetch(places: _Places, pin: Pin, target: Path) -> str:
    """Puts an archive into the cache; empty, or what each place said."""
    said = []
    for url in addresses(pin):
        answer = places.ask("GET", url)
        if isinstance(answer, str):
            said.append(f"{url}: {answer}")
            continue
        found = hashlib.sha256(answer.content).hexdigest()
        if answer.status_code != httpx.codes.OK:
            said.append(f"{url}: {answer.status_code}")
        elif found != pin.sha256:
            said.append(f"{url}: sha256 {found}, and {pin.sha256} is pinned")
        else:
            whole_files.write(target, answer.content)
            return ""
    return f"{pin.name} {pin.version}: {'; '.join(said)}"
