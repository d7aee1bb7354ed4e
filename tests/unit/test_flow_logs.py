"""The record of a VPC's connections as plain data: where it goes, who may write it."""

from __future__ import annotations

import json
from typing import Any

from slipway.rendering.render import Rendered
from tests.support.aws_network import network
from tests.support.aws_rendered import of_kind, only


def test_flow_logs_go_to_an_encrypted_log_group() -> None:
    found = network(flow_logs={"retention_days": 30, "traffic": "reject"})
    group = only(found, "cloudwatch/logGroup:LogGroup").inputs
    assert group["name"] == "/slipway/prod/flow-logs"
    assert group["retentionInDays"] == 30
    assert group["kmsKeyId"] == "arn:aws:kms:::network-flow-logs-key"
    log = only(found, "ec2/flowLog:FlowLog")
    assert log.inputs["vpcId"] == "network-id"
    assert log.inputs["trafficType"] == "REJECT"
    assert log.inputs["maxAggregationInterval"] == 600
    assert log.inputs["logDestination"] == "arn:aws:cloudwatch:::network-flow-logs"
    assert log.inputs["iamRoleArn"] == "arn:aws:iam:::network-flow-logs"
    assert any("rolePolicy" in urn for urn in log.depends_on)


def test_the_flow_logs_role_writes_one_log_group_for_this_account_only() -> None:
    found = network()
    role = only(found, "iam/role:Role")
    assert role.inputs["name"] == "prod-flow-logs"
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": ["vpc-flow-logs.amazonaws.com"]}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ["111122223333"]},
        "ArnLike": {
            "aws:SourceArn": ["arn:aws:ec2:eu-central-1:111122223333:vpc-flow-log/*"]
        },
    }
    rights = only(found, "iam/rolePolicy:RolePolicy").inputs["policy"]
    write, find = json.loads(rights)["Statement"]
    group = "arn:aws:logs:eu-central-1:111122223333:log-group:/slipway/prod/flow-logs"
    assert write["Resource"] == [group, f"{group}:*"]
    assert not any("*" in action for action in write["Action"])
    assert find["Action"] == ["logs:DescribeLogGroups"]


def test_flow_logs_in_a_bucket_are_encrypted_and_deleted_in_time() -> None:
    found = network(flow_logs={"destination": "bucket", "retention_days": 30})
    log = only(found, "ec2/flowLog:FlowLog")
    assert log.inputs["logDestinationType"] == "s3"
    assert log.inputs["logDestination"] == "arn:aws:s3:::network-flow-logs-bucket"
    assert "iamRoleArn" not in log.inputs
    assert any("bucketPolicy" in urn for urn in log.depends_on)
    bucket = only(found, "s3/bucket:Bucket")
    assert bucket.inputs["bucket"] == "prod-flows-111122223333-eu-central-1"
    assert bucket.protect
    assert of_kind(found, "cloudwatch/logGroup:LogGroup") == {}
    policy = only(found, "s3/bucketPolicy:BucketPolicy").inputs["policy"]
    allowed = [s for s in json.loads(policy)["Statement"] if s["Effect"] == "Allow"]
    assert {s["Sid"] for s in allowed} == {"WriteFlowLogs", "LookBeforeWriting"}
    for statement in [*allowed, *_key_users(found)]:
        assert statement["Principal"] == {"Service": ["delivery.logs.amazonaws.com"]}
        source = statement["Condition"]["StringEquals"]["aws:SourceAccount"]
        assert source == ["111122223333"]


def _key_users(found: Rendered) -> list[Any]:
    """Statements of the key's policy beside the account's own."""
    policy = json.loads(only(found, "kms/key:Key").inputs["policy"])
    return [s for s in policy["Statement"] if s["Sid"] != "AccountDecidesByIam"]


def test_the_log_groups_key_serves_that_log_group_only() -> None:
    (statement,) = _key_users(network())
    assert statement["Principal"] == {"Service": ["logs.eu-central-1.amazonaws.com"]}
    group = "arn:aws:logs:eu-central-1:111122223333:log-group:/slipway/prod/flow-logs"
    context = "kms:EncryptionContext:aws:logs:arn"
    assert statement["Condition"] == {"StringEquals": {context: [group]}}


def test_flow_logs_can_be_left_out() -> None:
    found = network(flow_logs={"enabled": False})
    for kind in ("ec2/flowLog:FlowLog", "kms/key:Key", "cloudwatch/logGroup:LogGroup"):
        assert of_kind(found, kind) == {}
