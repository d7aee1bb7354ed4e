"""Reads the tensors of a model.yaml."""

from __future__ import annotations

from typing import Any

from model_server import manifest_keys
from model_server.datatypes import DATATYPES
from model_server.tensor import FREE, LARGEST_SIZE, Tensor


def read_tensors(
    key: str, entries: object, problems: list[str], *, is_input: bool
) -> tuple[Tensor, ...]:
    """Return the tensors of a list; add what is wrong in it to the problems."""
    if not isinstance(entries, list) or not entries:
        problems.append(f"{key}: must be a list of at least one tensor")
        return ()
    tensors = [
        _tensor(f"{key}[{index}]", entry, problems, is_input=is_input)
        for index, entry in enumerate(entries)
    ]
    found = tuple(tensor for tensor in tensors if tensor)
    if len({tensor.name for tensor in found}) < len(found):
        problems.append(f"{key}: a name is given twice")
    return found


def _tensor(
    path: str, entry: object, problems: list[str], *, is_input: bool
) -> Tensor | None:
    if not isinstance(entry, dict):
        problems.append(f"{path}: must have name, datatype and shape")
        return None
    problems += manifest_keys.unknown(f"{path}.", entry, manifest_keys.TENSOR)
    name, datatype, shape = (entry.get(key) for key in ("name", "datatype", "shape"))
    before = len(problems)
    if not isinstance(name, str) or not name:
        problems.append(f"{path}.name: {name!r} must be a string")
    if datatype not in DATATYPES:
        problems.append(
            f"{path}.datatype: {datatype!r} must be one of {', '.join(DATATYPES)}"
        )
    if not isinstance(shape, list) or not _is_shape(shape):
        problems.append(
            f"{path}.shape: {shape!r} must be -1 (the batch) and then sizes that are "
            "whole and at least 1, or -1 where a request may have any"
        )
    if len(problems) > before or not isinstance(shape, list):
        return None
    if not is_input and "max_shape" in entry:
        problems.append(f"{path}.max_shape: is for inputs; an output is as it comes")
    tensor = Tensor(
        str(name),
        str(datatype),
        tuple(shape),
        missing_values=_missing_values(path, entry, problems),
        max_shape=_max_shape(path, shape, entry.get("max_shape"), problems)
        if is_input
        else (),
    )
    return tensor if len(problems) == before else None


def _missing_values(path: str, entry: dict[str, object], problems: list[str]) -> bool:
    value = entry.get("missing_values", False)
    path = f"{path}.missing_values"
    if not isinstance(value, bool):
        problems.append(f"{path}: {value!r} must be true or false")
    elif value and not DATATYPES[str(entry["datatype"])].is_floating:
        floating = ", ".join(name for name, it in DATATYPES.items() if it.is_floating)
        problems.append(
            f"{path}: {entry['datatype']} has no NaN; the datatypes that have it are "
            f"{floating}"
        )
    return value is True


def _max_shape(
    path: str, shape: list[int], value: object, problems: list[str]
) -> tuple[int, ...]:
    """Return the most of each dimension; empty where none is free."""
    path = f"{path}.max_shape"
    if value is None:
        if FREE not in shape[1:]:
            return ()
        return (FREE, *(LARGEST_SIZE if it == FREE else it for it in shape[1:]))
    if (
        not isinstance(value, list)
        or not _is_shape(value)
        or len(value) != len(shape)
        or FREE in value[1:]
    ):
        problems.append(
            f"{path}: {value!r} must be a list like shape, {shape}, with the most of "
            "each dimension after the first"
        )
        return ()
    wrong = [
        axis
        for axis, (size, most) in enumerate(zip(shape, value, strict=True))
        if size not in {FREE, most}
    ]
    if wrong:
        problems.append(f"{path}: {value} differs from shape, {shape}, where it is set")
        return ()
    return tuple(value) if FREE in shape[1:] else ()


def _is_shape(shape: list[Any]) -> bool:
    return (
        len(shape) >= 1
        and all(type(size) is int for size in shape)
        and shape[0] == FREE
        and all(size >= 1 or size == FREE for size in shape[1:])
    )
