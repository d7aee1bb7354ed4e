"""Permissions of a service account's pods: models, logs, images."""

from __future__ import annotations

from collections.abc import Iterator

from components.cluster.iam.arns import Arns
from components.cluster.iam.policies import EVERYTHING
from components.cluster.iam.policy_document import (
    Condition,
    PolicyDocument,
    Statement,
    equals,
)
from components.cluster.identity_settings import WorkloadIdentity
from components.cluster.storage import storage_names

_PULL = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
)
_PUSH = (
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
)


def workload(arns: Arns, identity: WorkloadIdentity, cluster: str) -> PolicyDocument:
    """The least that the identity's settings need of the cluster's own stores.

    Models are written, never deleted: the bucket keeps versions, and old ones go by its
    lifecycle. Writers of a log can only add objects, and cannot read it.
    """
    return PolicyDocument(tuple(_statements(arns, identity, cluster)))


def _statements(
    arns: Arns, identity: WorkloadIdentity, cluster: str
) -> Iterator[Statement]:
    reads, writes = False, False
    for what, purpose, access in (
        ("Models", storage_names.MODELS, identity.models),
        ("PredictionLogs", storage_names.PREDICTIONS, identity.prediction_logs),
    ):
        bucket = storage_names.bucket(cluster, purpose, arns)
        place = f"{arns.bucket(bucket)}/{identity.prefix}*"
        # A model's writer reads what it wrote; a server cannot read others' logs.
        readable = access == "read" or (access == "write" and what == "Models")
        if readable:
            yield from _read(arns, what, arns.bucket(bucket), identity.prefix)
        if access == "write":
            yield Statement(
                sid=f"Write{what}",
                actions=(
                    "s3:AbortMultipartUpload",
                    "s3:ListMultipartUploadParts",
                    "s3:PutObject",
                ),
                resources=(place,),
                conditions=(_own_account(arns),),
            )
        reads, writes = reads or readable, writes or access == "write"
    if reads or writes:
        yield _use_key(arns, storage_names.data_key_alias(cluster), writes=writes)
    yield from _images(arns, identity, cluster)


def _read(arns: Arns, what: str, bucket: str, prefix: str) -> Iterator[Statement]:
    yield Statement(
        sid=f"Read{what}",
        actions=("s3:GetObject", "s3:GetObjectVersion"),
        resources=(f"{bucket}/{prefix}*",),
        conditions=(_own_account(arns),),
    )
    within = (Condition("StringLike", "s3:prefix", (f"{prefix}*",)),) if prefix else ()
    yield Statement(
        sid=f"List{what}",
        actions=("s3:ListBucket",),
        resources=(bucket,),
        conditions=(_own_account(arns), *within),
    )


def _own_account(arns: Arns) -> Condition:
    """Names are global: a bucket of this name could belong to another account."""
    return equals("aws:ResourceAccount", arns.account)


def _use_key(arns: Arns, alias: str, *, writes: bool) -> Statement:
    """The buckets' key, through S3 only; multipart uploads decrypt what they began.

    https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
    """
    return Statement(
        sid="UseKeyOfBuckets",
        actions=("kms:Decrypt", "kms:GenerateDataKey") if writes else ("kms:Decrypt",),
        resources=(arns.any_key,),
        conditions=(
            equals("kms:ViaService", f"s3.{arns.region}.amazonaws.com"),
            Condition("ForAnyValue:StringEquals", "kms:ResourceAliases", (alias,)),
        ),
    )


def _images(
    arns: Arns, identity: WorkloadIdentity, cluster: str
) -> Iterator[Statement]:
    pulled = sorted(identity.repositories)
    pushed = sorted(
        n for n, access in identity.repositories.items() if access == "push"
    )
    if not pulled:
        return
    yield Statement(
        sid="SignInToRegistry",
        actions=("ecr:GetAuthorizationToken",),
        resources=EVERYTHING,
    )
    yield Statement(
        sid="PullImages",
        actions=_PULL,
        resources=tuple(arns.repository(f"{cluster}/{name}") for name in pulled),
    )
    if pushed:
        yield Statement(
            sid="PushImages",
            actions=_PUSH,
            resources=tuple(arns.repository(f"{cluster}/{name}") for name in pushed),
        )
