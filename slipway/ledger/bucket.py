"""A ledger in an S3 bucket with Object Lock: what was written cannot be destroyed.

A delete marker hides an entry without destroying it, and a create-only put then
succeeds again under its key: all versions are read, and markers are breaks.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from slipway.ledger.store import (
    ENTRY_BYTES,
    NAME,
    Stored,
    TakenError,
    entry_number,
)
from toolchain.errors import OperatorError, WrongInputError

URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/?(?P<prefix>.*)")
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")
"""The key is there, or another writer is creating it at this moment."""
CLIENT = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3})
"""A put that is repeated after a lost answer finds its own entry when it reads anew."""
HIDDEN = "a delete marker hides it; remove the marker and find out who made it"


@dataclass(frozen=True)
class BucketStore:
    """Entries as objects `<prefix><model>/<8 digits>.json`; `client` is S3's.

    How long entries are kept is the bucket's default retention; without one in
    compliance mode nothing is written.
    """

    client: Any
    bucket: str
    prefix: str = ""
    """Empty, or ends in a slash."""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def models(self) -> list[str]:
        found = {
            it["Prefix"].removeprefix(self.prefix).rstrip("/")
            for page in self._pages(self.prefix, Delimiter="/")
            for it in page.get("CommonPrefixes", [])
        }
        return sorted(name for name in found if NAME.fullmatch(name))

    def read(self, model: str) -> list[Stored]:
        found: list[tuple[dict[str, Any], bytes | None]] = []
        start = f"{self.prefix}{model}/"
        for page in self._pages(start):
            found += [(it, self._content(it)) for it in page.get("Versions", [])]
            found += [(it, None) for it in page.get("DeleteMarkers", [])]
        found.sort(key=lambda it: it[0]["LastModified"])
        stored = [
            _stored(raw["Key"].removeprefix(start), content) for raw, content in found
        ]
        return sorted(stored, key=lambda it: it.number)  # in the order of time

    def create(self, model: str, number: int, content: bytes) -> None:
        self._check_lock()
        key = f"{self.prefix}{model}/{number:08}.json"
        with self._readable_errors("PutObject"):
            try:
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=content,
                    ContentType="application/json",
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if error.response["Error"].get("Code") in _TAKEN:
                    raise TakenError from None
                raise

    def place(self, model: str, name: str) -> str:
        return f"{self}{model}/{name}"

    def _check_lock(self) -> None:
        with self._readable_errors("GetObjectLockConfiguration"):
            found = self.client.get_object_lock_configuration(Bucket=self.bucket)
        rule = found.get("ObjectLockConfiguration", {}).get("Rule", {})
        if rule.get("DefaultRetention", {}).get("Mode") != "COMPLIANCE":
            raise WrongInputError(
                f"{self}: the bucket has no default retention in compliance mode, so "
                "entries could be destroyed; set one with PutObjectLockConfiguration"
            )

    def _pages(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        pages = self.client.get_paginator("list_object_versions")
        with self._readable_errors("ListObjectVersions"):
            yield from pages.paginate(Bucket=self.bucket, Prefix=prefix, **options)

    def _content(self, version: dict[str, Any]) -> bytes:
        if version["Size"] > ENTRY_BYTES:
            return b"x" * (ENTRY_BYTES + 1)  # too long to be read, as it says
        named = {"Key": version["Key"], "VersionId": version["VersionId"]}
        with self._readable_errors("GetObjectVersion"):
            answer = self.client.get_object(Bucket=self.bucket, **named)
            content: bytes = answer["Body"].read()
        return content

    @contextmanager
    def _readable_errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = error.response["Error"].get("Code", "no code")
            raise OperatorError(
                f"{self}: {action} was refused ({code}); give your role the right, a "
                "bucket with Object Lock, and the right region"
            ) from None
        except BotoCoreError as error:
            raise OperatorError(
                f"{self}: {action} failed ({error}); try `aws sts get-caller-identity`"
            ) from None


def _stored(name: str, content: bytes | None) -> Stored:
    number = entry_number(name)
    if content is None:
        return Stored(name, number, b"", fault=HIDDEN)
    return Stored(name, number, content)


def opened(url: str) -> BucketStore:
    """The ledger at s3://BUCKET/PREFIX; ValueError says why there is none."""
    match = URL.fullmatch(url)
    if match is None:
        raise ValueError(f"{url!r} is not s3://BUCKET/PREFIX")
    prefix = match["prefix"].strip("/")
    try:
        client = boto3.client("s3", config=CLIENT)
    except BotoCoreError as error:
        raise ValueError(f"{error}; correct your AWS settings") from None
    return BucketStore(client, match["bucket"], f"{prefix}/" if prefix else "")
