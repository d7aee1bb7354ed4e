"""A prefix of a bucket as a source of landed files.

Shippers put `<prefix>landing/date=<day>/<name>`, with protected attributes
`<prefix>protected/date=<day>/<name>`, and never change an object. Each is
fetched once, by its name, into the store's `landing/`; the bucket keeps it, and this
program needs no right to change anything there.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_monitor.buckets.address import Address
from model_monitor.buckets.taken import Taken
from model_monitor.store import names, whole_files
from model_monitor.store.limits import MIB, Limits
from model_monitor.store.store import Store

logger = logging.getLogger("model_monitor.buckets")

FOLDERS = LANDING, PROTECTED = "landing/", "protected/"
ROUND_BYTES = 64 * MIB
"""Size to fetch before the store reads the files; the last file may exceed it."""
WAITING_BYTES = 256 * MIB
"""Size of unreadable files in `landing/` beyond which nothing more is fetched."""
WHOLE_SECONDS = 3600.0
"""Between two looks through all days that are kept; the others look through the newest
two. What a shipper could not send for longer is found then."""
NEWEST = dt.timedelta(days=1)
TIMEOUT_SECONDS = 30.0
ATTEMPTS = 3
REFUSALS = 20
"""Objects that S3 does not give, one after the other, until the call ends. The next
call goes on after them, so that they do not keep back what can be read."""
_KEY = re.compile(r"date=(\d{4}-\d{2}-\d{2})/([^/]+)")
_READ_BYTES = MIB


@dataclass(frozen=True)
class _Found:
    """An object that was not taken yet."""

    key: str
    day: str
    name: str
    size: int


@dataclass
class Fetched:
    """The result of a call of `fetch`."""

    files: int = 0
    refused: int = 0
    """Objects that are not log files, or too large; they stay in the bucket alone."""
    has_more: bool = False
    reason: str = ""
    """Why S3 did not give one of the objects; the others were fetched."""


class BucketLog:
    """Fetches the new files of one folder of a prefix; used by one thread."""

    def __init__(
        self,
        store: Store,
        address: Address,
        limits: Limits,
        *,
        folder: str = LANDING,
        is_stopping: Callable[[], bool] = bool,
        client: Callable[[], Any] | None = None,
    ) -> None:
        """folder: one of `FOLDERS`; client: makes botocore's, tests give their own."""
        self._base = address.prefix + folder
        self._store, self._address, self._limits = store, address, limits
        self._is_stopping = is_stopping
        self._make = client or _client
        self._client: Any = None
        self._taken = Taken(store, address)
        self._queue = deque[_Found]()
        self._after: str | None = None
        """The key after which a look goes on; None: none is under way."""
        self._looked_at_all: float | None = None
        self._logged = set[str]()
        self._refusals = 0

    def fetch(self, today: dt.date) -> Fetched:
        """Bring new files to `landing/`, so many that the store reads them next.

        Raises OSError of the store, and what `faults` names of the bucket. A call after
        one that raised looks again from the start.
        """
        result = Fetched()
        if _waiting_bytes(self._store.landing) > WAITING_BYTES:
            logger.warning("files wait to be read; nothing more is fetched")
            return result
        try:
            if self._client is None:
                self._client = self._make()
            if self._after is None and not self._queue:
                self._begin(today)
            left = ROUND_BYTES
            while left > 0 and not self._is_stopping():
                if self._refusals == REFUSALS:
                    # The look after this one asks again for what was refused.
                    self._refusals, self._looked_at_all = 0, None
                    return result
                if self._queue:
                    found = self._queue.popleft()
                    left -= found.size
                    self._take(found, result)
                elif self._after is None:
                    return result
                else:
                    self._look(result)
        except BaseException:
            self._queue.clear()
            self._after = self._looked_at_all = None
            self._refusals = 0
            raise
        result.has_more = True
        return result

    def __str__(self) -> str:
        return f"s3://{self._address.bucket}/{self._base}"

    def _begin(self, today: dt.date) -> None:
        """Begin to look through the days that are kept, or the newest."""
        first_kept = today - dt.timedelta(days=self._limits.retention_days)
        moment, last = time.monotonic(), self._looked_at_all
        if last is None or moment - last >= WHOLE_SECONDS:
            self._looked_at_all = moment
            self._taken.forget_before(first_kept)
            first = first_kept
        else:
            first = max(first_kept, today - NEWEST)
        # Before every key of that day, whose next character is a slash.
        self._after = f"{self._base}date={first}"

    def _look(self, result: Fetched) -> None:
        """Read one page of the list of objects."""
        page = self._client.list_objects_v2(
            Bucket=self._address.bucket,
            Prefix=f"{self._base}date=",
            StartAfter=self._after,
        )
        contents = page.get("Contents", [])
        self._after = contents[-1]["Key"] if page.get("IsTruncated") else None
        for entry in contents:
            key, size = entry["Key"], entry["Size"]
            parts = _KEY.fullmatch(key.removeprefix(self._base))
            if not parts or not names.is_landed(parts[2]):
                self._refuse(key, "is not the name of a shipped log file", result)
            elif self._taken.has(*parts.groups()):
                continue
            elif size > self._limits.file_bytes:
                reason = f"has {size} bytes, more than {self._limits.file_bytes}"
                self._refuse(key, reason, result)
            else:
                self._queue.append(_Found(key, parts[1], parts[2], size))

    def _refuse(self, key: str, reason: str, result: Fetched) -> None:
        """Say once that an object is left where it is."""
        if key not in self._logged and len(self._logged) < 1_000:
            self._logged.add(key)
            result.refused += 1
            shown = f"s3://{self._address.bucket}/{key}"
            logger.error("an object is not read", extra={"key": shown, "why": reason})

    def _take(self, found: _Found, result: Fetched) -> None:
        landed = self._store.landing / found.name
        if landed.exists():
            # It came another way, and is not read yet: the next look finds it again.
            return
        from botocore.exceptions import ClientError

        try:
            self._download(found, landed)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                # It ended after it was listed.
                return
            self._refusals += 1
            result.reason = str(error)
            return
        self._refusals = 0
        self._taken.add(found.day, found.name)
        result.files += 1

    def _download(self, found: _Found, landed: Path) -> None:
        """Write an object to `landing/`, whole. botocore compares its checksum."""
        body = self._client.get_object(
            Bucket=self._address.bucket, Key=found.key, ChecksumMode="ENABLED"
        )["Body"]
        with whole_files.temporary(self._store.landing) as written:
            with written.open("xb") as file:
                written.chmod(whole_files.FILE_MODE)
                while piece := body.read(_READ_BYTES):
                    file.write(piece)
            whole_files.put(written, landed)


def faults() -> tuple[type[Exception], ...]:
    """Return what a bucket that cannot be read raises."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


def _waiting_bytes(landing: Path) -> int:
    return sum(it.stat().st_size for it in landing.iterdir() if it.is_file())


def _client() -> Any:
    # Imported here: without a bucket its 28 MiB are not needed.
    import botocore.session
    from botocore.config import Config

    # botocore reads AWS_DEFAULT_REGION only; EKS may set AWS_REGION alone.
    session = botocore.session.get_session()
    region = session.get_config_variable("region") or os.environ.get("AWS_REGION")
    config = Config(
        connect_timeout=TIMEOUT_SECONDS,
        read_timeout=TIMEOUT_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    return session.create_client("s3", region_name=region, config=config)
