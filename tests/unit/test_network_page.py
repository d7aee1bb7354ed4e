"""What docs/how-to/network-and-storage.md says is what the components do."""

from __future__ import annotations

import re

import pytest
import yaml

from components.cluster import network_checks
from components.cluster.iam import subnet_tags
from components.cluster.network import cidr_plan
from components.cluster.network.cidr import NamedRange
from components.cluster.network.endpoint_services import ENDPOINT_SERVICES
from components.cluster.network.network_settings import NetworkSettings
from components.cluster.nodes.node_demand import NodeDemand
from components.cluster.storage import storage_names
from components.settings import parse
from tests.support.aws_rendered import ARNS
from toolchain import paths

PAGE = (paths.ROOT / "docs" / "how-to" / "network-and-storage.md").read_text()
ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")


@pytest.mark.parametrize(("room", "fits"), [(3, 126), (6, 63)])
def test_the_sizes_of_subnets_are_those_of_the_plan(room: int, fits: int) -> None:
    plan = cidr_plan.plan("10.20.0.0/16", ZONES, room)
    zone = plan.zones[ZONES[0]]
    addresses = f"{zone.private.num_addresses:,}"
    row = (
        f"| {room} | /{zone.private.prefixlen} each, {addresses} addresses "
        f"| /{zone.public.prefixlen} each | /{zone.intra.prefixlen} each |"
    )
    assert row in PAGE
    assert cidr_plan.node_capacity(plan, ZONES[0]) == fits
    assert re.search(rf"\b{fits}\b[^.]*with\s+room for {room}\b", PAGE)


def test_the_refusal_shown_is_the_one_reported() -> None:
    config = {"zones": ZONES, "cidr": "10.20.0.0/20"}
    (problem,) = network_checks.problems(
        parse(NetworkSettings, config, "test"),
        region="eu-central-1",
        service_cidr=NamedRange("cluster.service_cidr", "172.20.0.0/16"),
        cni_version="v1.22.4-eksbuild.3",
        demands=[NodeDemand("pools.jobs", 60, 110, ZONES)],
    )
    assert f"\n```\n{str(problem).strip()}\n```\n" in PAGE


def test_every_endpoint_is_listed_with_its_use() -> None:
    for name, facts in ENDPOINT_SERVICES.items():
        need = "required |" if facts.needed_without_nat else "|"
        assert f"| `{name}` | {facts.caller} | {need}\n" in PAGE


def test_the_tags_that_an_existing_vpc_needs_are_those_we_set() -> None:
    for kind in ("private", "public", "pods"):
        found = subnet_tags.subnet_tags(kind, "<cluster>", pods_elsewhere=True)
        for key, value in found.items():
            shown = f'"{value}"' if value.isdigit() else value
            assert f"`{key}: {shown}`" in PAGE


def test_the_existing_vpc_shown_is_taken() -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
    config = yaml.safe_load(text)["config"]["slipway:network"]
    assert not parse(NetworkSettings, config, "test").makes_vpc


def test_every_bucket_and_key_is_named() -> None:
    for purpose in storage_names.BUCKETS:
        assert f"`<cluster>-{purpose}-<account>-<region>`" in PAGE
    for alias in (
        storage_names.data_key_alias("<cluster>"),
        storage_names.image_key_alias("<cluster>"),
        storage_names.flow_log_key_alias("<cluster>"),
    ):
        assert f"`{alias}`" in PAGE
    assert list(storage_names.problems("a" * 25, ARNS)) == []
    assert list(storage_names.problems("a" * 26, ARNS)) != []
    assert "25 in eu-central-1" in PAGE
