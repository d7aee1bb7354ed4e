"""Plans of clusters for the doctor's tests, and what stubbed calls answer them."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from components.cluster.iam.tags import CLUSTER_TAG
from components.cluster.network.network_settings import NetworkSettings
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.node_pool_settings import NodePool
from slipway.doctor.findings import Finding
from slipway.doctor.plan import Plan
from tests.support.stubbed import Stubbed

ACCOUNT = "111122223333"
ROLE = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/me"
ZONES = ["us-east-1a", "us-east-1b"]
OWN = [{"Key": CLUSTER_TAG, "Value": "prod"}]


def pool(**settings: Any) -> NodePoolBase:
    found: NodePoolBase = TypeAdapter(NodePool).validate_python(settings)
    return found


SYSTEM = pool(kind="system", instance_types=["m7a.large"], min_nodes=2, max_nodes=3)
SPOT = pool(
    kind="elastic",
    instance_types=["g6.xlarge", "g6.4xlarge"],
    capacity=["spot", "on-demand"],
    max_gpus=4,
)


def plan(**changes: Any) -> Plan:
    return Plan(
        **{
            "stack": "cluster.test",
            "account": ACCOUNT,
            "region": "us-east-1",
            "cluster": "prod",
            "version": "1.35",
            "network": NetworkSettings(zones=tuple(ZONES), cidr="10.20.0.0/16"),
            "pools": {"system": SYSTEM, "gpu": SPOT},
            **changes,
        }
    )


def statuses(found: list[Finding]) -> dict[str, str]:
    return {one.subject: one.status for one in found}


def caller(aws: Stubbed, account: str = ACCOUNT) -> None:
    arn = ROLE.replace(ACCOUNT, account)
    answer = {"Account": account, "Arn": arn, "UserId": "A"}
    aws.says("sts", "get_caller_identity", answer)


def quota(aws: Stubbed, value: float) -> None:
    aws.says("service-quotas", "get_service_quota", {"Quota": {"Value": value}})
