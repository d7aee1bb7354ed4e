"""The lab's facts and what a person may change of them."""

from __future__ import annotations

import ipaddress

import pytest

from lab.settings import (
    CLUSTER_DNS,
    MAXIMUM_WORKERS,
    POD_NETWORK,
    SERVICE_NETWORK,
    LabSettings,
)
from toolchain.errors import OperatorError


def test_defaults_are_a_control_plane_and_one_worker() -> None:
    hosts = LabSettings.from_environment({}).hosts()
    assert [(host.name, host.address, host.pod_network) for host in hosts] == [
        ("cp1", "198.18.0.11", "198.18.64.0/24"),
        ("w1", "198.18.0.12", "198.18.65.0/24"),
    ]


def test_environment_sets_workers_and_ports() -> None:
    variables = {"SLIPWAY_LAB_WORKERS": "3", "SLIPWAY_LAB_PORT_OFFSET": "1000"}
    settings = LabSettings.from_environment(variables)
    assert [host.name for host in settings.hosts()] == ["cp1", "w1", "w2", "w3"]
    assert settings.ports() == {
        "api": 7443,
        "gateway": 9080,
        "gateway-tls": 9443,
        "prometheus": 10090,
        "alertmanager": 10093,
        "alerts": 10095,
        "monitor": 10300,
        "console": 10310,
        "registry": 6000,
    }


def test_networks_do_not_overlap_however_many_workers() -> None:
    hosts = LabSettings(workers=MAXIMUM_WORKERS).hosts()
    pods = [ipaddress.IPv4Network(host.pod_network) for host in hosts]
    services = ipaddress.IPv4Network(SERVICE_NETWORK)
    nodes = ipaddress.IPv4Network("198.18.0.0/24")
    assert all(net.subnet_of(ipaddress.IPv4Network(POD_NETWORK)) for net in pods)
    assert not any(net.overlaps(services) or net.overlaps(nodes) for net in pods)
    assert len(set(pods)) == len({host.mac for host in hosts}) == len(hosts)
    assert ipaddress.IPv4Address(CLUSTER_DNS) in services


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"SLIPWAY_LAB_WORKERS": "two"}, "SLIPWAY_LAB_WORKERS=two: not a whole number"),
        ({"SLIPWAY_LAB_WORKERS": "-1"}, "SLIPWAY_LAB_WORKERS"),
        ({"SLIPWAY_LAB_WORKERS": "61"}, "0 to 60"),
        ({"SLIPWAY_LAB_PORT_OFFSET": "60000"}, "SLIPWAY_LAB_PORT_OFFSET"),
    ],
)
def test_wrong_values_name_the_variable(variables: dict[str, str], text: str) -> None:
    with pytest.raises(OperatorError, match=text):
        LabSettings.from_environment(variables)
