"""Settings of the buckets, image repositories and their keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from components.setting_types import Whole
from components.settings import Problem, Settings, refuse

_REPOSITORY = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*")
_LONGEST_REPOSITORY = 200
"""ECR takes 256 with the prefix that the component adds (the cluster's name and /)."""
INFREQUENT_ACCESS_DAYS = 30
"""S3 moves no object to Standard-IA before, and bills at least as much there.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html"""


def _repository(value: str) -> str:
    if not _REPOSITORY.fullmatch(value) or len(value) > _LONGEST_REPOSITORY:
        refuse(
            "not a valid image repository name",
            f"give up to {_LONGEST_REPOSITORY} characters of a-z and 0-9, with . _ - "
            "or / between them; no host, no tag",
        )
    return value


RepositoryName = Annotated[str, AfterValidator(_repository)]
"""Name of an image repository below the cluster's own prefix."""
Days = Annotated[Whole, Field(ge=1, le=3650)]
"""Days, up to ten years."""


class ModelBucketSettings(Settings):
    """The bucket of weights and other artifacts: versioned, encrypted, TLS only."""

    noncurrent_days: Days = 90
    """Days after which a replaced or deleted version is removed permanently."""


class PredictionLogSettings(Settings):
    """The bucket that prediction logs are shipped to."""

    retention_days: Days = 400
    """Days after which a record is deleted; 400 allow comparison with the previous
    year."""
    infrequent_after_days: Days | None = None
    """Days after which records move to a storage class at half the price with a fee per
    read. Default: never."""
    noncurrent_days: Days = 7
    """Days for which a deleted or overwritten record can be brought back."""

    def contradictions(self) -> Iterator[Problem]:
        """Moves that S3 does not make or that do not pay."""
        move = self.infrequent_after_days
        if move is None:
            return
        if move < INFREQUENT_ACCESS_DAYS:
            yield Problem(
                path="infrequent_after_days",
                value=move,
                reason=f"S3 does not move objects before {INFREQUENT_ACCESS_DAYS} days",
                fix=f"give at least {INFREQUENT_ACCESS_DAYS}, or leave it out",
            )
        elif move + INFREQUENT_ACCESS_DAYS > self.retention_days:
            yield Problem(
                path="infrequent_after_days",
                value=move,
                reason=f"records are kept for {self.retention_days} days, and the "
                f"other class is billed for at least {INFREQUENT_ACCESS_DAYS} days",
                fix=f"raise retention_days to {move + INFREQUENT_ACCESS_DAYS}, move "
                f"earlier (from {INFREQUENT_ACCESS_DAYS} days on), or leave it out",
            )


class StorageSettings(Settings):
    """Where models, prediction logs and images are kept."""

    protect: bool = True
    """True: the engine refuses to delete buckets, repositories and keys. False also
    lets a destroy delete all that is in them."""
    models: ModelBucketSettings = ModelBucketSettings()
    """Bucket of models."""
    prediction_log: PredictionLogSettings = PredictionLogSettings()
    """Bucket of prediction logs."""
    access_log_days: Days = 90
    """Days for which S3's access logs of the buckets are kept."""
    repositories: tuple[RepositoryName, ...] = ()
    """Image repositories: immutable tags, scanned on push, encrypted. Their names start
    with the cluster's name and a slash."""
    keep_images: Annotated[Whole, Field(ge=1, le=1000)] = 100
    """Tagged images kept in each repository; older ones are deleted."""
    untagged_image_days: Annotated[Whole, Field(ge=1, le=365)] = 7
    """Days after which an image without a tag is deleted."""

    def contradictions(self) -> Iterator[Problem]:
        """One repository named twice."""
        for index, name in enumerate(self.repositories):
            if name in self.repositories[:index]:
                yield Problem(
                    path=f"repositories.{index}",
                    value=name,
                    reason="it is given twice",
                    fix="give each repository once",
                )
