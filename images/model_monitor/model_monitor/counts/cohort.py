"""The counts of one cohort, as stored, with the files that they were computed from."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_monitor.counts import codec
from model_monitor.counts.counts import Counts, total

VERSION = 2
"""Version of the counts' meaning: counts of another version are recomputed."""

SHADOW = "shadow"
"""Arm of copied requests, whose answers nobody got (the contract of records)."""

Segment = tuple[str, str]
"""Revision and arm."""


@dataclass(frozen=True, order=True)
class CohortKey:
    """One model's predictions of one day (UTC)."""

    date: dt.date
    model: str


@dataclass(frozen=True)
class Inputs:
    """All that decides a cohort's counts: files with their sizes, and the settings.

    `files` maps the path of each file in the store to its bytes. `plan` is the digest
    of the bins and settings that the queries are made from.
    """

    files: Mapping[str, int]
    plan: str

    @property
    def digest(self) -> str:
        """Return the digest; equal digests mean equal counts."""
        content = [VERSION, self.plan, sorted(self.files.items())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Head:
    """Data about stored counts that need no reading."""

    inputs: Inputs
    newest: str
    """Newest time of a record or label, RFC 3339; empty without any."""


@dataclass(frozen=True)
class Cohort:
    """Counts by revision and arm, and what they were computed from."""

    key: CohortKey
    inputs: Inputs
    segments: Mapping[Segment, Counts] = field(default_factory=dict)
    bins: str = ""
    """Digest of the reference's bins: features of other bins cannot be added."""
    newest_label: str = ""
    """Newest time of a label, RFC 3339; empty without labels."""
    version: int = VERSION

    @property
    def newest(self) -> str:
        """Newest time of a record or label, RFC 3339; empty without any."""
        times = (counts.newest for counts in self.segments.values())
        return max([self.newest_label, *times])

    @property
    def revisions(self) -> list[str]:
        """Those that have answered anybody."""
        return sorted({revision for revision, arm in self.segments if arm != SHADOW})

    def of(self, revision: str) -> Counts:
        """Return the counts of a revision, all arms together but copied requests."""
        return total(
            it
            for (found, arm), it in self.segments.items()
            if found == revision and arm != SHADOW
        )

    def content(self) -> bytes:
        """Return the cohort as JSON: the first line is all but the counts."""
        head = {
            "version": self.version,
            "model": self.key.model,
            "date": self.key.date.isoformat(),
            "plan": self.inputs.plan,
            "bins": self.bins,
            "newest_label": self.newest_label,
            "newest": self.newest,
            "files": dict(sorted(self.inputs.files.items())),
        }
        segments = [
            {"revision": revision, "arm": arm, "counts": codec.to_json(counts)}
            for (revision, arm), counts in sorted(self.segments.items())
        ]
        first = json.dumps(head).removesuffix("}")
        return f'{first},\n"segments": {json.dumps(segments)}}}\n'.encode()

    @classmethod
    def of_json(cls, raw: dict[str, Any]) -> Cohort:
        """Return a stored cohort; KeyError, TypeError or ValueError if it is none."""
        return cls(
            key=CohortKey(dt.date.fromisoformat(raw["date"]), raw["model"]),
            inputs=Inputs(files=raw["files"], plan=raw["plan"]),
            bins=raw["bins"],
            newest_label=raw["newest_label"],
            segments={
                (it["revision"], it["arm"]): codec.of_json(it["counts"])
                for it in raw["segments"]
            },
            version=raw["version"],
        )


def read_head(path: Path) -> Head | None:
    """Return the head of stored counts; None if there are none of this version."""
    try:
        with path.open() as file:
            raw = json.loads(file.readline().rstrip().removesuffix(",") + "}")
        if raw["version"] != VERSION:
            return None
        return Head(Inputs(files=raw["files"], plan=raw["plan"]), raw["newest"])
    except (OSError, KeyError, TypeError, ValueError):
        return None
