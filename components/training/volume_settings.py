"""Sources of a job's data, and storage of checkpoints and results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from components.images import ImageReference
from components.setting_types import DnsLabel, DnsSubdomain, Whole
from components.settings import ABSENT, Problem, Settings, refuse

_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._=-]+)*")
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def _bucket(text: str) -> str:
    if not _BUCKET.fullmatch(text):
        refuse(
            "not the address of a bucket",
            "give s3://bucket/prefix, without a slash at the end",
        )
    return text


def _folder(text: str) -> str:
    if not _FOLDER.fullmatch(text):
        refuse(
            "not a folder inside of the volume",
            "give one such as employment-net or nets/employment: no slash at either "
            "end, no . or .. alone",
        )
    return text


Bucket = Annotated[str, AfterValidator(_bucket)]
"""s3://bucket/prefix."""


class Claim(Settings):
    """A folder on a volume, or a prefix in a bucket."""

    claim: DnsLabel | None = None
    """PersistentVolumeClaim in the jobs' namespace. With `size_gib` the stack creates
    it, and `slipway destroy` keeps it."""
    size_gib: Annotated[Whole | None, Field(ge=1, le=65_536)] = None
    """Size of the claim that the stack creates; without it, the claim must exist."""
    storage_class: DnsSubdomain | None = None
    """StorageClass of the claim that the stack creates; default: the cluster's default
    class."""
    many_nodes: bool = False
    """Whether pods of several nodes may mount it (ReadWriteMany): a gang of more than
    one node needs that, and EBS does not have it."""
    path: Annotated[str, AfterValidator(_folder)] | None = None
    """Folder in the volume; default: the job's name."""
    bucket: Bucket | None = None
    """Instead of a claim: s3://bucket/prefix, which the program itself reads and
    writes. Its pods need a role (`service_account`)."""

    @property
    def access_mode(self) -> str:
        """Return the access mode of the claim."""
        return "ReadWriteMany" if self.many_nodes else "ReadWriteOnce"

    def contradictions(self) -> Iterator[Problem]:
        """Report no place or two, and settings of a claim without a claim."""
        if not self.claim and not self.bucket:
            yield Problem(
                "claim", ABSENT, "no storage is given", "give claim, or bucket"
            )
        if self.claim and self.bucket:
            yield Problem(
                "bucket", self.bucket, "claim is given too", "remove one of the two"
            )
        for name in ("size_gib", "storage_class", "many_nodes", "path"):
            if self.bucket and not self.claim and getattr(self, name):
                yield Problem(
                    name,
                    getattr(self, name),
                    "it applies to claims only, and a bucket is given",
                    "remove it",
                )
        if self.storage_class and self.claim and not self.size_gib:
            yield Problem(
                "storage_class",
                self.storage_class,
                "without size_gib the claim is there already, with a class of its own",
                "give size_gib, or remove storage_class",
            )


class Checkpoint(Claim):
    """Storage of the program's state, so that a restart continues from there.

    The program gets the place as SLIPWAY_CHECKPOINT.
    """

    every_seconds: Annotated[Whole, Field(ge=1, le=86_400)] = 300
    """How often the program should write one; it gets this as
    SLIPWAY_CHECKPOINT_SECONDS."""


class Result(Claim):
    """Destination of the finished model: a model folder.

    The program gets the place as SLIPWAY_RESULT.
    """


class Data(Settings):
    """Training data: an image or a bucket. The program gets it as SLIPWAY_DATA."""

    image: ImageReference | None = None
    """Image whose files are mounted read-only as /data."""
    bucket: Bucket | None = None
    """Instead of an image: s3://bucket/prefix, which the program itself reads."""

    def contradictions(self) -> Iterator[Problem]:
        """Report no source, or two."""
        if bool(self.image) == bool(self.bucket):
            yield Problem(
                "image",
                self.image or ABSENT,
                "bucket is given too" if self.image else "no source is given",
                "give one of image and bucket",
            )
