"""What was built from what: kept beside the storage, so that nothing is built twice."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from slipway.images import buildah


@dataclass(frozen=True)
class Record:
    """An image in the storage: the key of its inputs, its id, its pushed digest."""

    key: str
    id: str
    digest: str = ""


def write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)  # noqa: PTH105 (atomic, and says so)


def _path() -> Path:
    return buildah.home() / "records.json"


def read() -> dict[str, Record]:
    """Records by image name; those whose image is gone are left out."""
    try:
        raw = json.loads(_path().read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    records = {name: Record(**entry) for name, entry in raw.items()}
    return {name: r for name, r in records.items() if buildah.holds(r.id)}


def keep(name: str, record: Record) -> None:
    records = read() | {name: record}
    raw = {name: asdict(record) for name, record in sorted(records.items())}
    write_atomically(_path(), json.dumps(raw, indent=1) + "\n")
