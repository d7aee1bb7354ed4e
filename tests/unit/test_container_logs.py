"""Containers' logs in CloudWatch, as plain data: groups, key, rights, add-on, order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.cluster.container_logs import (
    GROUPS,
    ContainerLogs,
    ContainerLogsArgs,
)
from components.cluster.container_logs_settings import ContainerLogsSettings
from components.settings import SettingsError, parse
from slipway.rendering.render import Rendered
from tests.support.aws_rendered import ARNS, CLUSTER, after, of_kind, only, rendered

VERSION = "v6.2.0-eksbuild.1"
GROUP = "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/containerinsights/prod/"


def logs(**given: Any) -> Rendered:
    settings = parse(ContainerLogsSettings, {"version": VERSION, **given}, "test")
    args = ContainerLogsArgs(CLUSTER, ARNS, protect=True, after=[])
    return rendered(lambda: ContainerLogs("logs", settings, args))


def test_every_group_is_there_before_it_is_written_with_key_and_end() -> None:
    found = logs(retention_days=30)
    groups = of_kind(found, "cloudwatch/logGroup:LogGroup")
    assert {g.inputs["name"] for g in groups.values()} == {
        f"/aws/containerinsights/prod/{kind}" for kind in GROUPS
    }
    addon = only(found, "eks/addon:Addon")
    for group in groups.values():
        assert group.inputs["retentionInDays"] == 30
        assert group.inputs["kmsKeyId"] == "arn:aws:kms:::logs-key"
        assert group.urn in after(found, addon)
    key = only(found, "kms/key:Key")
    assert key.protect
    assert only(found, "kms/alias:Alias").inputs["name"] == "alias/prod-container-logs"


def test_the_key_serves_these_groups_only() -> None:
    policy = json.loads(only(logs(), "kms/key:Key").inputs["policy"])
    users = [s for s in policy["Statement"] if s["Sid"] != "AccountDecidesByIam"]
    assert len({s["Sid"] for s in users}) == len(users)
    context = "kms:EncryptionContext:aws:logs:arn"
    assert [s["Condition"]["StringEquals"][context] for s in users] == [
        [GROUP + kind] for kind in GROUPS
    ]
    for statement in users:
        service = "logs.eu-central-1.amazonaws.com"
        assert statement["Principal"] == {"Service": [service]}


def test_fluent_bit_may_write_into_these_groups_and_nothing_else() -> None:
    found = logs()
    rights = only(found, "iam/rolePolicy:RolePolicy").inputs["policy"]
    write, find = json.loads(rights)["Statement"]
    assert set(write["Resource"]) == {
        GROUP + kind + form for kind in GROUPS for form in ("", ":*")
    }
    assert all(a.startswith("logs:") and "*" not in a for a in write["Action"])
    assert not any("Delete" in a or "Retention" in a for a in write["Action"])
    assert find["Action"] == ["logs:DescribeLogGroups"]
    identity = only(found, "eks/podIdentityAssociation:PodIdentityAssociation")
    account = (identity.inputs["namespace"], identity.inputs["serviceAccount"])
    assert account == ("amazon-cloudwatch", "cloudwatch-agent")
    assert identity.urn in only(found, "eks/addon:Addon").depends_on


def test_the_addon_sends_logs_and_no_paid_measurements() -> None:
    addon = only(logs(), "eks/addon:Addon").inputs
    assert addon["addonName"] == "amazon-cloudwatch-observability"
    assert addon["addonVersion"] == VERSION
    values = json.loads(addon["configurationValues"])
    assert values["containerLogs"] == {"enabled": True}
    collected = values["agent"]["config"]["logs"]["metrics_collected"]
    assert collected == {"kubernetes": {"enhanced_container_insights": False}}
    own = {"containerLogs": {"fluentBit": {"resources": {"limits": {"cpu": "1"}}}}}
    changed = only(logs(configuration=own), "eks/addon:Addon").inputs
    values = json.loads(changed["configurationValues"])
    assert values["containerLogs"] == {"enabled": True, **own["containerLogs"]}


@pytest.mark.parametrize("version", ["v3.0.9-eksbuild.1", "v2.10.1-eksbuild.2"])
def test_a_build_without_pod_identities_is_refused(version: str) -> None:
    with pytest.raises(SettingsError, match=r"give v3\.1\.0 or later"):
        logs(version=version)
    assert logs(version="v3.1.0-eksbuild.1")
