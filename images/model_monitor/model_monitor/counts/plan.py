"""The counts of a model: the settings from which the queries are built."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum

from model_monitor.counts.reference import Reference


class Task(StrEnum):
    """The type of a model's decision."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


@dataclass(frozen=True)
class Plan:
    """Task, positive class (of two), protected attributes and the reference's bins."""

    task: Task
    positive: str = "1"
    attributes: tuple[str, ...] = ()
    reference: Reference = field(default_factory=Reference)

    @property
    def digest(self) -> str:
        """Digest of all that decides the counts, beside the files."""
        content = [
            self.task.value,
            self.positive,
            self.attributes,
            self.reference.bins_digest(),
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
