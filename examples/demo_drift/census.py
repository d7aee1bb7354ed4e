"""The census rows of the employment model, and which features are protected."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from slipway.images.models import downloads
from toolchain.errors import OperatorError

MODEL = "employment"
YEARS = (2016, 2017, 2018)
SEED = 20261129
"""Of every choice by chance, so that two runs are the same."""


@dataclass(frozen=True)
class Rows:
    """Some rows: `features` of shape (rows, features), and what is true of each."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, places: NDArray[np.int64]) -> Rows:
        return Rows(self.features[places], self.labels[places])


@dataclass(frozen=True)
class Card:
    """What model.yaml says that a record of the prediction log holds."""

    folder: Path
    version: str
    revision: str
    features: tuple[str, ...]
    keep: tuple[str, ...]
    protected: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> Card:
        """Read the description in a model folder."""
        card = yaml.safe_load((folder / "model.yaml").read_text())
        return cls(
            folder=folder,
            version=card["version"],
            revision=card["revision"],
            features=tuple(card["features"]),
            keep=tuple(card["log"]["keep"]),
            protected=tuple(card["log"]["protected"]),
        )

    def column(self, feature: str) -> int:
        return self.features.index(feature)


def training(part: str = "") -> Any:
    """Return the package that trains the model, or a module of it.

    It has the paths of the data.
    """
    package = f"models.{MODEL}.training"
    return importlib.import_module(f"{package}.{part}" if part else package)


@cache
def _everything() -> Any:
    package = training()
    try:
        return package.load(downloads())
    except package.DataError as error:
        raise OperatorError(str(error)) from None


def year(number: int, count: int = 0) -> Rows:
    """Return the rows of a year in a shuffled order, the same every time.

    `count`: only so many of them; 0: all. Raises OperatorError if the data cannot be
    had.
    """
    found = _everything().year(number)
    order = np.random.default_rng([SEED, number]).permutation(len(found.labels))
    chosen = order[:count] if count else order
    return Rows(found.features[chosen], found.labels[chosen])
