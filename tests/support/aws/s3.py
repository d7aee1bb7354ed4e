"""Buckets and their settings, each a resource of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

from tests.support.aws.account import Account
from tests.support.aws.convert import given, pascal
from tests.support.aws.handler import (
    Change,
    Handler,
    Made,
    Properties,
    SettingHandler,
)
from tests.support.aws.rules import refuse_if
from tests.support.aws.tagging import pairs

FIRST_REGION = "us-east-1"
"""The region that CreateBucket does not let one name."""


class Bucket(Handler):
    type = "aws:s3/bucket:Bucket"
    required = frozenset({"bucket"})
    optional = frozenset({"forceDestroy", "objectLockEnabled"})
    updates = frozenset({"forceDestroy"})

    def create(self, aws: Account, new: Properties) -> Made:
        s3, name = aws.client("s3"), new["bucket"]
        place = {"LocationConstraint": aws.region}
        s3.create_bucket(
            Bucket=name,
            **(
                {}
                if aws.region == FIRST_REGION
                else {"CreateBucketConfiguration": place}
            ),
            **given(ObjectLockEnabledForBucket=new.get("objectLockEnabled")),
        )
        self._tag(aws, new)
        regional = f"{name}.s3.{aws.region}.amazonaws.com"
        told = {
            "arn": f"arn:aws:s3:::{name}",
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "bucketRegionalDomainName": regional,
            "region": aws.region,
        }
        return Made(name, told)

    def _tag(self, aws: Account, new: Properties) -> None:
        # As a whole: PutBucketTagging replaces what there was.
        aws.client("s3").put_bucket_tagging(
            Bucket=new["bucket"], Tagging={"TagSet": pairs(new["tags"])}
        )

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        self._tag(aws, change.new)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("s3").head_bucket(Bucket=identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        s3 = aws.client("s3")
        if state.get("forceDestroy"):
            self._empty(aws, identifier)
        s3.delete_bucket(Bucket=identifier)

    def _empty(self, aws: Account, bucket: str) -> None:
        s3 = aws.client("s3")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for found in page.get("Versions", []) + page.get("DeleteMarkers", []):
                s3.delete_object(
                    Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"]
                )


class _BucketSetting(SettingHandler):
    """A setting whose three calls have names that follow from one."""

    name: ClassVar[str]
    """Of the calls: `put_<name>`, `get_<name>` and `delete_<name>`."""

    def parameters(self, new: Properties) -> dict[str, Any]:
        raise NotImplementedError

    def _call(self, aws: Account, verb: str) -> Callable[..., Any]:
        call: Callable[..., Any] = getattr(aws.client("s3"), f"{verb}_{self.name}")
        return call

    def put(self, aws: Account, new: Properties) -> str:
        self._call(aws, "put")(Bucket=new["bucket"], **self.parameters(new))
        bucket: str = new["bucket"]
        return bucket

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return self._call(aws, "get")(Bucket=identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        self._call(aws, "delete")(Bucket=identifier)


class Versioning(_BucketSetting):
    type = "aws:s3/bucketVersioning:BucketVersioning"
    required = frozenset({"bucket", "versioningConfiguration"})
    updates = frozenset({"versioningConfiguration"})
    name = "bucket_versioning"

    def parameters(self, new: Properties) -> dict[str, Any]:
        return {"VersioningConfiguration": pascal(new["versioningConfiguration"])}

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        # There is no way back to a bucket without versions, only to a pause.
        aws.client("s3").put_bucket_versioning(
            Bucket=identifier, VersioningConfiguration={"Status": "Suspended"}
        )


class Encryption(_BucketSetting):
    type = (
        "aws:s3/bucketServerSideEncryptionConfiguration:"
        "BucketServerSideEncryptionConfiguration"
    )
    required = frozenset({"bucket", "rules"})
    updates = frozenset({"rules"})
    name = "bucket_encryption"

    def _rule(self, rule: Properties) -> dict[str, Any]:
        default = dict(rule["applyServerSideEncryptionByDefault"])
        algorithm = {"SSEAlgorithm": default.pop("sseAlgorithm")}
        if "kmsMasterKeyId" in default:
            algorithm["KMSMasterKeyID"] = default.pop("kmsMasterKeyId")
        refuse_if(default, f"not known: {default}")
        rest = {
            key: value
            for key, value in rule.items()
            if key != "applyServerSideEncryptionByDefault"
        }
        return {"ApplyServerSideEncryptionByDefault": algorithm, **pascal(rest)}

    def parameters(self, new: Properties) -> dict[str, Any]:
        rules = [self._rule(rule) for rule in new["rules"]]
        return {"ServerSideEncryptionConfiguration": {"Rules": rules}}

    def put(self, aws: Account, new: Properties) -> str:
        for rule in new["rules"]:
            default = rule["applyServerSideEncryptionByDefault"]
            if key := default.get("kmsMasterKeyId"):
                aws.client("kms").describe_key(KeyId=key)  # moto takes any
        return super().put(aws, new)


class PublicAccessBlock(_BucketSetting):
    type = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    required = frozenset({"bucket"})
    optional = frozenset(
        {
            "blockPublicAcls",
            "blockPublicPolicy",
            "ignorePublicAcls",
            "restrictPublicBuckets",
        }
    )
    updates = optional
    name = "public_access_block"

    def parameters(self, new: Properties) -> dict[str, Any]:
        block = {key: new.get(key, False) for key in self.optional}
        return {"PublicAccessBlockConfiguration": pascal(block)}


class Policy(_BucketSetting):
    type = "aws:s3/bucketPolicy:BucketPolicy"
    required = frozenset({"bucket", "policy"})
    updates = frozenset({"policy"})
    name = "bucket_policy"

    def parameters(self, new: Properties) -> dict[str, Any]:
        document = json.loads(new["policy"])
        arn = f"arn:aws:s3:::{new['bucket']}"
        for statement in document["Statement"]:
            resources = statement["Resource"]
            resources = [resources] if isinstance(resources, str) else resources
            strange = [r for r in resources if r != arn and not r.startswith(f"{arn}/")]
            refuse_if(strange, f"MalformedPolicy: not of this bucket: {strange}")
        return {"Policy": json.dumps(_single(document))}


def _single(value: Any) -> Any:
    """Lists of one text as that text: S3 keeps them so, and moto looks for these."""
    if isinstance(value, dict):
        return {key: _single(item) for key, item in value.items()}
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], str):
            return value[0]
        return [_single(item) for item in value]
    return value


class Lifecycle(_BucketSetting):
    type = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    required = frozenset({"bucket", "rules"})
    updates = frozenset({"rules"})
    name = "bucket_lifecycle_configuration"

    def _rule(self, rule: Properties) -> dict[str, Any]:
        made: dict[str, Any] = pascal(rule)
        made["ID"] = made.pop("Id")
        made.setdefault("Filter", {"Prefix": ""})
        return made

    def parameters(self, new: Properties) -> dict[str, Any]:
        rules = [self._rule(rule) for rule in new["rules"]]
        return {"LifecycleConfiguration": {"Rules": rules}}

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("s3").delete_bucket_lifecycle(Bucket=identifier)


class OwnershipControls(_BucketSetting):
    type = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    required = frozenset({"bucket", "rule"})
    updates = frozenset({"rule"})
    name = "bucket_ownership_controls"

    def parameters(self, new: Properties) -> dict[str, Any]:
        return {"OwnershipControls": {"Rules": [pascal(new["rule"])]}}


class Logging(_BucketSetting):
    type = "aws:s3/bucketLogging:BucketLogging"
    required = frozenset({"bucket", "targetBucket", "targetPrefix"})
    optional = frozenset({"targetObjectKeyFormat"})
    updates = frozenset({"targetBucket", "targetPrefix", "targetObjectKeyFormat"})
    name = "bucket_logging"

    def parameters(self, new: Properties) -> dict[str, Any]:
        enabled = {k: v for k, v in new.items() if k != "bucket"}
        return {"BucketLoggingStatus": {"LoggingEnabled": pascal(enabled)}}

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("s3").put_bucket_logging(Bucket=identifier, BucketLoggingStatus={})
