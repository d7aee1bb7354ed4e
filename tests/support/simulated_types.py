"""Instance types of our catalogue, as Karpenter's kwok provider reads them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from components import catalog
from components.catalog import InstanceType

SPOT_SHARE = 0.4
"""Spot prices move and are published nowhere in full: what stands in for them here is a
share of the on-demand price."""
ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}


def offers(
    names: Iterable[str],
    region: str,
    zones: Iterable[str],
    *,
    no_spot: Collection[str] = (),
) -> list[dict[str, Any]]:
    """The types by name with all their offers in those of the zones that have them.

    `no_spot` names types of which the market has nothing left. A type that is never
    sold as spot has no such offer anyway.
    """
    wanted = list(zones)
    return [
        _offers(catalog.instance_type(name), region, wanted, name not in no_spot)
        for name in sorted(set(names))
    ]


def _offers(
    found: InstanceType, region: str, zones: list[str], spot: bool
) -> dict[str, Any]:
    price = catalog.price(found.name, region)
    assert price, f"the catalogue has no price of {found.name} in {region}"
    kinds = {"on-demand": price.usd_per_hour}
    if spot and "spot" in found.usage_classes:
        kinds["spot"] = price.usd_per_hour * SPOT_SHARE
    return {
        "name": found.name,
        "architecture": ARCHITECTURES[found.architecture],
        "operatingSystems": ["linux"],
        "offerings": [
            {
                "Price": usd_per_hour,
                "Available": True,
                "Requirements": [
                    _is_in("karpenter.sh/capacity-type", kind),
                    _is_in("topology.kubernetes.io/zone", zone),
                ],
            }
            for kind, usd_per_hour in kinds.items()
            for zone in zones
            if zone in catalog.offered(found.name, region)
        ],
        "resources": resources(found),
    }


def resources(found: InstanceType) -> dict[str, str]:
    """What is installed in it; the provider takes off what a node keeps for itself."""
    has = {
        "cpu": str(found.vcpus),
        "memory": f"{found.memory}Mi",
        "pods": "110",
        "ephemeral-storage": "100Gi",
    }
    if found.gpu:
        has["nvidia.com/gpu"] = str(found.gpu.count)
    if found.neuron:
        has["aws.amazon.com/neuron"] = str(found.neuron.count)
    return has


def _is_in(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": [value]}
