"""Reads the section `log` of a model.yaml."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from model_server import manifest_keys
from model_server.datatypes import DATATYPES
from model_server.feature_names import feature_names
from model_server.log_policy import LogPolicy
from model_server.tensor import Tensor

ONE_OF = ("keep", "bucket", "hash")
"""A feature stands in at most one of them."""
SHOWN_NAMES = 20


def read_log_policy(
    content: object,
    inputs: Sequence[Tensor],
    features: Sequence[str],
    problems: list[str],
) -> LogPolicy:
    """Return what the log keeps; add what is wrong in the section to the problems."""
    if not isinstance(content, dict):
        problems.append(
            "log: must be a mapping of keep, bucket, hash and protected; without the "
            "section no feature is logged"
        )
        return LogPolicy()
    problems += manifest_keys.unknown("log.", content, manifest_keys.LOG)
    found = {key: _names(key, content.get(key, []), problems) for key in _LISTS}
    widths = _widths(content.get("bucket", {}), problems)
    named = {**found, "bucket": list(widths)}
    problems += _twice(named)
    # Without right inputs and features every name would be reported as unknown.
    if inputs and (not features or _fit(inputs[0], features)):
        problems += _misfits(named, inputs, feature_names(inputs, features))
    return LogPolicy(
        keep=frozenset(found["keep"]),
        bucket=widths,
        hashed=frozenset(found["hash"]),
        protected=frozenset(found["protected"]),
    )


_LISTS = ("keep", "hash", "protected")


def _names(key: str, value: object, problems: list[str]) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        problems.append(
            f"log.{key}: {value!r} must be a list of names of features (in quotes if "
            "they are numbers)"
        )
        return []
    return value


def _widths(value: object, problems: list[str]) -> dict[str, float]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        problems.append(
            f"log.bucket: {value!r} must be a mapping of features' names to the widths "
            "of their buckets"
        )
        return {}
    for name, width in value.items():
        is_number = isinstance(width, int | float) and not isinstance(width, bool)
        if not is_number or not 0 < width < math.inf:
            problems.append(
                f"log.bucket.{name}: the width {width!r} must be a number above 0"
            )
    return value


def _twice(named: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a problem for each name that is listed twice and may be listed once."""
    found = [
        f"log.{key}: {name!r} is listed twice; remove one"
        for key, names in named.items()
        for name, count in Counter(names).items()
        if count > 1
    ]
    of_name: dict[str, list[str]] = {}
    for key in ONE_OF:
        for name in dict.fromkeys(named[key]):
            of_name.setdefault(name, []).append(key)
    found += [
        f"log.{keys[1]}: {name!r} stands in log.{keys[0]} too; leave it in one"
        for name, keys in of_name.items()
        if len(keys) > 1
    ]
    return found


def _misfits(
    named: Mapping[str, Sequence[str]],
    inputs: Sequence[Tensor],
    names: Sequence[Sequence[str]],
) -> list[str]:
    """Return a problem for each name that is not a feature of the required kind."""
    owners: dict[str, list[Tensor]] = {}
    for tensor, columns in zip(inputs, names, strict=True):
        for column in columns:
            owners.setdefault(column, []).append(tensor)
    found = []
    for key, wanted in named.items():
        for name in dict.fromkeys(wanted):
            tensors = owners.get(name, [])
            if not tensors:
                problem = f"is not a feature of the model; {_meant(name, owners)}"
            elif len(tensors) > 1:
                both = " and ".join(tensor.name for tensor in tensors)
                problem = (
                    f"is a feature of the inputs {both}; give it another name in "
                    "features"
                )
            else:
                problem = _unfit(key, tensors[0])
            if problem:
                found.append(f"log.{key}: {name!r} {problem}")
    return found


def _unfit(key: str, tensor: Tensor) -> str:
    """Return why an action does not suit a feature of the input; empty if it does."""
    if key == "bucket" and not _is_numeric(tensor):
        return (
            f"is {tensor.datatype}, which has no buckets; only numbers have: keep or "
            "hash it, or remove it"
        )
    if key == "protected" and tensor.is_free:
        return (
            "has free dimensions and so a list of values; a protected attribute is "
            "one value a row: remove it"
        )
    return ""


def _is_numeric(tensor: Tensor) -> bool:
    return not DATATYPES[tensor.datatype].python_types & {bool, str}


def _meant(name: str, known: Iterable[str]) -> str:
    names = list(known)
    if meant := difflib.get_close_matches(name, names, 1):
        return f"did you mean {meant[0]!r}?"
    shown = ", ".join(names[:SHOWN_NAMES])
    return f"it has {shown}{' ...' if len(names) > SHOWN_NAMES else ''}"


def _fit(tensor: Tensor, features: Sequence[str]) -> bool:
    """Tell whether `features` names the columns of the first input."""
    return not tensor.is_free and len(features) == tensor.width
