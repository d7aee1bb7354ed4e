"""The catalogue's data agree with each other, with their sources, and are quick."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner

from components import catalog
from slipway.catalog import account, command, published
from toolchain import paths
from toolchain.errors import OperatorError

TYPES = catalog.instance_types()
GOVCLOUD = "us-gov-west-1"
"""Prices are known there, zones are not."""
LAUNCHED = ("g4dn", "g5", "g5g", "g6", "g6e", "gr6", "p4d", "p4de", "p5", "p5e", "p5en")
NEURON = ("inf1", "inf2", "trn1", "trn1n", "trn2")
P5 = {
    "InstanceType": "p5.48xlarge",
    "BareMetal": False,
    "VCpuInfo": {"DefaultVCpus": 192},
    "MemoryInfo": {"SizeInMiB": 2097152},
    "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    "PlacementGroupInfo": {"SupportedStrategies": ["cluster", "spread"]},
    "SupportedUsageClasses": ["on-demand"],
    "NetworkInfo": {
        "MaximumNetworkCards": 1,
        "DefaultNetworkCardIndex": 0,
        "NetworkCards": [
            {
                "NetworkCardIndex": 0,
                "MaximumNetworkInterfaces": 2,
                "BaselineBandwidthInGbps": 100.0,
            }
        ],
        "Ipv4AddressesPerInterface": 50,
        "EfaInfo": {"MaximumEfaInterfaces": 32},
    },
    "GpuInfo": {
        "Gpus": [
            {
                "Name": "H100",
                "Manufacturer": "NVIDIA",
                "Count": 8,
                "MemoryInfo": {"SizeInMiB": 81920},
            }
        ]
    },
}


def test_every_accelerated_family_is_there() -> None:
    families = {t.family for t in TYPES}
    assert families >= {*LAUNCHED, *NEURON, "p6-b200", "p3dn"}
    assert families >= {"m7i", "m7g", "t3"}


def _faults(found: catalog.InstanceType) -> list[str]:
    """What of a type's data cannot be."""
    right = {
        "vcpus": found.vcpus >= 1,
        "memory": found.memory >= 512,
        "architecture": found.architecture in ("x86_64", "arm64"),
        "addresses": found.addresses_per_interface >= 2,
        "interfaces": found.max_interfaces >= 2,
        "usage": set(found.usage_classes) <= {"on-demand", "spot", "capacity-block"},
        "quota": catalog.vcpu_quota(found.name) is not None,
        "neuron": (found.neuron is not None) == (found.family in NEURON),
    }
    if found.gpu:
        right["gpus"] = found.gpu.count >= 1
        right["GPU memory"] = found.gpu.memory >= 1024
        right["accelerator"] = found.gpu.model in catalog.accelerators()
    return [f"{found.name}: {what}" for what, is_right in right.items() if not is_right]


def test_types_are_whole() -> None:
    assert [fault for found in TYPES for fault in _faults(found)] == []


@pytest.mark.parametrize(
    "accelerator", catalog.accelerators().values(), ids=lambda a: a.model
)
def test_mig_profiles_fit_into_their_gpu(accelerator: catalog.Accelerator) -> None:
    assert float(accelerator.compute_capability) >= 7
    gpus = [t.gpu for t in TYPES if t.gpu and t.gpu.model == accelerator.model]
    assert gpus, "no instance type has it"
    for profile in accelerator.mig_profiles:
        assert profile.slices * profile.instances <= 7
        in_all = profile.memory_gib * profile.instances * 1024
        # Names round a slice's memory; A100 and H100 give out 8 slices of memory.
        assert in_all <= max(g.memory for g in gpus) * 1.1


def test_what_is_known_of_the_largest() -> None:
    p5 = catalog.instance_type("p5.48xlarge")
    assert p5.gpu == catalog.Gpu("H100", "NVIDIA", 8, 81920)
    assert (p5.vcpus, p5.efa_interfaces, p5.nvswitch) == (192, 32, True)
    assert p5.local_nvme == catalog.LocalNvme(8, 3800)
    assert catalog.instance_type("p4de.24xlarge").gpu != p5.gpu
    part = catalog.instance_type("g6f.large").gpu
    assert part
    assert (part.count, part.partition) == (1, 0.125)


def test_an_unknown_type_names_the_nearest() -> None:
    with pytest.raises(catalog.UnknownInstanceTypeError) as caught:
        catalog.instance_type("p5.48xlage")
    assert caught.value.nearest == "p5.48xlarge"
    assert "did you mean p5.48xlarge?" in str(caught.value)


def _code(name: str, market: str) -> str | None:
    quota = catalog.vcpu_quota(name, market)
    return quota.code if quota else None


def test_spot_of_p5_has_a_quota_of_its_own() -> None:
    on_demand = {_code(n, "on-demand") for n in ("p4d.24xlarge", "p5en.48xlarge")}
    assert on_demand == {"L-417A185B"}
    assert _code("p4d.24xlarge", "spot") == "L-7212CCBC"
    assert _code("p5en.48xlarge", "spot") == "L-C4BD4855"
    assert _code("gr6.4xlarge", "spot") == _code("g5.xlarge", "spot") == "L-3819A6DF"
    assert _code("p6-b200.48xlarge", "spot") is None, "not known"


def test_an_unknown_price_is_none() -> None:
    price = catalog.price("p5.48xlarge", "us-east-1")
    assert price
    assert 10 < price.usd_per_hour < 200
    assert price.as_of >= date(2026, 1, 1)
    assert catalog.price("p5.48xlarge", "atlantis-1") is None
    assert catalog.price("p99.large", "us-east-1") is None


def test_zones_and_versions() -> None:
    assert "us-east-1a" in catalog.zones("us-east-1")
    assert catalog.zones("atlantis-1") == ()
    assert set(catalog.offered("g5.xlarge", "us-east-1")) <= set(
        catalog.zones("us-east-1")
    )
    for name in catalog.kubernetes_versions():
        version = catalog.kubernetes_version(name)
        assert version.standard_until < version.extended_until


def test_every_file_says_where_it_is_from() -> None:
    sources = catalog.sources()
    assert {p.name for p in catalog.DATA.iterdir()} == set(sources)
    for source, day in sources.values():
        assert source
        assert day <= datetime.now(UTC).date()


def test_the_data_are_what_the_published_packages_say() -> None:
    try:
        generated = published.generate()
    except (OperatorError, OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"the pinned packages cannot be had here: {error}")
    for name, text in generated.items():
        assert (catalog.DATA / name).read_text() == text, name


def _clients() -> tuple[account.Client, list[Stubber]]:
    """Clients that answer as AWS does, each call once and in order."""
    session = boto3.Session("x", "y", region_name="us-east-1")
    ec2, pricing = session.client("ec2"), session.client("pricing")
    eks = session.client("eks")
    product: dict[str, Any] = {
        "product": {"attributes": {"instanceType": "p5.48xlarge"}},
        "terms": {
            "OnDemand": {
                "a": {
                    "priceDimensions": {
                        "b": {"unit": "Hrs", "pricePerUnit": {"USD": "44.5"}}
                    }
                }
            }
        },
    }
    stubs = [Stubber(client) for client in (ec2, pricing, eks)]
    stubs[0].add_response("describe_instance_types", {"InstanceTypes": [P5]}, {})
    stubs[0].add_response(
        "describe_instance_type_offerings",
        {
            "InstanceTypeOfferings": [
                {"InstanceType": "p5.48xlarge", "Location": "us-east-1b"},
                {"InstanceType": "p5.48xlarge", "Location": "us-east-1-bos-1a"},
            ]
        },
        {"LocationType": "availability-zone"},
    )
    stubs[1].add_response("get_products", {"PriceList": [json.dumps(product)]})
    stubs[2].add_response(
        "describe_cluster_versions",
        {
            "clusterVersions": [
                {
                    "clusterVersion": "1.36",
                    # The answer's moment in a zone where it is the day before.
                    "endOfStandardSupportDate": datetime(
                        2027, 8, 1, 16, tzinfo=timezone(timedelta(hours=-8))
                    ),
                    "endOfExtendedSupportDate": datetime(2028, 8, 2, tzinfo=UTC),
                }
            ]
        },
        {"includeAll": True},
    )
    for stub in stubs:
        stub.activate()
    by_name: dict[str, Any] = {"ec2": ec2, "pricing": pricing, "eks": eks}
    return (lambda service, _region: by_name[service]), stubs


def test_an_account_renews_what_it_was_asked_for() -> None:
    clients, stubs = _clients()
    texts = account.refresh(
        ["us-east-1"],
        report=lambda _: None,
        clients=clients,
        today=date(2026, 12, 1),
    )
    for stub in stubs:
        stub.assert_no_pending_responses()
    types = json.loads(texts["instance_types.json"])
    assert types["source"] == "account"
    assert types["types"]["p5.48xlarge"]["usage_classes"] == ["on-demand"]
    assert len(types["types"]) == len(TYPES), "others stay"
    offerings = json.loads(texts["offerings.json"])["regions"]
    assert offerings["us-east-1"]["types"] == {"p5": {"48xlarge": "b"}}
    assert offerings["eu-west-1"]["zones"] == "abc"
    prices = json.loads(texts["prices.json"])["regions"]["us-east-1"]
    assert prices["types"] == {"p5.48xlarge": 44.5}
    assert prices["date"] == "2026-12-01"
    assert '"1.36": {standard_until: 2027-08-02' in texts["eks_versions.yaml"]
    assert '"1.34"' in texts["eks_versions.yaml"]


def test_no_answer_is_said_and_writes_nothing() -> None:
    clients, stubs = _clients()
    ec2 = stubs[0]
    ec2.deactivate()
    refused = Stubber(ec2.client)
    refused.add_client_error("describe_instance_types", "UnauthorizedOperation")
    refused.activate()
    with pytest.raises(account.RefreshError, match="Nothing was written"):
        account.refresh(["us-east-1"], report=lambda _: None, clients=clients)


def test_the_commands_show_units_sources_and_what_is_not_known() -> None:
    run = CliRunner().invoke
    shown = run(command.command, ["show", "p5.48xlarge", "--region", "eu-west-1"])
    assert shown.exit_code == 0
    for text in ("8 x H100, 80 GiB", "1g.10gb (7)", "unknown $/h", "slipway catalog"):
        assert text in shown.output
    listed = run(command.command, ["list", "--gpu", "h200"])
    assert "p5e.48xlarge" in listed.output
    wrong = run(command.command, ["show", "p5.48xlage"])
    assert wrong.exit_code == 2
    assert "did you mean p5.48xlarge" in wrong.output
    assert run(command.command, ["list", "--gpu", "H1000"]).exit_code == 2
    elsewhere = run(command.command, ["show", "p5.48xlarge", "--region", GOVCLOUD])
    assert "│ zones              │ unknown" in elsewhere.output
    astray = run(command.command, ["list", "--region", "eu-centrall-1"])
    assert astray.exit_code == 2
    assert "did you mean eu-central-1?" in astray.output


def test_the_page_shows_what_is_printed() -> None:
    page = (paths.ROOT / "docs" / "how-to" / "catalogue.md").read_text()
    shown = CliRunner().invoke(command.command, ["show", "p5.48xlarge"])
    assert f"```\n{shown.output}```\n" in page


def test_types_are_values() -> None:
    found = TYPES[0]
    assert hash(found) == hash(dataclasses.replace(found))
