"""One list of our programs' ports: contracts/ports.yaml."""

from __future__ import annotations

import ast
import re

import pytest

from components.contracts import PORTS
from tests.support.contracts import contract
from toolchain import paths

OPTIONAL = {
    (program, name)
    for program, ports in contract("ports")["ports"].items()
    for name, port in ports.items()
    if port.get("optional")
}
OUR_PORTS = {port for ports in PORTS.values() for port in ports.values()}
SHARED = {8080, 9000}
"""Ports that programs of others have too."""


def numbers(folder: str) -> set[int]:
    """Every number, or text of one, that the programs below a folder write."""
    texts = {
        str(node.value)
        for file in (paths.ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and type(node.value) in (int, str)
    }
    return {int(text) for text in texts if re.fullmatch(r"[0-9]{1,5}", text)}


@pytest.mark.parametrize("program", PORTS)
def test_the_image_exposes_the_ports(program: str) -> None:
    text = (paths.ROOT / "images" / program / "Containerfile").read_text()
    (exposed,) = re.findall(r"(?m)^EXPOSE (.*)$", text)
    ports = PORTS[program].items()
    wanted = {port for name, port in ports if (program, name) not in OPTIONAL}
    assert {int(port) for port in exposed.split()} == wanted


@pytest.mark.parametrize("program", PORTS)
def test_the_program_listens_where_others_look_for_it(program: str) -> None:
    assert PORTS[program]["http"] in numbers(f"images/{program}")


def test_no_two_programs_have_one_port() -> None:
    """They share nodes, pods and people's port-forwards."""
    assert len(OUR_PORTS) == sum(map(len, PORTS.values()))


def test_components_read_the_ports_from_the_contract() -> None:
    assert numbers("components") & (OUR_PORTS - SHARED) == set()
