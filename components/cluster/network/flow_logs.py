"""The record of a VPC's connections."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.cluster.iam import names, policies
from components.cluster.iam.arns import Arns
from components.cluster.iam.policy_document import (
    Condition,
    PolicyDocument,
    Principal,
    Statement,
    equals,
)
from components.cluster.iam.tags import tags
from components.cluster.network.network_settings import FlowLogs
from components.cluster.storage import storage_names
from components.cluster.storage.bucket import BucketArgs, SecureBucket
from components.cluster.storage.encryption_key import EncryptionKey

DELIVERY = Principal("Service", ("delivery.logs.amazonaws.com",))
"""Service that writes flow logs to buckets."""
NONCURRENT_DAYS = 1
"""Each file is written once."""


def of_this_account(arns: Arns) -> tuple[Condition, ...]:
    """Only on behalf of this account's own logs."""
    return (
        equals("aws:SourceAccount", arns.account),
        Condition("ArnLike", "aws:SourceArn", (arns.of("logs", "*"),)),
    )


def writer_trust(arns: Arns) -> PolicyDocument:
    """The flow logs' service, on behalf of this account's flow logs only.

    https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
    """
    return policies.assumed_by(
        "vpc-flow-logs.amazonaws.com",
        equals("aws:SourceAccount", arns.account),
        Condition("ArnLike", "aws:SourceArn", (arns.of("ec2", "vpc-flow-log/*"),)),
    )


def writer(arns: Arns, log_group: str) -> PolicyDocument:
    """Streams of one log group, and records in them; groups can only be found at all.

    https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
    """
    group = arns.log_group(log_group)
    return PolicyDocument(
        (
            Statement(
                sid="WriteFlowLogs",
                actions=(
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ),
                # CloudWatch uses either form of a stream's ARN.
                resources=(group, f"{group}:*"),
            ),
            Statement(
                sid="FindLogGroup",
                actions=("logs:DescribeLogGroups",),
                resources=(arns.log_group("*"),),
            ),
        )
    )


def bucket_statements(arns: Arns, bucket: str) -> tuple[Statement, ...]:
    """Return what the service that writes flow logs may do with the bucket.

    https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-permissions.html
    """
    arn = arns.bucket(bucket)
    return (
        Statement(
            sid="WriteFlowLogs",
            principal=DELIVERY,
            actions=("s3:PutObject",),
            resources=(f"{arn}/AWSLogs/{arns.account}/*",),
            conditions=(
                equals("s3:x-amz-acl", "bucket-owner-full-control"),
                *of_this_account(arns),
            ),
        ),
        Statement(
            sid="LookBeforeWriting",
            principal=DELIVERY,
            actions=("s3:GetBucketAcl", "s3:ListBucket"),
            resources=(arn,),
            conditions=of_this_account(arns),
        ),
    )


def key_statement(arns: Arns) -> Statement:
    """The same service encrypts what it writes. `*` is the key itself.

    https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-cmk-policy.html
    """
    return Statement(
        sid="EncryptFlowLogs",
        principal=DELIVERY,
        actions=(
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ),
        resources=policies.EVERYTHING,
        conditions=of_this_account(arns),
    )


class VpcFlowLogs(pulumi.ComponentResource):
    """A VPC's flow logs and where they go.

    Creates a KMS key (alias `<cluster>-flow-logs`), the flow log, and

    - for CloudWatch: the log group `/slipway/<cluster>/flow-logs` with its retention,
      and a role that may write to it and to nothing else;
    - for S3: the bucket `<cluster>-flows-<account>-<region>`; records are Parquet.
    """

    def __init__(
        self,
        name: str,
        settings: FlowLogs,
        *,
        cluster: str,
        arns: Arns,
        vpc_id: pulumi.Input[str],
        protect: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:cluster:VpcFlowLogs", name, None, opts)
        self._prefix, self._settings = name, settings
        self._cluster, self._arns = cluster, arns
        self._protected = protect
        to_bucket = settings.destination == "bucket"
        log_group = storage_names.flow_log_group(cluster)
        user = (
            key_statement(arns) if to_bucket else policies.logs_use_key(arns, log_group)
        )
        key = EncryptionKey(
            f"{name}-key",
            alias=storage_names.flow_log_key_alias(cluster),
            purpose="flow logs",
            policy=policies.key(arns, user),
            cluster=cluster,
            protect=protect,
            opts=pulumi.ResourceOptions(parent=self),
        )
        if to_bucket:
            self._to_bucket(key, vpc_id)
        else:
            self._to_log_group(key, log_group, vpc_id)
        self.register_outputs({})

    def _to_log_group(
        self, key: EncryptionKey, log_group: str, vpc_id: pulumi.Input[str]
    ) -> None:
        group = aws.cloudwatch.LogGroup(
            self._prefix,
            name=log_group,
            retention_in_days=self._settings.retention_days,
            kms_key_id=key.arn,
            tags=tags(self._cluster, log_group),
            opts=pulumi.ResourceOptions(parent=self),
        )
        role_name = names.flow_log_role(self._cluster)
        role = aws.iam.Role(
            self._prefix,
            name=role_name,
            description=f"Writes the flow logs of {self._cluster}",
            assume_role_policy=writer_trust(self._arns).json(),
            tags=tags(self._cluster, role_name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        rights = aws.iam.RolePolicy(
            self._prefix,
            name="rights",
            role=role.name,
            policy=writer(self._arns, log_group).json(),
            opts=pulumi.ResourceOptions(parent=role),
        )
        aws.ec2.FlowLog(
            self._prefix,
            vpc_id=vpc_id,
            traffic_type=self._settings.traffic.upper(),
            max_aggregation_interval=self._settings.interval_seconds,
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            tags=tags(self._cluster, f"{self._cluster}-flow-logs"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[rights]),
        )

    def _to_bucket(self, key: EncryptionKey, vpc_id: pulumi.Input[str]) -> None:
        bucket_name = storage_names.bucket(
            self._cluster, storage_names.FLOW_LOGS, self._arns
        )
        bucket = SecureBucket(
            f"{self._prefix}-bucket",
            BucketArgs(
                bucket=bucket_name,
                cluster=self._cluster,
                arns=self._arns,
                noncurrent_days=NONCURRENT_DAYS,
                expire_days=self._settings.retention_days,
                statements=bucket_statements(self._arns, bucket_name),
                protect=self._protected,
            ),
            key_arn=key.arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.ec2.FlowLog(
            self._prefix,
            vpc_id=vpc_id,
            traffic_type=self._settings.traffic.upper(),
            max_aggregation_interval=self._settings.interval_seconds,
            log_destination_type="s3",
            log_destination=bucket.arn,
            destination_options={
                "file_format": "parquet",
                "hive_compatible_partitions": True,
                "per_hour_partition": True,
            },
            tags=tags(self._cluster, f"{self._cluster}-flow-logs"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bucket.policy]),
        )
