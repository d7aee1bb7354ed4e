"""The catalogue's data from a real account, by boto3; nothing is changed there.

EC2 DescribeInstanceTypes and DescribeInstanceTypeOfferings, Pricing GetProducts, EKS
DescribeClusterVersions. Data that was not requested stays as in the files. The files
say `account` as their source; neither account nor credentials are written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from components import catalog
from components.yaml_text import read
from slipway.catalog import describe, published, writing
from toolchain.errors import OperatorError

PRICING_REGION = "us-east-1"
"""Region whose API has the price lists of all regions."""
SOURCE = "account"
CLIENT = Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 4})
ON_DEMAND = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}
"""Filters of GetProducts: plain Linux on shared hosts, capacity in use."""

Report = Callable[[str], None]
Client = Callable[[str, str], Any]
"""Creates a client of a service in a region."""


class RefreshError(OperatorError):
    """AWS did not respond; nothing was written."""


def client(service: str, region: str) -> Any:
    """Return a boto3 client with short timeouts."""
    return boto3.client(service, region_name=region, config=CLIENT)  # type: ignore[call-overload]


def refresh(
    regions: Sequence[str],
    *,
    report: Report,
    clients: Client = client,
    today: date | None = None,
) -> dict[str, str]:
    """Return the renewed data files by name; RefreshError without a response of AWS."""
    day = (today or datetime.now(UTC).date()).isoformat()
    try:
        return _refresh(regions, report, clients, day)
    except (BotoCoreError, ClientError) as error:
        raise RefreshError(
            f"AWS did not answer: {error}. Nothing was written. The command needs "
            "credentials (aws configure, or AWS_PROFILE) with ec2:Describe*, "
            "pricing:GetProducts and eks:DescribeClusterVersions"
        ) from None


def _refresh(
    regions: Sequence[str], report: Report, clients: Client, day: str
) -> dict[str, str]:
    types = _held("instance_types.json")["types"]
    offerings = _held("offerings.json")["regions"]
    prices = _held("prices.json")["regions"]
    for region in regions:
        ec2 = clients("ec2", region)
        found = instance_types(ec2)
        types |= found
        report(f"{region}: {len(found)} instance types")
        pairs = list(_offered(ec2))
        offerings[region] = published.offerings_of(region, pairs, set(types))
        priced = on_demand(clients("pricing", PRICING_REGION), region, set(types))
        prices[region] = {"source": SOURCE, "date": day, "types": priced}
        report(f"{region}: {len(priced)} prices")
    versions = _held_versions() | cluster_versions(clients("eks", regions[0]))
    return {
        "instance_types.json": writing.instance_types(types, SOURCE, day),
        "offerings.json": writing.offerings(offerings, SOURCE, day),
        "prices.json": writing.prices(prices, SOURCE, day),
        "eks_versions.yaml": _versions_text(versions, day),
    }


def _held(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((catalog.DATA / name).read_text())
    return content


def _held_versions() -> dict[str, dict[str, date]]:
    text = (catalog.DATA / "eks_versions.yaml").read_text()
    versions: dict[str, dict[str, date]] = read(text, "eks_versions.yaml")["versions"]
    return versions


def instance_types(ec2: Any) -> dict[str, Any]:
    """The catalogue's line by type, of all types the region has."""
    pages = ec2.get_paginator("describe_instance_types").paginate()
    return {
        raw["InstanceType"]: describe.described(raw)
        for page in pages
        for raw in page["InstanceTypes"]
        if describe.kept(raw)
    }


def _offered(ec2: Any) -> Iterable[tuple[str, str]]:
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone"
    )
    for page in pages:
        for row in page["InstanceTypeOfferings"]:
            yield row["InstanceType"], row["Location"]


def on_demand(pricing: Any, region: str, types: set[str]) -> dict[str, float]:
    """Dollars an hour by type; types without a price are left out, not 0."""
    wanted = {**ON_DEMAND, "regionCode": region}
    filters = [
        {"Type": "TERM_MATCH", "Field": field, "Value": value}
        for field, value in wanted.items()
    ]
    pages = pricing.get_paginator("get_products").paginate(
        ServiceCode="AmazonEC2", Filters=filters
    )
    found = {}
    for page in pages:
        for text in page["PriceList"]:
            product = json.loads(text)
            name = product["product"]["attributes"].get("instanceType")
            price = _hourly(product.get("terms", {}).get("OnDemand", {}))
            if name in types and price:
                found[name] = price
    return found


def _hourly(terms: Mapping[str, Any]) -> float:
    """The price per hour of a product's terms; 0 if it has none."""
    for term in terms.values():
        for dimension in term["priceDimensions"].values():
            if dimension["unit"] == "Hrs":
                return float(dimension["pricePerUnit"].get("USD", 0))
    return 0.0


def cluster_versions(eks: Any) -> dict[str, dict[str, date]]:
    """Ends of support by Kubernetes version."""
    found = {}
    token: dict[str, str] = {}
    for _ in range(20):  # pages; with a version per quarter, there are one or two
        answer = eks.describe_cluster_versions(includeAll=True, **token)
        for version in answer["clusterVersions"]:
            found[version["clusterVersion"]] = {
                "standard_until": _day(version["endOfStandardSupportDate"]),
                "extended_until": _day(version["endOfExtendedSupportDate"]),
            }
        if not answer.get("nextToken"):
            break
        token = {"nextToken": answer["nextToken"]}
    return found


def _day(moment: datetime) -> date:
    """Return the calendar's day: midnight in UTC, which boto3 returns in local time."""
    return moment.astimezone(UTC).date()


def _versions_text(versions: Mapping[str, Mapping[str, date]], day: str) -> str:
    lines = [
        f'  "{name}": {{standard_until: {ends["standard_until"]}, '
        f"extended_until: {ends['extended_until']}}}"
        for name, ends in sorted(
            versions.items(), key=lambda item: [int(n) for n in item[0].split(".")]
        )
    ]
    head = [
        "# Kubernetes versions of EKS and the last days of their support.",
        f"source: {SOURCE}",
        f"date: {day}",
        "licence: facts",
        "versions:",
    ]
    return "\n".join([*head, *lines]) + "\n"
