"""Interfaces of the node itself are never taken for pods'."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "policy_agent"))

from policy_agent import __main__ as program
from policy_agent import interfaces

ROUTE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
ens5\t00000000\t010A0A0A\t0003\t0\t0\t512\t00000000\t0\t0\t0
veth12\t0A0A0A00\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""
ROUTE_V6 = (
    f"{'0' * 32} 00 {'0' * 32} 00 fe80000000000000000000000000000a 00000400 00000001 "
    "00000000 00000003     wan0\n"
    f"fe80{'0' * 28} 40 {'0' * 32} 00 {'0' * 32} 00000100 00000001 00000000 00000001 "
    "  veth12\n"
)


@pytest.fixture
def proc_net(tmp_path: Path) -> Path:
    (tmp_path / "route").write_text(ROUTE)
    (tmp_path / "ipv6_route").write_text(ROUTE_V6)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [("l*", "lo"), ("lo", "lo"), ("e*", "ens5"), ("ens5", "ens5"), ("wan*", "wan0")],
)
def test_loopback_and_the_way_out_are_refused(
    pattern: str, taken: str, proc_net: Path
) -> None:
    assert f"takes in {taken}," in interfaces.problem(pattern, proc_net)


@pytest.mark.parametrize("pattern", ["veth*", "veth12", "en", "ens", "l", "cali*"])
def test_names_of_pods_interfaces_are_taken(pattern: str, proc_net: Path) -> None:
    assert interfaces.problem(pattern, proc_net) == ""


def test_without_ipv6_there_is_nothing_to_compare(proc_net: Path) -> None:
    (proc_net / "ipv6_route").unlink()
    assert interfaces.problem("wan*", proc_net) == ""


def test_the_agent_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POLICY_AGENT_INTERFACES", "l*")
    assert program.main() == 2
    assert "takes in lo" in capsys.readouterr().out
