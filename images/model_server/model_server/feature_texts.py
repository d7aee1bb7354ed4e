"""Logged features, as members of JSON objects: prepared once per model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import orjson

from model_server.buffers import Buffer, join, values
from model_server.datatypes import DATATYPES
from model_server.feature_codes import Bucket, Hash
from model_server.manifest import Manifest
from model_server.outputs import Array, rows_as_text
from model_server.tensor import Tensor


class FeatureTexts(Protocol):
    """Makes the text of some features of one input."""

    @property
    def position(self) -> int:
        """The input's place in the manifest."""

    def texts(self, buffers: Sequence[Buffer]) -> list[bytes]:
        """Return members of an object for each row; `buffers` has some rows each."""


def logged_features(manifest: Manifest, hash_key: bytes) -> list[FeatureTexts]:
    """Return what makes the texts of the features that the policy has logged."""
    policy = manifest.log
    found: list[FeatureTexts] = []
    for position, names in enumerate(manifest.feature_names):
        tensor = manifest.inputs[position]
        found += _kept(tensor, position, names, policy.keep)
        for column, name in enumerate(names):
            if name in policy.bucket:
                read, code = _bucketed(tensor, column, policy.bucket[name])
            elif name in policy.hashed:
                read, code = _hashed(tensor, column, Hash(hash_key))
            else:
                continue
            found.append(_Codes(position, _member(name), read, code))
    return found


def protected_attributes(manifest: Manifest) -> list[FeatureTexts]:
    """Return what makes the texts of the protected attributes."""
    found: list[FeatureTexts] = []
    for position, names in enumerate(manifest.feature_names):
        tensor = manifest.inputs[position]
        found += _kept(tensor, position, names, manifest.log.protected)
    return found


def _kept(
    tensor: Tensor, position: int, names: Sequence[str], wanted: Collection[str]
) -> Iterator[FeatureTexts]:
    """Yield what makes the text of the wanted ones of an input, if there are any."""
    columns = [column for column, name in enumerate(names) if name in wanted]
    if not columns:
        return
    form = b",".join(_member(names[column]) for column in columns)
    if tensor.is_free:
        yield _List(position, tensor, form.removesuffix(b"%b") + b"[%b]")
    elif tensor.is_fixed:
        is_all = len(columns) == tensor.width
        yield _Numbers(position, tensor, form, None if is_all else columns)
    else:
        yield _Texts(position, tensor, form, columns)


def _member(name: str) -> bytes:
    """Return a member of an object that `%` fills with its value."""
    return orjson.dumps(name).replace(b"%", b"%%") + b":%b"


@dataclass(frozen=True)
class _Numbers:
    """Columns of an input whose rows all take the same bytes; None: all of them."""

    position: int
    tensor: Tensor
    form: bytes
    columns: Sequence[int] | None

    def texts(self, buffers: Sequence[Buffer]) -> list[bytes]:
        form = self.form
        rows = _rows(self.tensor, buffers)
        if self.columns is not None:
            rows = rows.take(self.columns, axis=1)
        return [form % tuple(text.split(b",")) for text in rows_as_text(rows)]


@dataclass(frozen=True)
class _Texts:
    """Columns of an input of texts."""

    position: int
    tensor: Tensor
    form: bytes
    columns: Sequence[int]

    def texts(self, buffers: Sequence[Buffer]) -> list[bytes]:
        form, columns = self.form, self.columns
        return [
            form % tuple([orjson.dumps(row[column]) for column in columns])
            for row in _rows(self.tensor, buffers).tolist()
        ]


@dataclass(frozen=True)
class _List:
    """An input with free dimensions: the values of a row are one list."""

    position: int
    tensor: Tensor
    form: bytes

    def texts(self, buffers: Sequence[Buffer]) -> list[bytes]:
        form = self.form
        return [form % text for text in _free_texts(self.tensor, buffers)]


_Read = Callable[[Sequence[Buffer]], list[Any]]
"""Gives what codes are made of, one a row."""
_Code = Callable[[Any], bytes]
"""Makes a code, as JSON."""


@dataclass(frozen=True)
class _Codes:
    """A feature of which a code is logged; equal values of a batch share one."""

    position: int
    form: bytes
    read: _Read
    code: _Code

    def texts(self, buffers: Sequence[Buffer]) -> list[bytes]:
        form, code = self.form, self.code
        found = self.read(buffers)
        members = {value: form % code(value) for value in set(found)}
        return [members[value] for value in found]


def _bucketed(tensor: Tensor, column: int, width: float) -> tuple[_Read, _Code]:
    is_whole = not DATATYPES[tensor.datatype].is_floating and width == int(width)
    bucket = Bucket(width, is_exact=is_whole)
    if tensor.is_free:
        return lambda buffers: _free_values(tensor, buffers), bucket.of_list
    return lambda buffers: _rows(tensor, buffers)[:, column].tolist(), bucket


def _hashed(tensor: Tensor, column: int, code: Hash) -> tuple[_Read, _Code]:
    if tensor.is_free:
        of_list = code.of_numbers if _is_packed(tensor) else code.of_texts
        return lambda buffers: _free_texts(tensor, buffers), of_list
    if not _is_packed(tensor):
        return (
            lambda buffers: [
                text.encode() for text in _rows(tensor, buffers)[:, column].tolist()
            ],
            code.of_text,
        )
    return (
        lambda buffers: rows_as_text(_rows(tensor, buffers)[:, column].copy()),
        code.of_number,
    )


def _is_packed(tensor: Tensor) -> bool:
    return DATATYPES[tensor.datatype].is_packed


def _rows(tensor: Tensor, buffers: Sequence[Buffer]) -> Array:
    """Return the values of a fixed shape, rows by columns."""
    return values(tensor, join(buffers)).reshape(-1, tensor.width)


def _free_rows(tensor: Tensor, buffers: Sequence[Buffer]) -> Iterator[Array]:
    """Yield the values of a free shape, rows by values, of one request each."""
    for buffer in buffers:
        array = values(tensor, buffer)
        yield array.reshape(len(array), -1)


def _free_texts(tensor: Tensor, buffers: Sequence[Buffer]) -> list[bytes]:
    """Return each row's values as JSON with commas between them."""
    return list(chain.from_iterable(map(rows_as_text, _free_rows(tensor, buffers))))


def _free_values(tensor: Tensor, buffers: Sequence[Buffer]) -> list[tuple[float, ...]]:
    return [tuple(row) for rows in _free_rows(tensor, buffers) for row in rows.tolist()]
