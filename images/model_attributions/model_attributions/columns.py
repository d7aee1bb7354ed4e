"""A sample as the model's inputs: values by feature, and what is not logged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from model_server.buffers import Buffer
from model_server.datatypes import BFLOAT16, DATATYPES, TEXT
from model_server.manifest import Manifest
from model_server.tensor import Tensor

Array = npt.NDArray[Any]
REFERENCE = "reference.json"


class UnfitError(Exception):
    """The model's inputs cannot be made of a sample; the text says why."""


@dataclass(frozen=True)
class Place:
    """The place of a feature: an input, and a column of its rows."""

    feature: str
    position: int
    column: int


class Inputs:
    """All rows of a sample, one array (rows, columns) for each input of the model."""

    def __init__(
        self,
        manifest: Manifest,
        features: Mapping[str, Sequence[Any]],
        rows: int,
        folder: Path,
        random: np.random.Generator,
    ) -> None:
        """Features without a value in any row are drawn from reference.json.

        So is each single missing value of an input that takes none, from the other
        rows' values. Raises UnfitError.
        """
        check(manifest)
        self._tensors, self.rows = manifest.inputs, rows
        self.varied: list[Place] = []
        self.filled: list[str] = []
        self._arrays = [
            np.empty((rows, it.width), _dtype(it)) for it in manifest.inputs
        ]
        reference = _Reference(folder / REFERENCE)
        for place in _places(manifest):
            tensor = self._tensors[place.position]
            values = list(features.get(place.feature, ()))
            known = [it for it in values if it is not None]
            if not known:
                self.filled.append(place.feature)
                values = reference.draw(place.feature, rows, random)
            else:
                self.varied.append(place)
                if not tensor.missing_values:
                    values = _completed(values, known, random)
            self._put(place, tensor, values)

    def _put(self, place: Place, tensor: Tensor, values: Sequence[Any]) -> None:
        try:
            column = [_value(tensor, it) for it in values]
            self._arrays[place.position][:, place.column] = column
        except (OverflowError, TypeError, ValueError) as error:
            raise UnfitError(
                f"feature {place.feature}: a value is not {tensor.datatype}: {error}"
            ) from None

    def buffers(
        self,
        start: int,
        stop: int,
        place: Place | None = None,
        order: npt.NDArray[np.intp] | None = None,
    ) -> list[Buffer]:
        """Return some rows as the model takes them.

        With a place, that feature's values are those of the rows in `order` instead.
        """
        found: list[Buffer] = []
        for position, tensor in enumerate(self._tensors):
            array = self._arrays[position][start:stop]
            if place and order is not None and place.position == position:
                array = array.copy()
                other = self._arrays[position][order[start:stop], place.column]
                array[:, place.column] = other
            shaped = array.reshape(stop - start, *tensor.shape[1:])
            found.append(shaped if tensor.datatype == TEXT else shaped.tobytes())
        return found


def check(manifest: Manifest) -> None:
    """Raise UnfitError for a model whose rows are not one value for each feature."""
    if manifest.rows_are_dependent:
        raise UnfitError("rows: dependent: a row's score depends on the others'")
    for tensor in manifest.inputs:
        if tensor.is_free:
            raise UnfitError(f"input {tensor.name} has free dimensions: no features")
        if tensor.datatype == BFLOAT16:
            raise UnfitError(f"input {tensor.name} is BF16, which numpy has not")
    if not (manifest.score or manifest.decision):
        raise UnfitError("model.yaml names neither a score nor a decision")


def _places(manifest: Manifest) -> Iterator[Place]:
    for position, names in enumerate(manifest.feature_names):
        for column, feature in enumerate(names):
            yield Place(feature, position, column)


def _dtype(tensor: Tensor) -> np.dtype[Any]:
    return DATATYPES[tensor.datatype].dtype


def _value(tensor: Tensor, value: Any) -> Any:
    """Return a logged value as the input's datatype holds it."""
    if tensor.datatype == TEXT:
        return value if isinstance(value, str) else str(value)
    if value is None:
        return float("nan")
    number = {"true": 1.0, "false": 0.0}.get(value) if isinstance(value, str) else value
    number = float(value) if number is None else float(number)
    return number if DATATYPES[tensor.datatype].is_floating else round(number)


def _completed(
    values: Sequence[Any], known: Sequence[Any], random: np.random.Generator
) -> list[Any]:
    return [
        known[int(random.integers(len(known)))] if it is None else it for it in values
    ]


class _Reference:
    """Draws values of a feature from its distribution in reference.json."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._features: dict[str, Any] | None = None

    def draw(self, feature: str, rows: int, random: np.random.Generator) -> list[Any]:
        entry = self._entry(feature)
        try:
            if "categories" in entry:
                categories = list(entry["categories"])
                chosen = _choose(list(entry["categories"].values()), rows, random)
                return [categories[it] for it in chosen]
            edges = np.asarray(entry["histogram"]["edges"], np.float64)
            bins = _choose(entry["histogram"]["counts"], rows, random)
        except (KeyError, TypeError, ValueError) as error:
            raise UnfitError(f"{self._file}: features.{feature}: {error}") from None
        within = random.random(rows)
        drawn = edges[bins] + within * (edges[bins + 1] - edges[bins])
        is_whole = np.all(edges == np.floor(edges))
        return list((np.floor(drawn) if is_whole else drawn).tolist())

    def _entry(self, feature: str) -> dict[str, Any]:
        if self._features is None:
            try:
                self._features = json.loads(self._file.read_text())["features"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UnfitError(f"{self._file}: cannot be read: {error}") from None
        entry = (self._features or {}).get(feature)
        if not isinstance(entry, dict):
            raise UnfitError(
                f"feature {feature} is not logged and not in {self._file}; keep it in "
                "the log, or describe it in the reference"
            )
        return entry


def _choose(
    counts: Sequence[int], rows: int, random: np.random.Generator
) -> npt.NDArray[np.intp]:
    weights = np.asarray(counts, np.float64)
    return random.choice(len(weights), rows, p=weights / weights.sum())
