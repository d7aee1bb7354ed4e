"""Write the catalogue's data files: sorted, one line per entry, for readable diffs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from toolchain import whole_files

LICENCE = "facts; copies of published data under Apache-2.0"


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _block(entries: Mapping[str, Any], indent: str) -> str:
    """A mapping with one entry a line."""
    lines = [
        f"{indent} {json.dumps(k)}: {_line(v)}" for k, v in sorted(entries.items())
    ]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _head(source: str, date: str) -> list[str]:
    head = {"source": source, "date": date, "licence": LICENCE}
    return [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]


def _file(parts: Iterable[str]) -> str:
    return "{\n" + ",\n".join(parts) + "\n}\n"


def instance_types(types: Mapping[str, Any], source: str, date: str) -> str:
    """Text of instance_types.json: one type a line."""
    return _file([*_head(source, date), f' "types": {_block(types, " ")}'])


def offerings(regions: Mapping[str, Any], source: str, date: str) -> str:
    """Text of offerings.json: zones by letter, one family a line."""
    parts = [
        f'  {json.dumps(region)}: {{"zones": {json.dumps(held["zones"])}, "types": '
        f"{_block(held['types'], '  ')}}}"
        for region, held in sorted(regions.items())
    ]
    inner = ",\n".join(parts)
    return _file([*_head(source, date), f' "regions": {{\n{inner}\n }}'])


def prices(regions: Mapping[str, Any], source: str, date: str) -> str:
    """Text of prices.json: each region with its own source and date."""
    parts = [
        f'  {json.dumps(region)}: {{"source": {json.dumps(held["source"])}, '
        f'"date": {json.dumps(held["date"])}, "types": {_block(held["types"], "  ")}}}'
        for region, held in sorted(regions.items())
    ]
    inner = ",\n".join(parts)
    return _file([*_head(source, date), f' "regions": {{\n{inner}\n }}'])


def replace(path: Path, text: str) -> bool:
    """Write the file if its content has changed; return whether it did."""
    if path.is_file() and path.read_text() == text:
        return False
    whole_files.write(path, text)
    return True
