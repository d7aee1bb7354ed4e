"""The catalogue renewed from EC2 as the emulator plays it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from components import catalog
from slipway.catalog import account
from tests.support.aws.emulators import running

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def ec2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder: Path = tmp_path_factory.mktemp("catalog")
    with running("111122223333", REGION, folder) as endpoints:
        yield boto3.client(
            "ec2",
            region_name=REGION,
            endpoint_url=endpoints.moto,
            aws_access_key_id="emulator",
            aws_secret_access_key="emulator",
            # All types come in one page here, which takes a minute where cores are few.
            config=Config(read_timeout=300, retries={"total_max_attempts": 1}),
        )


def test_types_are_the_committed_ones(ec2: Any) -> None:
    committed = json.loads((catalog.DATA / "instance_types.json").read_text())["types"]
    found = account.instance_types(ec2)
    offered = {t for t in committed if catalog.offered(t, REGION)}
    assert len(offered) > 200
    assert offered <= set(found)
    assert {name: line for name, line in found.items() if line != committed[name]} == {}


def test_zones_are_the_committed_ones(ec2: Any) -> None:
    found: dict[str, set[str]] = {}
    for name, zone in account._offered(ec2):
        found.setdefault(name, set()).add(zone)
    for name in ("g5.xlarge", "p4d.24xlarge", "m7a.large"):
        assert found.get(name, set()) == set(catalog.offered(name, REGION)), name
