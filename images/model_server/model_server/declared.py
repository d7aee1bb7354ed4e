"""Whether the tensors of model.yaml are those of the model's own file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model_server.manifest import Manifest, ModelError
from model_server.tensor import Tensor


@dataclass(frozen=True)
class Found:
    """A tensor as the model's file has it.

    `datatype` is the protocol's name, "" if it has none; `shown` is the file's own.
    `shape` has a name or None where a size is dynamic; it is None if all is.
    """

    name: str
    datatype: str
    shown: str
    shape: Sequence[int | str | None] | None


def check_tensors(
    folder: Path,
    manifest: Manifest,
    inputs: Sequence[Found],
    outputs: Sequence[Found],
    holder: str,
) -> None:
    """Raise `ModelError` with all that differs; `holder` has the found tensors."""
    problems = [
        *_differences("input", manifest.inputs, inputs, holder),
        *_differences("output", manifest.outputs, outputs, holder),
    ]
    if problems:
        raise ModelError([f"{folder}: {problem}" for problem in problems])


def _differences(
    kind: str, declared: Sequence[Tensor], found: Sequence[Found], holder: str
) -> list[str]:
    """Return how the tensors of model.yaml, inputs or outputs, differ."""
    problems = []
    known = {tensor.name: tensor for tensor in found}
    names = [tensor.name for tensor in declared]
    if kind == "input" and set(names) != set(known):
        problems.append(
            f"model.yaml names the inputs {', '.join(names)}, {holder} "
            f"{', '.join(known)}"
        )
    for tensor in declared:
        other = known.get(tensor.name)
        if other is None:
            if kind == "output":
                text = f"output {tensor.name}: {holder} has {', '.join(known)}"
                problems.append(text)
            continue
        if other.datatype != tensor.datatype:
            problems.append(
                f"{kind} {tensor.name}: model.yaml says {tensor.datatype}, {holder} "
                f"{other.datatype or other.shown}"
            )
        if not _shapes_agree(tensor.shape, other.shape, is_output=kind == "output"):
            problems.append(
                f"{kind} {tensor.name}: model.yaml says the shape "
                f"{list(tensor.shape)}, {holder} {list(other.shape or ())}"
            )
    return problems


def _shapes_agree(
    declared: tuple[int, ...],
    found: Sequence[int | str | None] | None,
    *,
    is_output: bool,
) -> bool:
    """Tell whether shapes agree; the file has names or None where it is dynamic.

    Exporters (onnxmltools 1.16 of LightGBM) write a 1 in the first place of an output
    that has as many rows as the input; the warm-up sees what really comes out.
    """
    if found is None:
        return True
    if is_output and list(found[:1]) == [1]:
        found = [None, *found[1:]]
    return len(declared) == len(found) and all(
        not isinstance(given, int) or given <= 0 or given == size
        for size, given in zip(declared, found, strict=True)
    )
