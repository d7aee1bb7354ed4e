"""What a host is booted with, kept as a file between commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lab.cgroups import Hierarchy
from lab.host_spec import HostSpec
from lab.settings import LabSettings

HOSTS = LabSettings(workers=1).hosts()
SPEC = HostSpec(
    host=HOSTS[1],
    all_hosts=tuple(HOSTS),
    lab=Path("/state/labs/a"),
    folder=Path("/state/labs/a/hosts/w1"),
    rootfs=Path("/cache/rootfs/1"),
    hierarchies=(Hierarchy("cpu", "cgroup", "cpu", "/sys/fs/cgroup/cpu/slipway-a"),),
    binds={"opt/slipway/bin": Path("/cache/hosts-bin/1")},
)


def test_the_file_holds_all_of_it() -> None:
    assert HostSpec.parse(SPEC.text()) == SPEC


def test_neighbours_and_the_registry_have_names() -> None:
    lines = SPEC.hosts_file.splitlines()
    assert "198.18.0.11 cp1 registry.lab" in lines
    assert "198.18.0.12 w1" in lines
    assert SPEC.others == [HOSTS[0]]


def test_machine_ids_differ_by_host_and_by_lab_and_stay() -> None:
    other_host = replace(SPEC, host=HOSTS[0])
    other_lab = replace(SPEC, lab=Path("/state/labs/b"))
    ids = {spec.machine_id for spec in (SPEC, other_host, other_lab)}
    assert len(ids) == 3
    assert SPEC.machine_id == HostSpec.parse(SPEC.text()).machine_id
    assert all(len(machine_id) == 32 for machine_id in ids)
