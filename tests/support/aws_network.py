"""The network of a cluster rendered alone, with something in its subnets."""

from __future__ import annotations

import functools
import json
from typing import Any

import pulumi
import pulumi_aws as aws

from components.cluster.network.network import Network
from components.cluster.network.network_settings import NetworkSettings
from components.settings import parse
from slipway.rendering.render import Rendered
from tests.support.aws_rendered import ARNS, CLUSTER, rendered

ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")


@functools.cache
def _network(text: str) -> Rendered:
    config: dict[str, Any] = {"zones": ZONES, **json.loads(text)}
    settings = parse(NetworkSettings, config, "test")

    def program() -> None:
        made = Network("network", settings, cluster=CLUSTER, arns=ARNS)
        pulumi.export("vpc", made.vpc_id)
        pulumi.export("private", made.private_subnets)
        pulumi.export("intra", made.intra_subnets)
        pulumi.export("public", made.public_subnets)
        # What comes after a network: a thing in a private subnet, and one in intra.
        for kind, ids in (
            ("private", made.private_subnets),
            ("intra", made.intra_subnets),
        ):
            for zone, subnet in ids.items():
                tags = {"subnet": subnet}
                aws.ec2.PlacementGroup(
                    f"in-{kind}-{zone}", strategy="spread", tags=tags
                )

    return rendered(program)


def network(**config: Any) -> Rendered:
    """In three zones, of 10.20.0.0/16, with these settings beside."""
    if "existing" not in config:
        config.setdefault("cidr", "10.20.0.0/16")
    return _network(json.dumps(config))
