"""Karpenter's half in the AWS account: queue, events, rights, access."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.cluster import autoscaler
from components.cluster.autoscaler import Autoscaler
from slipway.rendering.render import Rendered
from tests.support import iam, pools
from tests.support.aws_rendered import ARNS, CLUSTER, name_of, of_kind, only, rendered

OWNED = f"kubernetes.io/cluster/{CLUSTER}"
RESERVATION = "cr-0123456789abcdef0"


def program(**more: Any) -> Rendered:
    return rendered(
        lambda: Autoscaler(
            "autoscaler", cluster=CLUSTER, arns=ARNS, node_role_arn=pools.ROLE, **more
        )
    )


@pytest.fixture(scope="module")
def made() -> Rendered:
    return program()


def statements(found: Rendered) -> dict[str, dict[str, Any]]:
    """Of the controller's rights, by their ids."""
    (policy,) = (p for p in iam.policies(found) if p.kind == "identity")
    return {s["Sid"]: s for s in policy.statements}


def test_the_queue_is_encrypted_and_named_as_the_chart_is_reported(
    made: Rendered,
) -> None:
    queue = only(made, "sqs/queue:Queue").inputs
    assert queue["name"] == CLUSTER
    assert queue["sqsManagedSseEnabled"] is True
    assert queue["messageRetentionSeconds"] == 300


def test_each_event_that_karpenter_reads_gets_into_the_queue(made: Rendered) -> None:
    rules = of_kind(made, "cloudwatch/eventRule:EventRule")
    patterns = {
        (p["source"][0], p["detail-type"][0])
        for p in (json.loads(r.inputs["eventPattern"]) for r in rules.values())
    }
    assert patterns == set(autoscaler.EVENTS.values())
    targets = of_kind(made, "cloudwatch/eventTarget:EventTarget")
    assert {t.inputs["rule"] for t in targets.values()} == {
        r.inputs["name"] for r in rules.values()
    }
    for target in targets.values():
        # The rule may write before the first event comes.
        assert "autoscaler-interruptions" in {name_of(u) for u in target.depends_on}


def test_the_rules_alone_may_write_and_only_over_tls(made: Rendered) -> None:
    (policy,) = (p for p in iam.policies(made) if p.kind == "resource")
    write, deny = policy.statements
    names = {
        r.inputs["name"]
        for r in of_kind(made, "cloudwatch/eventRule:EventRule").values()
    }
    sources = write["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert {arn.rpartition("/")[2] for arn in sources} == names
    assert write["Action"] == ["sqs:SendMessage"]
    assert deny["Effect"] == "Deny"
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": ["false"]}}


def test_nodes_may_join(made: Rendered) -> None:
    entry = only(made, "eks/accessEntry:AccessEntry").inputs
    assert (entry["type"], entry["principalArn"]) == ("EC2_LINUX", pools.ROLE)


def test_the_controller_is_the_service_account_of_the_chart(made: Rendered) -> None:
    kind = "eks/podIdentityAssociation:PodIdentityAssociation"
    association = only(made, kind).inputs
    found = association["namespace"], association["serviceAccount"]
    assert found == ("kube-system", "karpenter")


def test_no_right_is_too_wide(made: Rendered) -> None:
    wide = [
        w
        for p in iam.policies(program(reservations=["cr-01234567"]))
        for w in iam.too_wide(p)
    ]
    assert wide == [w for p in iam.policies(made) for w in iam.too_wide(p)] == []


@pytest.mark.parametrize(
    "action", ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"]
)
def test_only_own_nodes_are_ended(made: Rendered, action: str) -> None:
    (found,) = (s for s in statements(made).values() if action in s["Action"])
    assert found["Condition"]["StringEquals"] == {f"aws:ResourceTag/{OWNED}": ["owned"]}
    assert "aws:ResourceTag/karpenter.sh/nodepool" in found["Condition"]["StringLike"]


def test_what_is_launched_bears_the_clusters_tags(made: Rendered) -> None:
    found = statements(made)["LaunchTagged"]
    asked = found["Condition"]["StringEquals"]
    assert asked[f"aws:RequestTag/{OWNED}"] == ["owned"]
    instances = ARNS.of("ec2", "instance/*")
    launching = [
        s["Sid"]
        for s in statements(made).values()
        if "ec2:RunInstances" in s["Action"] and instances in s["Resource"]
    ]
    assert launching == ["LaunchTagged"]


def test_only_the_node_role_is_passed(made: Rendered) -> None:
    found = statements(made)["PassNodeRole"]
    assert found["Resource"] == [ARNS.role(f"{CLUSTER}-node")]


def test_the_stack_owns_the_one_instance_profile(made: Rendered) -> None:
    """One that Karpenter made would keep the role from being deleted."""
    profile = only(made, "iam/instanceProfile:InstanceProfile").inputs
    assert (profile["name"], profile["role"]) == ("prod-node", "prod-node")
    allowed = {a for s in statements(made).values() for a in s["Action"]}
    assert {a for a in allowed if "InstanceProfile" in a} == {
        "iam:GetInstanceProfile",
        "iam:ListInstanceProfiles",
    }


def test_reservations_are_drawn_on_by_name(made: Rendered) -> None:
    assert "LaunchOnReservation" not in statements(made)
    found = statements(program(reservations=[RESERVATION]))["LaunchOnReservation"]
    (arn,) = found["Resource"]
    assert arn.endswith(f":capacity-reservation/{RESERVATION}")


def test_every_part_belongs_to_the_component(made: Rendered) -> None:
    by_urn = {r.urn: r for r in made.resources}
    for resource in made.resources:
        one = resource
        while one.parent in by_urn:
            one = by_urn[one.parent]
        if resource.type.startswith(("aws:", "slipway:")):
            assert one.name == "autoscaler" or one.type == "pulumi:pulumi:Stack"
        if "tags" in resource.inputs:
            assert resource.inputs["tags"]["slipway.dev/cluster"] == CLUSTER
