"""Addresses of sinks, by their kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

KINDS = "folder:/path, http://host:port, https://host:port or s3://bucket/prefix"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?|[0-9a-f:.]*:[0-9a-f:.]*")
"""A name or an IPv4 address, or an IPv6 address."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY = re.compile(r"(?:[A-Za-z0-9!_.*'()=-]+(?:/[A-Za-z0-9!_.*'()=-]+)*)?")
"""Characters that S3 lists as safe in keys, and = for partitions."""


@dataclass(frozen=True)
class FolderAddress:
    """A folder, in which `landing/` receives the files."""

    path: Path


@dataclass(frozen=True)
class HttpAddress:
    """The receiver of a model monitor."""

    secure: bool
    host: str
    port: int
    path: str
    """Prefix before /v1/logs: empty, or starting with a slash."""

    @property
    def base(self) -> str:
        """The address as text."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.secure else ''}://{host}:{self.port}{self.path}"


@dataclass(frozen=True)
class S3Address:
    """A bucket, and a prefix that ends in a slash or is empty."""

    bucket: str
    prefix: str


Address = FolderAddress | HttpAddress | S3Address


class AddressError(ValueError):
    """A text is not an address of a sink."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason, self.fix = reason, fix


def parse(text: str) -> Address:
    """Return the address that a text names; raise AddressError."""
    kind, colon, rest = text.partition(":")
    if kind == "folder":
        return _folder(rest)
    if kind in {"http", "https"}:
        return _http(text)
    if kind == "s3":
        return _s3(rest)
    reason = f"{kind!r} is not a kind of sink" if colon else "names no kind of sink"
    raise AddressError(reason if text else "is not set", f"set it to {KINDS}")


def without_password(text: str) -> str:
    """Return a text for messages, without what may be a password before an @."""
    before, at, after = text.rpartition("@")
    return f"{before.partition(':')[0]}:***@{after}" if at else text


def _folder(rest: str) -> FolderAddress:
    path = Path(rest)
    if not path.is_absolute() or "\0" in rest:
        raise AddressError("is not an absolute path", "give one, as in folder:/store")
    return FolderAddress(path)


def _http(text: str) -> HttpAddress:
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise AddressError(f"is not a URL: {error}", f"give {KINDS}") from None
    if not host or not _HOST.fullmatch(host):
        raise AddressError("names no host", "give one, as in http://monitor:8080")
    if url.username is not None or url.password is not None:
        raise AddressError(
            "holds a user or password",
            "remove it, and name a token's file in LOG_SHIPPER_TOKEN_FILE",
        )
    if url.query or url.fragment or not re.fullmatch(r"[!-~]*", url.path):
        raise AddressError(
            "has more than host, port and path",
            "remove the query, the fragment, spaces and control characters",
        )
    secure = url.scheme == "https"
    default = 443 if secure else 80
    path = url.path.rstrip("/")
    return HttpAddress(secure, host, default if port is None else port, path)


def _s3(rest: str) -> S3Address:
    bucket, _, prefix = rest.removeprefix("//").partition("/")
    prefix = prefix.rstrip("/")
    if not rest.startswith("//") or not _BUCKET.fullmatch(bucket):
        raise AddressError(
            "names no bucket", "give s3://bucket/prefix; the prefix may be empty"
        )
    if not _KEY.fullmatch(prefix):
        raise AddressError(
            "has a prefix with other characters than S3 lists as safe",
            "use letters, digits and ! _ . * ' ( ) = - between single slashes",
        )
    return S3Address(bucket, f"{prefix}/" if prefix else "")
