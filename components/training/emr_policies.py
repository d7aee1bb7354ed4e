"""Trust policy and permissions of a job of EMR Serverless."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from components.cluster.iam import policies
from components.cluster.iam.arns import Arns
from components.cluster.iam.policy_document import (
    Condition,
    PolicyDocument,
    Statement,
    arn_equals,
    equals,
)
from components.cluster.storage import storage_names
from components.training.emr_fields import EmrFields, EmrJobFields

SERVICE = "emr-serverless.amazonaws.com"
LOGS = "applications"
"""Where EMR Serverless writes below the address that it is given."""


def trust(arns: Arns, application: str) -> PolicyDocument:
    """EMR Serverless, on behalf of this application of this account only.

    `application`: its ARN.
    https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/security-iam.html
    """
    return policies.assumed_by(
        SERVICE,
        equals("aws:SourceAccount", arns.account),
        arn_equals("aws:SourceArn", application),
    )


def rights(arns: Arns, emr: EmrFields, job: EmrJobFields) -> PolicyDocument:
    """The job's program, its prefixes, its keys, and its logs: nothing else.

    Buckets may belong to another account; their policy then has to allow the role.
    """
    return PolicyDocument(tuple(_statements(arns, emr, job)))


def _statements(arns: Arns, emr: EmrFields, job: EmrJobFields) -> Iterator[Statement]:
    if not job.in_image:
        yield Statement(
            sid="ReadProgram",
            actions=("s3:GetObject",),
            resources=(arns.bucket(job.main.removeprefix("s3://")),),
        )
    read = sorted({*job.reads, *job.writes})
    if read:
        yield Statement(
            sid="ReadData",
            actions=("s3:GetObject",),
            resources=tuple(_within(arns, read)),
        )
        yield from _listed(arns, read)
    if job.writes:
        yield Statement(
            sid="WriteData",
            actions=(
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
            ),
            resources=tuple(_within(arns, job.writes)),
        )
    if job.keys:
        yield _keys(arns, "UseKeysOfData", job.keys)
    bucket = arns.bucket(storage_names.emr_log_bucket(emr.name, arns))
    yield Statement(
        sid="WriteLogs",
        actions=("s3:PutObject",),
        resources=(f"{bucket}/{LOGS}/*",),
        conditions=(equals("aws:ResourceAccount", arns.account),),
    )
    yield Statement(
        sid="EncryptLogs",
        actions=("kms:Decrypt", "kms:GenerateDataKey"),
        resources=(arns.any_key,),
        conditions=(
            equals("kms:ViaService", f"s3.{arns.region}.amazonaws.com"),
            Condition(
                "ForAnyValue:StringEquals",
                "kms:ResourceAliases",
                (storage_names.emr_log_key_alias(emr.name),),
            ),
        ),
    )


def _within(arns: Arns, places: Iterable[str]) -> Iterator[str]:
    """ARNs of all objects below s3://bucket/prefix."""
    for place in places:
        yield f"{arns.bucket(place.removeprefix('s3://'))}/*"


def _listed(arns: Arns, places: Iterable[str]) -> Iterator[Statement]:
    """Of each bucket the names below its prefixes, and these themselves.

    Spark asks for a folder by its name with and without a slash.
    """
    prefixes: dict[str, list[str]] = {}
    for place in places:
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        prefixes.setdefault(bucket, []).append(prefix)
    for number, (bucket, found) in enumerate(sorted(prefixes.items()), start=1):
        values = [value for one in found for value in (one, f"{one}/*")]
        within = Condition("StringLike", "s3:prefix", tuple(values))
        yield Statement(
            sid=f"ListData{number}",
            actions=("s3:ListBucket",),
            resources=(arns.bucket(bucket),),
            conditions=() if "" in found else (within,),
        )


def _keys(arns: Arns, sid: str, keys: Iterable[str]) -> Statement:
    return Statement(
        sid=sid,
        actions=("kms:Decrypt", "kms:GenerateDataKey"),
        resources=tuple(keys),
        conditions=(equals("kms:ViaService", f"s3.{arns.region}.amazonaws.com"),),
    )
