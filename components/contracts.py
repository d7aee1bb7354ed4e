"""Data that images and components both must know: contracts/*.yaml."""

from __future__ import annotations

from typing import Any

from components.yaml_text import read_file
from toolchain import paths


def contract(name: str) -> dict[str, Any]:
    """Return the content of a contract."""
    file = paths.ROOT / "contracts" / f"{name}.yaml"
    found: dict[str, Any] = read_file(file, file.name)
    return found


HEADERS: dict[str, str] = {
    key: header["name"] for key, header in contract("headers")["headers"].items()
}
"""Names of our own headers, in lower case, by their keys in the contract."""

PORTS: dict[str, dict[str, int]] = {
    program: {name: it["port"] for name, it in ports.items()}
    for program, ports in contract("ports")["ports"].items()
}
"""Ports of our own programs by their names, by the programs' folders in images/."""
