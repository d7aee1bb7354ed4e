"""A bucket that only this account can access, and only over TLS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.cluster.iam.arns import Arns
from components.cluster.iam.policy_document import (
    Condition,
    PolicyDocument,
    Principal,
    Statement,
)
from components.cluster.iam.tags import tags

INCOMPLETE_UPLOAD_DAYS = 7
"""After this the parts of an upload that never ended are deleted."""
LEAST_TLS = "1.2"
ANYONE = Principal("AWS", ("*",))
"""Everyone; used only in statements that deny."""


@dataclass(frozen=True)
class BucketArgs:
    """Properties that differ between buckets."""

    bucket: str
    """Its name in S3."""
    cluster: str
    arns: Arns
    noncurrent_days: int
    """Days for which replaced and deleted versions are kept."""
    expire_days: int | None = None
    """Days after which an object is deleted; None: never."""
    infrequent_after_days: int | None = None
    """Days after which an object moves to Standard-IA; None: never."""
    encrypted: bool = True
    """By a KMS key given to the component; False: by S3's own, as targets of S3's
    access logs must be."""
    statements: tuple[Statement, ...] = ()
    """Beside those that deny: services that write."""
    protect: bool = True
    """False: a destroy deletes the bucket with all that is in it."""


def policy(args: BucketArgs) -> PolicyDocument:
    """Return the policy: denied principals, and services that may write."""
    arn = args.arns.bucket(args.bucket)
    everything = (arn, f"{arn}/*")
    statements = [
        Statement(
            sid="DenyWithoutTls",
            effect="Deny",
            principal=ANYONE,
            actions=("s3:*",),
            resources=everything,
            conditions=(Condition("Bool", "aws:SecureTransport", ("false",)),),
        ),
        Statement(
            sid="DenyOldTls",
            effect="Deny",
            principal=ANYONE,
            actions=("s3:*",),
            resources=everything,
            conditions=(Condition("NumericLessThan", "s3:TlsVersion", (LEAST_TLS,)),),
        ),
    ]
    if args.encrypted:
        header = "s3:x-amz-server-side-encryption"
        statements.append(
            Statement(
                sid="DenyOtherEncryption",
                effect="Deny",
                principal=ANYONE,
                actions=("s3:PutObject",),
                resources=(f"{arn}/*",),
                conditions=(
                    # Without the header the bucket's own key is used.
                    Condition("Null", header, ("false",)),
                    Condition("StringNotEquals", header, ("aws:kms",)),
                ),
            )
        )
    return PolicyDocument((*statements, *args.statements))


def rules(args: BucketArgs) -> list[dict[str, Any]]:
    """Return S3's lifecycle rules."""
    # With days S3 removes the markers of deleted objects too, and takes no flag.
    expiration = (
        {"days": args.expire_days}
        if args.expire_days
        else {"expired_object_delete_marker": True}
    )
    found = [
        _rule(
            "retention",
            expiration=expiration,
            noncurrent_version_expiration={"noncurrent_days": args.noncurrent_days},
        ),
        _rule(
            "incomplete-uploads",
            abort_incomplete_multipart_upload={
                "days_after_initiation": INCOMPLETE_UPLOAD_DAYS
            },
        ),
    ]
    if days := args.infrequent_after_days:
        moved = {"days": days, "storage_class": "STANDARD_IA"}
        found.append(_rule("infrequent-access", transitions=[moved]))
    return found


def _rule(name: str, **more: Any) -> dict[str, Any]:
    """An enabled rule for all objects."""
    return {"id": name, "status": "Enabled", "filter": {"prefix": ""}, **more}


class SecureBucket(pulumi.ComponentResource):
    """A bucket and its access restrictions.

    Creates:

    - the bucket, protected if asked;
    - versioning, so that what is overwritten or deleted can be brought back;
    - encryption by the KMS key with a bucket key (or S3's own key);
    - the block of public access, and ownership without ACLs;
    - a policy that denies all without TLS 1.2 and writes with another encryption;
    - a lifecycle for retention, old versions and uploads that never ended;
    - access logging, if there is a bucket for it.
    """

    def __init__(
        self,
        name: str,
        args: BucketArgs,
        *,
        key_arn: pulumi.Input[str] | None = None,
        access_log: SecureBucket | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`key_arn` is given exactly where `args.encrypted` is true.

        `access_log`: the bucket for S3's record of who reads and writes this one.
        """
        if args.encrypted != (key_arn is not None):
            raise ValueError(f"{args.bucket}: a key belongs to encrypted=True")
        super().__init__("slipway:cluster:SecureBucket", name, None, opts)
        self.name = args.bucket
        bucket = aws.s3.Bucket(
            name,
            bucket=args.bucket,
            force_destroy=not args.protect,
            tags=tags(args.cluster, args.bucket),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        child = pulumi.ResourceOptions(parent=bucket)
        aws.s3.BucketOwnershipControls(
            name,
            bucket=bucket.id,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=child,
        )
        block = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        self._encrypt(name, bucket, key_arn)
        versioning = aws.s3.BucketVersioning(
            name,
            bucket=bucket.id,
            versioning_configuration={"status": "Enabled"},
            opts=child,
        )
        # One after another: S3 refuses two changes of a bucket's policy and access
        # block at once (OperationAborted), and rules for versions need versions.
        self.policy = aws.s3.BucketPolicy(
            name,
            bucket=bucket.id,
            policy=policy(args).json(),
            opts=pulumi.ResourceOptions(parent=bucket, depends_on=[block]),
        )
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.id,
            rules=rules(args),
            opts=pulumi.ResourceOptions(parent=bucket, depends_on=[versioning]),
        )
        if access_log is not None:
            aws.s3.BucketLogging(
                name,
                bucket=bucket.id,
                target_bucket=access_log.name,
                target_prefix=f"{args.bucket}/",
                # S3 tries to write before it takes the setting.
                opts=pulumi.ResourceOptions(
                    parent=bucket, depends_on=[access_log.policy]
                ),
            )
        self.arn: pulumi.Output[str] = bucket.arn
        self.register_outputs({"name": self.name, "arn": self.arn})

    def _encrypt(
        self, name: str, bucket: aws.s3.Bucket, key_arn: pulumi.Input[str] | None
    ) -> None:
        # A bucket key: one call of KMS for many objects, cheaper and never throttled.
        rule: dict[str, Any] = {
            "apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}
        }
        if key_arn is not None:
            rule = {
                "apply_server_side_encryption_by_default": {
                    "sse_algorithm": "aws:kms",
                    "kms_master_key_id": key_arn,
                },
                "bucket_key_enabled": True,
            }
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            rules=[rule],
            opts=pulumi.ResourceOptions(parent=bucket),
        )
