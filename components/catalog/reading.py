"""Reads the catalogue's files, each once."""

from __future__ import annotations

import functools
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

from components.catalog.model import (
    Accelerator,
    CountQuota,
    EksVersion,
    Gpu,
    InstanceType,
    KnownBad,
    LocalNvme,
    MigProfile,
    Neuron,
    Price,
    VcpuQuota,
)
from components.setting_problems import nearest
from components.yaml_text import read

DATA = Path(__file__).with_name("data")
INSTANCE_TYPES = "instance_types.json"
OFFERINGS = "offerings.json"
PRICES = "prices.json"
ACCELERATORS = "accelerators.yaml"
VERSIONS = "eks_versions.yaml"
QUOTAS = "quotas.yaml"
LEFT_OUT = "left_out.yaml"
KNOWN_BAD = "known_bad.yaml"
FILES = (
    *(INSTANCE_TYPES, OFFERINGS, PRICES, ACCELERATORS, VERSIONS, QUOTAS),
    *(LEFT_OUT, KNOWN_BAD),
)


class UnknownInstanceTypeError(LookupError):
    """The catalogue has no such instance type.

    `left_out` says why, if its family is left out on purpose; otherwise `nearest` is a
    type of a like name, or None.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.left_out = left_out().get(name.partition(".")[0])
        near = None if self.left_out else nearest(name, _raw_types())
        self.nearest: str | None = near or None
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        if self.left_out:
            hint = f": {self.left_out}"
        super().__init__(f"the catalogue has no instance type {name!r}{hint}")


@functools.cache
def _file(name: str) -> dict[str, Any]:
    text = (DATA / name).read_text()
    content: dict[str, Any] = (
        json.loads(text) if name.endswith(".json") else read(text, name)
    )
    return content


def _raw_types() -> dict[str, dict[str, Any]]:
    types: dict[str, dict[str, Any]] = _file(INSTANCE_TYPES)["types"]
    return types


def sources() -> dict[str, tuple[str, date]]:
    """Source and date by file of the data."""
    return {
        name: (_text(_file(name)["source"]), _date(_file(name)["date"]))
        for name in FILES
    }


def _text(source: str | dict[str, str]) -> str:
    """A source as one line; of several, each with what it is for."""
    if isinstance(source, str):
        return source
    return "; ".join(f"{what}: {where}" for what, where in source.items())


def _date(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


@functools.cache
def instance_type(name: str) -> InstanceType:
    """The instance type of this name; UnknownInstanceTypeError if there is none."""
    raw = _raw_types().get(name)
    if raw is None:
        raise UnknownInstanceTypeError(name)
    gpu, neuron, nvme = raw.get("gpu"), raw.get("neuron"), raw.get("local_nvme")
    return InstanceType(
        name=name,
        vcpus=raw["vcpus"],
        memory=raw["memory"],
        architecture=raw["architecture"],
        gpu=Gpu(**gpu) if gpu else None,
        neuron=Neuron(**neuron) if neuron else None,
        efa_interfaces=raw.get("efa_interfaces", 0),
        network_cards=raw["network_cards"],
        network_gbps=raw["network_gbps"],
        max_interfaces=raw["max_interfaces"],
        addresses_per_interface=raw["addresses_per_interface"],
        local_nvme=LocalNvme(**nvme) if nvme else None,
        placement=tuple(raw["placement"]),
        usage_classes=tuple(raw["usage_classes"]),
        bare_metal=raw.get("bare_metal", False),
        nvswitch=name in _file(ACCELERATORS)["nvswitch"],
    )


@functools.cache
def instance_types() -> tuple[InstanceType, ...]:
    """All instance types, by name."""
    return tuple(instance_type(name) for name in _raw_types())


@functools.cache
def accelerators() -> dict[str, Accelerator]:
    """GPUs by model."""
    return {
        model: Accelerator(
            model=model,
            compute_capability=raw["compute_capability"],
            mig_profiles=tuple(
                MigProfile(name, instances)
                for name, instances in raw.get("mig_profiles", {}).items()
            ),
            minimum_driver=raw.get("minimum_driver"),
        )
        for model, raw in _file(ACCELERATORS)["accelerators"].items()
    }


def accelerator(model: str) -> Accelerator:
    """The facts of a GPU model; KeyError for one that no instance type has."""
    return accelerators()[model]


def price(instance_type: str, region: str) -> Price | None:
    """What the type costs on demand in the region; None: not known, which is not 0."""
    held = _file(PRICES)["regions"].get(region)
    if held is None or instance_type not in held["types"]:
        return None
    return Price(held["types"][instance_type], _date(held["date"]), held["source"])


def priced_regions() -> tuple[str, ...]:
    """Regions in which prices are known."""
    return tuple(_file(PRICES)["regions"])


def regions() -> tuple[str, ...]:
    """Regions whose zones are known."""
    return tuple(_file(OFFERINGS)["regions"])


def zones(region: str) -> tuple[str, ...]:
    """Availability zones of the region; empty for one that is not known."""
    held = _file(OFFERINGS)["regions"].get(region, {})
    return tuple(region + letter for letter in held.get("zones", ""))


def offered(instance_type: str, region: str) -> tuple[str, ...]:
    """Zones of the region that offered the type at the data's date.

    Which zone a letter names differs between accounts: `slipway doctor` asks yours.
    """
    held = _file(OFFERINGS)["regions"].get(region, {}).get("types", {})
    family, _, size = instance_type.partition(".")
    return tuple(region + letter for letter in held.get(family, {}).get(size, ""))


@functools.cache
def kubernetes_versions() -> tuple[str, ...]:
    """Names of all versions, oldest first."""
    return tuple(_file(VERSIONS)["versions"])


@functools.cache
def kubernetes_version(name: str) -> EksVersion:
    """The version of this name (`1.34`); KeyError for one that is not known."""
    return EksVersion(name, **_file(VERSIONS)["versions"][name])


def vcpu_quota(instance_type: str, market: str = "on-demand") -> VcpuQuota | None:
    """The quota that the type's vCPUs count against; None: not known.

    `market` is `on-demand` or `spot`. p5en.48xlarge is of the families p and p5.
    """
    found = re.match(r"([a-z]+)\d*", instance_type)
    for name, raw in _file(QUOTAS)["vcpus"][market].items():
        if found and {found[0], found[1]} & set(raw["families"]):
            return VcpuQuota(name, raw["code"])
    return None


def count_quota(name: str) -> CountQuota:
    """A quota of the table's `counts`, by its name there."""
    return CountQuota(**_file(QUOTAS)["counts"][name])


def left_out() -> dict[str, str]:
    """Why, by family with accelerators that the catalogue leaves out on purpose."""
    families: dict[str, str] = _file(LEFT_OUT)["families"]
    return families


@functools.cache
def known_bad() -> tuple[KnownBad, ...]:
    """Pairs of driver and instance family that do not work together."""
    return tuple(
        KnownBad(**{**raw, "families": tuple(raw["families"])})
        for raw in _file(KNOWN_BAD)["pairs"]
    )
