"""Three versions of one small program: what was applied, base, and head.

Between base and head, resources change in every way that the engine's preview can
confirm, decide or contradict. The engine's own events for head are kept in
tests/golden/engine_events/preview.json.
"""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

ACCOUNT, REGION, STACK = "111122223333", "eu-central-1", "cluster.tiny"


def _program(
    *,
    host_names: bool,
    cidr: str,
    retention: int,
    queue: str,
    forgotten: int,
    with_old: bool,
) -> None:
    made = aws.Provider("aws", region=REGION, allowed_account_ids=[ACCOUNT])
    opts = pulumi.ResourceOptions(provider=made)
    aws.ec2.Vpc(
        "main", cidr_block="10.0.0.0/16", enable_dns_hostnames=host_names, opts=opts
    )
    aws.ec2.Vpc("second", cidr_block=cidr, opts=opts)
    aws.cloudwatch.LogGroup("log", name="log", retention_in_days=retention, opts=opts)
    aws.sqs.Queue("queue", name=queue, opts=opts)
    aws.cloudwatch.LogGroup(
        "forgotten", name="forgotten", retention_in_days=forgotten, opts=opts
    )
    if with_old:
        aws.cloudwatch.LogGroup("old", name="old", opts=opts)


def applied() -> None:
    """What the state has: base was not applied as a whole."""
    _program(
        host_names=False,
        cidr="10.1.0.0/16",
        retention=30,
        queue="before",
        forgotten=30,
        with_old=False,
    )


def base() -> None:
    """What base declares: `forgotten` has a longer retention, and there is `old`."""
    _program(
        host_names=False,
        cidr="10.1.0.0/16",
        retention=30,
        queue="before",
        forgotten=60,
        with_old=True,
    )


def head() -> None:
    """Head changes the other four and removes `old`."""
    _program(
        host_names=True,
        cidr="10.2.0.0/16",
        retention=90,
        queue="after",
        forgotten=60,
        with_old=False,
    )
