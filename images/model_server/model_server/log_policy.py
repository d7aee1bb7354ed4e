"""The features that the prediction log keeps: `log` in model.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LogPolicy:
    """Names of features by how they are logged; all others are dropped.

    A name stands in at most one of `keep`, `bucket` and `hashed`. `protected` ones go
    to files of their own, and to the log only if one of the three names them too.
    """

    keep: frozenset[str] = frozenset()
    bucket: Mapping[str, float] = field(default_factory=dict)
    """The width of the buckets, by name."""
    hashed: frozenset[str] = frozenset()
    protected: frozenset[str] = frozenset()

    @property
    def logged(self) -> frozenset[str]:
        """The features of which the log holds anything."""
        return self.keep | self.hashed | frozenset(self.bucket)
