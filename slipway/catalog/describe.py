"""Instance types as the catalogue's data holds them, from EC2's own descriptions.

Answers of DescribeInstanceTypes and published copies of them have the same shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

GENERAL = (
    *("m5", "m6a", "m6g", "m6i", "m7a", "m7g", "m7i", "m7i-flex", "m8a", "m8g", "m8i"),
    *(
        "c6a",
        "c6g",
        "c6i",
        "c6in",
        "c7a",
        "c7g",
        "c7i",
        "c7i-flex",
        "c8a",
        "c8g",
        "c8i",
    ),
    *("r6i", "r7a", "r7g", "r7i", "r8g", "r8i", "t3", "t3a", "t4g", "i4i", "i7ie"),
)
"""Families without accelerators that system pools and CPU models use."""
BIGGER = {("A100", 81920): "A100-80GB"}
"""Models that share a name and differ in memory, by name and MiB."""
CHIP_MEMORY = {"Trainium2": 98304}
"""MiB of a chip where EC2's descriptions are wrong: they say 512 GiB (moto 5.2.5) or
32 GiB of Trainium2; trn2.48xlarge has 1.5 TiB on 16 chips
(https://aws.amazon.com/ec2/instance-types/trn2/, 2026-11)."""
_BANDWIDTH = re.compile(r"(?:(\d+)x )?([\d.]+) Gigabit")

Raw = Mapping[str, Any]


def kept(raw: Raw) -> bool:
    """Return whether the catalogue includes the type."""
    family = raw["InstanceType"].partition(".")[0]
    return family in GENERAL or bool(raw.get("GpuInfo") or raw.get("NeuronInfo"))


def described(raw: Raw) -> dict[str, Any]:
    """Return the catalogue's line for one type, without fields that are false."""
    network = raw["NetworkInfo"]
    cards = sorted(network["NetworkCards"], key=lambda card: card["NetworkCardIndex"])
    main = cards[network.get("DefaultNetworkCardIndex", 0)]
    line: dict[str, Any] = {
        "vcpus": raw["VCpuInfo"]["DefaultVCpus"],
        "memory": raw["MemoryInfo"]["SizeInMiB"],
        "architecture": _architecture(raw),
        "network_cards": network["MaximumNetworkCards"],
        "network_gbps": _gbps(network, cards),
        # Of the default card: pods get no addresses from the others.
        "max_interfaces": main["MaximumNetworkInterfaces"],
        "addresses_per_interface": network["Ipv4AddressesPerInterface"],
        "placement": sorted(raw["PlacementGroupInfo"]["SupportedStrategies"]),
        "usage_classes": sorted(raw["SupportedUsageClasses"]),
    }
    if gpu := _gpu(raw):
        line["gpu"] = gpu
    if neuron := _neuron(raw):
        line["neuron"] = neuron
    if efa := network.get("EfaInfo", {}).get("MaximumEfaInterfaces"):
        line["efa_interfaces"] = efa
    if disks := raw.get("InstanceStorageInfo", {}).get("Disks"):
        line["local_nvme"] = {
            "count": disks[0]["Count"],
            "size_gb": disks[0]["SizeInGB"],
        }
    if raw["BareMetal"]:
        line["bare_metal"] = True
    return line


def _gbps(network: Raw, cards: Sequence[Raw]) -> float:
    """The type's stated bandwidth (`400 Gigabit`, `4x 100 Gigabit`) where it has one.

    Cards do not add up to it: each of g6e.48xlarge's four may send 400 Gbit/s, and so
    may all of them together. `Up to 25 Gigabit` is a burst: the sustained bandwidth is
    then the cards' baselines.
    """
    if own := _BANDWIDTH.fullmatch(network.get("NetworkPerformance", "")):
        return int(own[1] or 1) * float(own[2])
    return sum(float(card.get("BaselineBandwidthInGbps", 0.0)) for card in cards)


def _architecture(raw: Raw) -> str:
    known = raw["ProcessorInfo"]["SupportedArchitectures"]
    return next(one for one in ("arm64", "x86_64") if one in known)


def _gpu(raw: Raw) -> dict[str, Any] | None:
    gpus = raw.get("GpuInfo", {}).get("Gpus")
    if not gpus:
        return None
    gpu = gpus[0]
    memory = gpu["MemoryInfo"]["SizeInMiB"]
    name = str(gpu["Name"])
    found = {
        "model": BIGGER.get((name, memory), name),
        "manufacturer": gpu["Manufacturer"],
        # Count is 0 where a type has a part of one; software sees one device.
        "count": gpu.get("LogicalGpuCount") or gpu["Count"],
        "memory": memory,
    }
    if (part := gpu.get("GpuPartitionSize", 1.0)) != 1.0:
        found["partition"] = part
    return found


def _neuron(raw: Raw) -> dict[str, Any] | None:
    devices = raw.get("NeuronInfo", {}).get("NeuronDevices")
    if not devices:
        return None
    name = devices[0]["Name"]
    return {
        "model": name,
        "count": devices[0]["Count"],
        "cores": devices[0]["CoreInfo"]["Count"],
        "memory": CHIP_MEMORY.get(name, devices[0]["MemoryInfo"]["SizeInMiB"]),
    }
