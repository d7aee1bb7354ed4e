"""The engine, our provider and the emulators, on a program of one network."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pytest
from rich.console import Console

from lab import paths
from slipway import workspace
from slipway.engine import Engine
from tests.support.aws.account import Account
from tests.support.aws.emulators import running
from tests.support.aws.provider import AwsProvider, serving
from tests.support.aws.table import HANDLERS

STACK = "cluster.loop"
ACCOUNT, REGION = "111122223333", "eu-central-1"


def program() -> None:
    provider = aws.Provider(
        "aws",
        region=REGION,
        allowed_account_ids=[ACCOUNT],
        default_tags={"tags": {"slipway.dev/stack": STACK}},
    )
    vpc = aws.ec2.Vpc(
        "vpc",
        cidr_block="10.0.0.0/16",
        tags={"Name": "loop"},
        opts=pulumi.ResourceOptions(provider=provider),
    )
    pulumi.export("vpc", vpc.id)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsProvider]:
    with running(ACCOUNT, REGION) as endpoints:
        provider = AwsProvider(HANDLERS, endpoints)
        with serving(provider) as address:
            monkeypatch.setenv("PULUMI_DEBUG_PROVIDERS", address)
            yield provider


def test_one_network(
    provider: AwsProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for variable in ("PULUMI_BACKEND_URL", *workspace.PASSPHRASE_VARIABLES):
        monkeypatch.delenv(variable, raising=False)
    root = tmp_path / "checkout"
    file = root / "stacks/config" / f"Pulumi.{STACK}.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"config": {}}))
    (root / "Pulumi.yaml").write_text((paths.ROOT / "Pulumi.yaml").read_text())
    engine = Engine(Console(file=io.StringIO()), {STACK: program}, root)
    made = engine.up(STACK)
    assert made.changes == {"create": 3}
    ec2 = Account(provider.endpoints, REGION).client("ec2")
    (vpc,) = ec2.describe_vpcs(VpcIds=[made.outputs["vpc"]])["Vpcs"]
    tags = {tag["Key"]: tag["Value"] for tag in vpc["Tags"]}
    assert tags == {"Name": "loop", "slipway.dev/stack": STACK}
    assert engine.up(STACK).changes == {"same": 3}
    assert engine.destroy(STACK).changes == {"delete": 3}
    left = [found["VpcId"] for found in ec2.describe_vpcs()["Vpcs"]]
    assert made.outputs["vpc"] not in left
