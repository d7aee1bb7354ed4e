"""Records of the inputs of each build, per builder, so that nothing is built twice."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from slipway.images.builders import Builder
from toolchain import whole_files


@dataclass(frozen=True)
class Record:
    """An image in a builder's storage: the key of its inputs, its id, its digest."""

    key: str
    id: str
    digest: str = ""
    """Digest of the manifest at the last push to any registry."""


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
    _path(builder).parent.mkdir(parents=True, exist_ok=True)
    whole_files.write(_path(builder), json.dumps(raw, indent=1) + "\n")
