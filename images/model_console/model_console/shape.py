"""Plain values of another program's JSON as typed dataclasses.

Fields that are not known are left out, since programs may be of different versions. A
value of another type, or a missing one without a default, is a FormError, and so is a
number that cannot be calculated with. Texts are made such that a page can hold them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
LARGEST, SMALLEST = 1e100, 1e-100
"""Beyond the largest, sums overflow; nearer to 0 than the smallest is 0."""
LARGEST_WHOLE = 2**53
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that no HTML page may have."""


class FormError(Exception):
    """An answer that is not of the form that this program knows; names the place."""


def read(kind: type[T], raw: object, path: str = "answer") -> T:
    """Return `raw` as a `kind`: a dataclass, tuple, map or scalar, nested as it is."""
    found: T = _read(kind, raw, path)
    return found


def _read(kind: Any, raw: object, path: str) -> Any:
    if isinstance(kind, UnionType):
        if raw is None:
            return None
        (kind,) = [it for it in get_args(kind) if it is not NoneType]
    if dataclasses.is_dataclass(kind):
        return _object(kind, _a(dict, raw, path), path)
    if get_origin(kind) is tuple:
        each = get_args(kind)[0]
        values = enumerate(_a(list, raw, path))
        return tuple(_read(each, it, f"{path}[{n}]") for n, it in values)
    if get_origin(kind) is Mapping:
        each = get_args(kind)[1]
        entries = _a(dict, raw, path).items()
        return {clean(key): _read(each, it, f"{path}.{key}") for key, it in entries}
    return _scalar(kind, raw, path)


def _object(kind: Any, raw: dict[str, Any], path: str) -> Any:
    given = {}
    hints = _hints(kind)
    for field in dataclasses.fields(kind):
        if field.name in raw:
            here = f"{path}.{field.name}"
            given[field.name] = _read(hints[field.name], raw[field.name], here)
        elif field.default is dataclasses.MISSING:
            raise FormError(f"{path}.{field.name} is missing")
    return kind(**given)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _scalar(kind: Any, raw: object, path: str) -> Any:
    if kind is object:
        return raw
    if kind is float:
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise FormError(f"{path} is not a number")
        if not abs(raw) <= LARGEST:  # NaN neither
            raise FormError(f"{path} is too large a number")
        return 0.0 if abs(raw) < SMALLEST else float(raw)
    found = _a(kind, raw, path)
    if kind is int and abs(found) > LARGEST_WHOLE:
        raise FormError(f"{path} is too large a number")
    return clean(found) if kind is str else found


def clean(text: str) -> str:
    """Return the text with a mark for each character that no page may have."""
    return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)


def _a(kind: Any, raw: object, path: str) -> Any:
    if type(raw) is not kind:
        raise FormError(f"{path} is not of type {kind.__name__}")
    return raw
