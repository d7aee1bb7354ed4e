"""Bodies on their way to disk: bounded in bytes, time and number."""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import hashlib
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request

from model_monitor.receiver.errors import ReceiverError, busy, too_large
from model_monitor.store.whole_files import FILE_MODE, TEMPORARY

_CONTENT_DIGEST = re.compile(r"\s*sha-256\s*=\s*:([A-Za-z0-9+/=]+):\s*")


@dataclass(frozen=True)
class Body:
    """A body that came whole."""

    path: Path
    """A temporary file, deleted when the request ends unless it was given a name."""
    digest: str
    """SHA-256 in hexadecimal digits."""
    bytes: int


class Bodies:
    """Takes bodies in, so many at a time."""

    def __init__(self, requests: int, seconds: float) -> None:
        self._requests, self._seconds = requests, seconds
        self.open = 0
        """Requests whose body is being read or worked on."""

    @asynccontextmanager
    async def body(
        self, request: Request, folder: Path, most_bytes: int
    ) -> AsyncIterator[Body]:
        """Yield the body in a temporary file of a folder.

        Raises ReceiverError if it is too large, too slow, cut short or not what its
        Content-Digest (RFC 9530) says, or if too many are open.
        """
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > most_bytes:
            raise too_large(most_bytes)
        if self.open >= self._requests:
            raise busy(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too_many_requests",
                f"{self._requests} requests are being read",
            )
        self.open += 1
        path = folder / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            yield await self._read(request, path, most_bytes)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise busy(
                HTTPStatus.INSUFFICIENT_STORAGE, "disk_full", "the store's disk is full"
            ) from None
        finally:
            self.open -= 1
            path.unlink(missing_ok=True)

    async def _read(self, request: Request, path: Path, most_bytes: int) -> Body:
        digest, size = hashlib.sha256(), 0
        with await asyncio.to_thread(path.open, "xb") as file:
            try:
                async with asyncio.timeout(self._seconds):
                    async for piece in request.stream():
                        size += len(piece)
                        if size > most_bytes:
                            raise too_large(most_bytes)
                        digest.update(piece)
                        await asyncio.to_thread(file.write, piece)
            except TimeoutError:
                raise ReceiverError(
                    HTTPStatus.REQUEST_TIMEOUT,
                    "too_slow",
                    f"the body did not come within {self._seconds:g} s",
                    "send it faster, or send less at once",
                ) from None
            await asyncio.to_thread(file.flush)
        await asyncio.to_thread(path.chmod, FILE_MODE)
        _check_digest(request.headers.get("content-digest", ""), digest.digest())
        return Body(path, digest.hexdigest(), size)


def _check_digest(header: str, digest: bytes) -> None:
    """Raise ReceiverError if the header names another SHA-256; others are not read."""
    for entry in header.split(","):
        found = _CONTENT_DIGEST.fullmatch(entry)
        if not found:
            continue
        try:
            expected = base64.b64decode(found[1], validate=True)
        except binascii.Error:
            expected = b""
        if expected != digest:
            raise ReceiverError(
                HTTPStatus.BAD_REQUEST,
                "damaged",
                "the body is not what Content-Digest says",
                "send it again",
            )
