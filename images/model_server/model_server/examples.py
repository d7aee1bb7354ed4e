"""examples.json of a model folder: rows and what the original model answers to them.

An exporter may silently lose a part of a model. The file has some answers of the
original, and a server with other answers does not become ready.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from model_server.manifest import Manifest, ModelFolderError
from model_server.model import Model
from model_server.named_rows import Row, alike, check_lengths, joined, read_rows
from model_server.outputs import Array
from model_server.tensor import Tensor
from model_server.warm_up import check_shapes

FILE = "examples.json"
TOLERANCE = 1e-5
KEYS = frozenset({"inputs", "outputs", "tolerance"})
SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Examples:
    """Rows as the model takes them, the answers by output, and how near is right.

    A number may differ from the expected by `tolerance`, or by this share of it where
    that is more; whole numbers, booleans and text may not differ.
    """

    rows: Sequence[Row]
    answers: Mapping[str, Sequence[Any]]
    tolerance: float


def read_examples(folder: Path, manifest: Manifest) -> Examples | None:
    """Return a folder's examples; None if it has none.

    Raises `ModelFolderError` if they are not examples of this model.
    """
    file = folder / FILE
    try:
        content = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelFolderError([f"{file}: {error.strerror}"]) from error
    except orjson.JSONDecodeError as error:
        raise ModelFolderError([f"{file}: not JSON: {error}"]) from error
    problems = _problems(content, manifest)
    if problems:
        raise ModelFolderError([f"{file}: {problem}" for problem in problems])
    rows = read_rows(manifest, content["inputs"], f"{file}: inputs")
    answers = content["outputs"]
    check_lengths(answers, f"{file}: outputs")
    if len(next(iter(answers.values()))) != len(rows):
        raise ModelFolderError(
            [f"{file}: outputs and inputs have different numbers of rows"]
        )
    return Examples(rows, answers, float(content.get("tolerance", TOLERANCE)))


def _problems(content: object, manifest: Manifest) -> list[str]:
    if not isinstance(content, dict):
        return ["must be an object with inputs and outputs"]
    found = [f"{key}: no such key" for key in sorted(content.keys() - KEYS)]
    for key, tensors in (("inputs", manifest.inputs), ("outputs", manifest.outputs)):
        names = ", ".join(tensor.name for tensor in tensors)
        if not isinstance(content.get(key), dict) or not content[key]:
            found.append(f"{key}: must be an object with a list of rows for {names}")
    outputs = content.get("outputs")
    if isinstance(outputs, dict):
        known = [tensor.name for tensor in manifest.outputs]
        found += [
            f"outputs.{name}: the model has {', '.join(known)}"
            for name in sorted(outputs.keys() - set(known))
        ]
    tolerance = content.get("tolerance", TOLERANCE)
    if type(tolerance) not in {int, float} or not 0 <= tolerance < 1:
        found.append(f"tolerance: {tolerance!r} must be a number from 0 and below 1")
    return found


def score(model: Model, examples: Examples, largest: int) -> None:
    """Run the rows as requests are run; raise `ModelFolderError` if answers differ.

    At most `largest` rows share a run.
    """
    manifest = model.manifest
    parts = []
    for rows in _runs(examples.rows, largest):
        try:
            results = model.run(joined(rows))
        except Exception as error:
            raise ModelFolderError(
                [f"{manifest.name}: examples: the model refuses them: {error}"]
            ) from error
        check_shapes(model, results, len(rows))
        parts.append(results)
    off: dict[int, str] = {}
    for tensor, arrays in zip(manifest.outputs, zip(*parts, strict=True), strict=True):
        if tensor.name in examples.answers:
            _compare(tensor, arrays, examples, off)
    if off:
        first = min(off)
        problem = (
            f"{manifest.name}: version {manifest.version}: examples: {len(off)} of "
            f"{len(examples.rows)} answers differ (row {first}: {off[first]})"
        )
        raise ModelFolderError([problem])


def _runs(rows: Sequence[Row], largest: int) -> Iterator[Sequence[Row]]:
    for group in alike(rows):
        for start in range(0, len(group), largest):
            yield group[start : start + largest]


def _compare(
    tensor: Tensor, arrays: Sequence[Array], examples: Examples, off: dict[int, str]
) -> None:
    """Note the rows of an output that are not as expected, but for those noted yet."""
    rows = [row for array in arrays for row in array.tolist()]
    expected_rows = examples.answers[tensor.name]
    for number, (got, expected) in enumerate(zip(rows, expected_rows, strict=True)):
        if not _is_near(got, expected, examples.tolerance):
            text = f"{tensor.name} {_shown(got)}, expected {_shown(expected)}"
            off.setdefault(number, text)


def _is_near(got: Any, expected: Any, tolerance: float) -> bool:
    """Compare values, nested alike; null is expected where there is no number."""
    if isinstance(got, list):
        return (
            isinstance(expected, list)
            and len(got) == len(expected)
            and all(
                _is_near(a, b, tolerance) for a, b in zip(got, expected, strict=True)
            )
        )
    if isinstance(got, float):
        if expected is None:
            return not np.isfinite(got)
        if type(expected) not in {int, float}:
            return False
        return bool(abs(got - expected) <= tolerance * max(1.0, abs(expected)))
    if isinstance(got, bytes):
        got = got.decode("utf-8", "replace")
    return type(got) is type(expected) and bool(got == expected)


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = orjson.dumps(value).decode()
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."
