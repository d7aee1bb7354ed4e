"""Pulumi's SDK without the parts for a remote engine, for a monitor in memory.

Written for the SDK 3.259.0. The SDK keeps a task and four futures for each property of
each resource, derives its types anew each time and translates every answer, read or
not: three quarters of the time and most of the memory of a stack of models. What is
changed here is at work within `here` only. Programs that the engine runs have the SDK
as it is. tests/unit/test_quick_sdk.py compares the two, request by request.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import typing
from collections import abc
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pulumi
from pulumi import _types, output
from pulumi.runtime import resource as sdk_resource
from pulumi.runtime import rpc
from pulumi.runtime.proto import source_pb2

_in_memory: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "slipway_in_memory", default=False
)
_SCALARS = frozenset((str, int, float, bool, type(None)))
_TYPES_KEPT = 4096


def here() -> None:
    """Makes the SDK quick for the program of this context."""
    _in_memory.set(True)


class _Later:
    """What an output waits for: an answer that is translated when somebody reads it.

    Is a resolver of the SDK, too: it is called with the value that it has.
    """

    __slots__ = ("_data", "_found", "_resource", "_translate", "_waiting")

    def __init__(self, resource: pulumi.Resource) -> None:
        self._resource = resource
        self._found: tuple[Any, bool, bool, Exception | None] | None = None
        self._translate: Callable[[], None] | None = None
        self._data: Any = None
        self._waiting: asyncio.Future[None] | None = None

    def __call__(
        self,
        value: Any,
        is_known: bool,
        is_secret: bool,
        deps: set[pulumi.Resource] | None = None,
        failed: Exception | None = None,
    ) -> None:
        self._found = value, is_known, is_secret, failed
        if failed is None:
            self._data = deps
        self._wake()

    def answered(self, translate: Callable[[], None]) -> None:
        """`translate` calls this and the resource's other outputs with their values."""
        self._translate = translate
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def __await__(self) -> Generator[Any, None, Any]:
        while self._found is None and self._translate is None:
            if self._waiting is None or self._waiting.done():
                self._waiting = asyncio.get_running_loop().create_future()
            yield from self._waiting
        return self._value()

    def _value(self) -> Any:
        if self._found is None:
            assert self._translate is not None
            self._translate()
            self._translate = None
        assert self._found is not None
        value, is_known, is_secret, failed = self._found
        if failed is not None:
            raise failed
        if not isinstance(self._data, output._OutputData):
            self._data = output._OutputData(
                {*(self._data or ()), self._resource}, value, is_known, is_secret
            )
        return self._data


def _of(data: Any) -> pulumi.Output[Any]:
    """An output of what can be awaited, which the SDK does not follow to its end."""
    found: pulumi.Output[Any] = object.__new__(pulumi.Output)
    found._data = data
    return found


def _known(value: Any) -> pulumi.Output[Any]:
    """An output of a value that no resource has made."""
    done: asyncio.Future[Any] = asyncio.Future()
    done.set_result(output._OutputData(set(), value, True, False))
    return _of(done)


def _from_input(value: Any) -> pulumi.Output[Any]:
    if type(value) in _SCALARS:
        return _known(value)
    found: pulumi.Output[Any] = _SDK["from_input"](value)
    return found


def _contains_unknowns(value: Any) -> bool:
    return type(value) not in _SCALARS and bool(_SDK["contains_unknowns"](value))


def _resource_output(resource: pulumi.Resource) -> tuple[Any, pulumi.Output[Any]]:
    later = _Later(resource)

    def resolve(
        value: Any,
        known: bool,
        secret: bool,
        failed: Exception | None,
    ) -> None:
        later(value, known, secret, None, failed)

    return resolve, _of(later)


def _transfer_properties(
    resource: pulumi.Resource,
    props: Mapping[str, Any],
    custom: bool,
) -> dict[str, _Later]:
    resolvers = {
        name: _Later(resource)
        for name in props
        if name != "urn" and not (name == "id" and custom)
    }
    for name, later in resolvers.items():
        resource.__dict__[name] = _of(later)
    return resolvers


def _resolve_outputs(*args: Any, **options: Any) -> None:
    resolvers: dict[str, _Later] = args[4]
    translate = functools.partial(_SDK["resolve_outputs"], *args, **options)
    for later in resolvers.values():
        later.answered(translate)


def _create_urn(
    name: Any, type_: Any, parent: Any = None, *names: Any, **more: Any
) -> pulumi.Output[str]:
    if names or more or not all(type(one) is str for one in (name, type_, parent)):
        found: pulumi.Output[str] = _SDK["create_urn"](
            name, type_, parent, *names, **more
        )
        return found
    return _known(f"{parent[: parent.rfind('::')]}${type_}::{name}")


class _NotPlainError(Exception):
    """A value contains something that must be awaited, or that only the SDK handles."""


async def _serialize_property(value: Any, *args: Any, **options: Any) -> Any:
    if _in_memory.get() and not options.get("return_protobuf_value"):
        # After deps, the property's name and the resource (SDK 3.259.0).
        translate, typ = (*args[3:5], None, None)[:2]
        named = options.get("input_transformer", translate), options.get("typ", typ)
        with contextlib.suppress(_NotPlainError):
            return _plain(value, named[1], named[0])
    return await _SDK["serialize_property"](value, *args, **options)


def _plain(value: Any, typ: Any, translate: Any) -> Any:
    """As rpc.serialize_property of text, numbers, lists, mappings and arguments.

    `typ` is what the property should be, `translate` what makes its keys' names.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    typ = _types.unwrap_type(typ) if typ else typ
    if typ is Any:
        typ = None
    if kind is list:
        item = rpc._get_list_element_type(typ)
        return [_plain(one, item, translate) for one in value]
    if _types.is_input_type(kind):
        types = _types.input_type_types(kind)
        known = _types.input_type_to_dict(value)
        return {key: _plain(v, types.get(key), translate) for key, v in known.items()}
    if kind is not dict:
        raise _NotPlainError
    return _mapping(value, typ, translate)


def _mapping(value: dict[str, Any], typ: Any, translate: Any) -> Any:
    if typ is None:
        if translate is not None:
            value = {translate(key): one for key, one in value.items()}
        return {key: _plain(one, None, translate) for key, one in value.items()}
    if _types.is_input_type(typ):
        names = _types.input_type_py_to_pulumi_names(typ)
        types = _types.input_type_types(typ)
        named = {names.get(key) or key: v for key, v in value.items()}
        return {key: _plain(v, types.get(key), translate) for key, v in named.items()}
    of = typing.get_args(typ)
    if typing.get_origin(typ) not in (dict, abc.Mapping) or of[:1] != (str,):
        raise _NotPlainError
    # A user's own keys stay as they are.
    return {key: _plain(one, of[1], translate) for key, one in value.items()}


def _kept(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function, which depends on nothing but a type, asked once for each.

    By identity: two unions are equal whatever the order of their members.
    """
    kept: dict[int, tuple[Any, Any]] = {}

    def found(typ: Any) -> Any:
        known = kept.get(id(typ))
        if known is None or known[0] is not typ:
            if len(kept) >= _TYPES_KEPT:
                kept.clear()
            known = kept[id(typ)] = typ, function(typ)
        return known[1]

    return found


def _stack_trace() -> source_pb2.StackTrace:
    """None: the engine shows them in errors, and each looks at every file anew."""
    return source_pb2.StackTrace()


def _put(module: Any, name: str, quick: Callable[..., Any]) -> None:
    """The SDK's function, or ours for programs that run in memory."""
    before = _SDK[name] = getattr(module, name)

    @functools.wraps(before)
    def chosen(*args: Any, **options: Any) -> Any:
        return (quick if _in_memory.get() else before)(*args, **options)

    is_class = isinstance(module, type)
    setattr(module, name, staticmethod(chosen) if is_class else chosen)


_SDK: dict[str, Callable[..., Any]] = {}
_put(sdk_resource, "_get_stack_trace", _stack_trace)
_put(sdk_resource, "resource_output", _resource_output)
_put(sdk_resource, "create_urn", _create_urn)
_put(output, "contains_unknowns", _contains_unknowns)
_put(rpc, "transfer_properties", _transfer_properties)
_put(rpc, "resolve_outputs", _resolve_outputs)
_put(pulumi.Output, "from_input", _from_input)
_SDK["serialize_property"] = rpc.serialize_property
rpc.serialize_property = _serialize_property
for _name in ("unwrap_type", "unwrap_optional_type"):
    setattr(_types, _name, _kept(getattr(_types, _name)))
