"""What was built from what: kept per builder, so that nothing is built twice."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from slipway.images.builders import Builder


@dataclass(frozen=True)
class Record:
    """An image in a builder's storage: the key of its inputs, its id, its digest."""

    key: str
    id: str
    digest: str = ""
    """Of the manifest, as the last push to any registry had it."""


def write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)  # noqa: PTH105 (atomic, and says so)


def _path(builder: Builder) -> Path:
    return builder.home / "records.json"


def read(builder: Builder) -> dict[str, Record]:
    """Records by image name; those whose image is gone are left out."""
    try:
        raw = json.loads(_path(builder).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    held = builder.held()
    records = {name: Record(**entry) for name, entry in raw.items()}
    return {name: record for name, record in records.items() if record.id in held}


def keep(builder: Builder, name: str, record: Record) -> None:
    records = read(builder) | {name: record}
    raw = {name: asdict(record) for name, record in sorted(records.items())}
    write_atomically(_path(builder), json.dumps(raw, indent=1) + "\n")
