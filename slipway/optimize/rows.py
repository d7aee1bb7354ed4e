"""The labelled rows that models are compared on, and that calibrate a quantization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from model_server.datatypes import BFLOAT16, DATATYPES
from model_server.manifest import Manifest
from model_server.tensor import Tensor
from numpy.typing import NDArray

from toolchain.errors import WrongInputError

TABLES = {".parquet": "read_parquet", ".csv": "read_csv"}
ARRAYS = ".npz"
CALIBRATION_ROWS = 512
MOST_VALUES = 50
"""Maximum values of a protected attribute: each is a part of the rows that is tested
separately."""
SEED = 20261130
Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Rows:
    """Rows as the model takes them, with the truth."""

    inputs: tuple[NDArray[Any], ...]
    """Values of each input of the manifest, rows first."""
    labels: NDArray[Any]
    groups: Mapping[str, NDArray[Any]]
    """Values of each protected attribute for each row, as text."""

    def chosen(self, places: NDArray[np.int64]) -> Rows:
        return Rows(
            tuple(it[places] for it in self.inputs),
            self.labels[places],
            {name: it[places] for name, it in self.groups.items()},
        )

    def divided(self) -> tuple[Rows, Rows]:
        """Rows to calibrate with, drawn by chance, and the others, which judge."""
        order = np.random.default_rng(SEED).permutation(len(self.labels))
        parts = order[:CALIBRATION_ROWS], order[CALIBRATION_ROWS:]
        first, second = (self.chosen(np.sort(it)) for it in parts)
        return first, second


def read(file: Path, manifest: Manifest, label: str, groups: Sequence[str]) -> Rows:
    """The rows of a file; WrongInputError lists all that is wrong with it.

    A Parquet or CSV file has a column for each feature that model.yaml names; an .npz
    file has an array for each input. Protected attributes of model.yaml, and `groups`,
    are columns, arrays or features.
    """
    columns = _columns(file)
    problems = list(_of_kind(manifest))
    inputs: list[NDArray[Any]] = []
    if not problems:
        is_table = file.suffix in TABLES
        found = _features(columns, manifest) if is_table else _arrays(columns, manifest)
        inputs = [it for it in found if not isinstance(it, str)]
        problems += [it for it in found if isinstance(it, str)]
    named = dict.fromkeys([*sorted(manifest.log.protected), *groups])
    values = {name: _group(name, columns, manifest, inputs) for name in named}
    problems += _wrong_groups(values, columns, manifest, complete=bool(inputs))
    problems += _wrong_label(label, columns)
    arrays = [*inputs, *(it for it in values.values() if it is not None)]
    lengths = {len(it) for it in arrays}
    if label in columns:
        lengths.add(len(columns[label]))
    if len(lengths) > 1:
        problems.append(f"arrays of different lengths: {sorted(lengths)}")
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise WrongInputError(f"{file}: {len(problems)} problems:{lines}")
    known = {name: it for name, it in values.items() if it is not None}
    return Rows(tuple(inputs), np.asarray(columns[label]), known)


def _wrong_groups(
    groups: Mapping[str, NDArray[Any] | None],
    columns: Columns,
    manifest: Manifest,
    *,
    complete: bool,
) -> Iterator[str]:
    """`complete`: whether features could be looked for a group, too."""
    for name, values in groups.items():
        if values is None:
            if complete or name not in manifest.features:
                yield _absent(f"the group {name}", columns)
        elif (count := len(np.unique(values))) > MOST_VALUES:
            yield (
                f"the group {name}: has {count} values; give a column of that name "
                f"with at most {MOST_VALUES} groups of them"
            )


def _wrong_label(label: str, columns: Columns) -> Iterator[str]:
    if label not in columns:
        yield _absent(f"--label {label}", columns)
    elif np.ma.is_masked(columns[label]):
        yield f"{label}: some rows have no label; leave them out"


def _columns(file: Path) -> Columns:
    """Columns of a table or arrays by name."""
    if file.suffix not in (ARRAYS, *TABLES):
        kinds = ", ".join([*TABLES, ARRAYS])
        suffix = file.suffix or "no suffix"
        raise WrongInputError(f"{file}: {suffix}; give one of {kinds}")
    try:
        return _arrays_of(file) if file.suffix == ARRAYS else _table_of(file)
    except (OSError, ValueError) as error:
        raise WrongInputError(f"{file}: cannot be read: {error}") from None


def _arrays_of(file: Path) -> Columns:
    with np.load(file, allow_pickle=False) as found:
        arrays: Columns = dict(found)
    return arrays


def _table_of(file: Path) -> Columns:
    import duckdb

    query = f"select * from {TABLES[file.suffix]}(?)"  # noqa: S608 a table's reader
    try:
        table: Columns = duckdb.execute(query, [str(file)]).fetchnumpy()
    except duckdb.Error as error:
        raise ValueError(str(error)) from None
    return table


def _of_kind(manifest: Manifest) -> Iterator[str]:
    for tensor in manifest.inputs:
        if not tensor.is_fixed or tensor.datatype == BFLOAT16:
            yield (
                f"the input {tensor.name} is {tensor.datatype} {list(tensor.shape)}; "
                "models of text, BF16 or free dimensions cannot be optimized here"
            )


def _features(columns: Columns, manifest: Manifest) -> list[NDArray[Any] | str]:
    """The one input, of columns by the feature's name; or what is wrong."""
    tensor = manifest.inputs[0]
    if len(manifest.inputs) > 1 or not manifest.features:
        return [
            "a table has columns by the names of features, and model.yaml names no "
            f"features of a single input; give {ARRAYS} with an array for each of "
            + ", ".join(it.name for it in manifest.inputs)
        ]
    problems: list[NDArray[Any] | str] = []
    parts = []
    for name in manifest.features:
        if name not in columns:
            problems.append(_absent(f"the feature {name}", columns))
            continue
        values = columns[name]
        if values.dtype.kind not in "biuf":
            problems.append(
                f"{name}: has no numbers; give the codes that the model has"
            )
            continue
        if np.ma.is_masked(values) and not tensor.missing_values:
            problems.append(
                f"{name}: some rows have no value, and the input {tensor.name} takes "
                "no missing values; leave them out"
            )
            continue
        parts.append(np.ma.filled(values.astype(np.float64), np.nan))
    if problems:
        return problems
    dtype = DATATYPES[tensor.datatype].dtype
    table = np.column_stack(parts).astype(dtype)
    return [table.reshape(-1, *tensor.shape[1:])]


def _arrays(columns: Columns, manifest: Manifest) -> list[NDArray[Any] | str]:
    found: list[NDArray[Any] | str] = []
    for tensor in manifest.inputs:
        if tensor.name not in columns:
            found.append(_absent(f"the input {tensor.name}", columns))
            continue
        array = columns[tensor.name]
        dtype = DATATYPES[tensor.datatype].dtype
        if array.shape[1:] != tensor.shape[1:] or not _is_kind(array, tensor):
            found.append(
                f"{tensor.name}: {array.dtype} {list(array.shape)}; the model takes "
                f"{tensor.datatype} {list(tensor.shape)}"
            )
            continue
        found.append(array.astype(dtype))
    return found


def _is_kind(array: NDArray[Any], tensor: Tensor) -> bool:
    """Return whether the values are numbers, and whole if the input's are."""
    floating = DATATYPES[tensor.datatype].is_floating
    return array.dtype.kind in ("biuf" if floating else "biu")


def _group(
    name: str, columns: Columns, manifest: Manifest, inputs: Sequence[NDArray[Any]]
) -> NDArray[Any] | None:
    """The values of an attribute as texts, whole numbers without a point."""
    values: NDArray[Any] | None = columns.get(name)
    for table, names in zip(inputs, manifest.feature_names, strict=False):
        if values is None and name in names:
            values = table.reshape(len(table), -1)[:, names.index(name)]
    if values is None or values.ndim != 1:
        return None
    if values.dtype.kind == "f" and (values == np.floor(values)).all():
        values = values.astype(np.int64)
    return np.ma.filled(values.astype(str), "none")


def _absent(what: str, columns: Columns) -> str:
    return f"{what} is not there; the file has {', '.join(columns)}"
