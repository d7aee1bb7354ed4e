"""Settings of the enforcement of network policies."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from components.part_settings import PartSettings
from components.settings import refuse

_OF_NODES = {
    "lo": "lo",
    "eth": "eth0",
    "eno": "eno1",
    "enp": "enp0s3",
    "ens": "ens5",
    "enx": "enx0242ac110002",
    "ib": "ib0",
    "wl": "wlan0",
    "ww": "wwan0",
    "bond": "bond0",
    "team": "team0",
    "tailscale": "tailscale0",
    "tun": "tun0",
    "wg": "wg0",
}
"""Prefixes of names of loopback and uplink interfaces, each with an example.
https://www.freedesktop.org/software/systemd/man/latest/systemd.net-naming-scheme.html"""
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,13}\*?")


def _pods(text: str) -> str:
    if not _NAME.fullmatch(text):
        refuse(
            "not an interface name, or a prefix of names with * at its end",
            "give the names of the pods' interfaces on the node, such as veth*",
        )
    stem = text.removesuffix("*")
    for beginning, example in _OF_NODES.items():
        is_wide = text.endswith("*") and beginning.startswith(stem)
        if is_wide or stem.startswith(beginning):
            name = example if is_wide else stem
            refuse(
                f"it matches {name}, and all traffic of the node itself would be "
                "dropped",
                "give the names of the pods' interfaces on the node, such as veth*",
            )
    return text


class PolicyAgentSettings(PartSettings):
    """Our agent that enforces NetworkPolicies on each node by nftables.

    Off by default, as most clusters' networks enforce them (EKS: the VPC CNI, which the
    layer `cluster` turns on).
    """

    enabled: bool = False
    """True if nodes route pod traffic and nothing else enforces policies, like in the
    lab."""
    image: str = "policy-agent"
    """The agent. A short name of images.lock, or by digest."""
    pod_interfaces: Annotated[str, AfterValidator(_pods)] = "veth*"
    """Names of the pods' interfaces on the node, as the network plugin chooses them.
    Packets from them with an address of no known pod are dropped."""
