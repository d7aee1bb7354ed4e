"""Destination of the shippers' files: a bucket, and a prefix in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from model_monitor.config_fields import WrongError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"(?:[A-Za-z0-9!_.*'()=-]+(?:/[A-Za-z0-9!_.*'()=-]+)*)?")
"""Characters that S3 lists as safe in keys, and = for partitions."""


@dataclass(frozen=True)
class Address:
    """A bucket, and a prefix that ends in a slash or is empty."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


def address(value: str) -> Address:
    """Return the parts of s3://bucket/prefix; raise WrongError."""
    bucket, _, prefix = value.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/")
    is_right = value.startswith("s3://") and _BUCKET.fullmatch(bucket)
    if not is_right or not _PREFIX.fullmatch(prefix):
        raise WrongError(
            "is not an address of a bucket's prefix; write s3://bucket/prefix as the "
            "log shippers have it"
        )
    return Address(bucket, f"{prefix}/" if prefix else "")
