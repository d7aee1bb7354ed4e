"""PUT /v1/logs/{name}: a shipped file comes to landing/, once."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model_monitor.receiver import tokens
from model_monitor.receiver.bodies import Bodies
from model_monitor.receiver.counters import Counters
from model_monitor.receiver.errors import ReceiverError, busy, too_large
from model_monitor.receiver.settings import ReceiverSettings
from model_monitor.store import names, receipts, whole_files
from model_monitor.store.limits import Limits
from model_monitor.store.lines import FileTroubleError, LinesFile
from model_monitor.store.store import Store


@dataclass(frozen=True)
class Uploads:
    """The endpoint, and what it works with."""

    store: Store
    settings: ReceiverSettings
    limits: Limits
    bodies: Bodies
    counters: Counters
    lock: threading.Lock
    """Lock of the steps between checking for a name and taking it."""

    async def put(self, request: Request) -> Response:
        """Answer 201 if the file is new, 200 if it came before, 409 if another did."""
        name = request.path_params["name"]
        try:
            tokens.check(request, self.settings.log_tokens)
            is_new = await self._receive(request, name)
        except ReceiverError as error:
            result = "conflict" if error.status == HTTPStatus.CONFLICT else "refused"
            self.counters.files.labels(result).inc()
            raise
        result = "received" if is_new else "repeated"
        self.counters.files.labels(result).inc()
        status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
        return JSONResponse({"name": name, "result": result}, status)

    async def _receive(self, request: Request, name: str) -> bool:
        if not names.is_landed(name):
            raise ReceiverError(
                HTTPStatus.BAD_REQUEST,
                "bad_name",
                f"{name[:200]!r} is not the name of a shipped log file",
                "send predictions-... or protected-..., ending in .jsonl.gz, of "
                "letters, digits, '.', '_' and '-'",
            )
        await asyncio.to_thread(self._check_quota, request)
        async with self.bodies.body(
            request, self.store.landing, self.settings.log_bytes
        ) as body:
            self.counters.bytes.inc(body.bytes)
            return await asyncio.to_thread(self._land, body.path, name)

    def _check_quota(self, request: Request) -> None:
        announced = request.headers.get("content-length", "")
        waiting = int(announced) if announced.isdigit() else 0
        for path in self.store.landing.iterdir():
            with suppress(FileNotFoundError):
                waiting += path.stat().st_size if path.is_file() else 0
        if waiting > self.settings.quota_bytes:
            raise busy(
                HTTPStatus.INSUFFICIENT_STORAGE,
                "quota",
                f"more than {self.settings.quota_bytes} bytes wait to be read",
            )

    def _land(self, path: Path, name: str) -> bool:
        """Give the file its name; return whether it is new. Raises ReceiverError."""
        digest = self._digest(path, name)
        landed = self.store.landing / name
        with self.lock:
            try:
                known = self._digest(landed, name)
            except FileNotFoundError:
                # It never came, or was read: then its receipt was written before.
                receipt = receipts.read(self.store.received, name)
                known = receipt.digest if receipt else ""
            if known and known != digest:
                raise ReceiverError(
                    HTTPStatus.CONFLICT,
                    "name_taken",
                    f"{name} came before with other content",
                    "send it under another name",
                )
            if not known:
                whole_files.put(path, landed)
        return not known

    def _digest(self, path: Path, name: str) -> str:
        """Return the digest of a file's content, whose form its name says."""
        is_gzip = name.endswith(names.COMPRESSED)
        try:
            return LinesFile(path, self.limits, is_gzip=is_gzip).measure()
        except FileTroubleError as error:
            if error.reason == "too_large":
                raise too_large(self.limits.text_bytes) from None
            raise ReceiverError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                error.reason,
                f"{name} is not what its name says: {error.reason}",
                "send the whole file again, compressed with gzip",
            ) from None
