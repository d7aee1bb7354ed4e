"""A group of a stack's members, declared by a run of its program of its own.

A rendering of many models runs the stack's program once for each group of them
(slipway/rendering/grouped.py): what the SDK keeps until a program ends is then bounded,
and groups may run side by side. Everywhere else a program declares all that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from components.settings import Settings

Model = TypeVar("Model", bound=Settings)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Group:
    """The part of its stack that the running program declares."""

    members: frozenset[str] = frozenset()
    """Names, such as those of models."""
    rest: bool = False
    """Whether it includes the objects that the members share."""
    parsed: dict[type[Settings], Settings] = field(default_factory=dict)
    """Settings that the run of an earlier group has read, by their class."""
    common: dict[str, Any] = field(default_factory=dict)
    """Values of the other members that every member needs, by name, as recorded."""


_running: ContextVar[Group | None] = ContextVar("slipway_group", default=None)


def running() -> Group | None:
    """The group of the running program; None if it declares the whole stack."""
    return _running.get()


def members(names: Collection[str]) -> list[str]:
    """Return the members that the running program declares, in their order."""
    group = running()
    return [name for name in names if group is None or name in group.members]


def rest() -> bool:
    """Return whether the program declares the shared objects of the stack."""
    group = running()
    return group is None or group.rest


def parsed(model: type[Model], read: Callable[[], Model]) -> Model:
    """Settings as `read` gives them: in groups, once for all groups of a stack."""
    group = running()
    if group is None:
        return read()
    found = group.parsed.get(model)
    if not isinstance(found, model):
        found = group.parsed[model] = read()
    return found


def common(name: str, value: Value) -> Value:
    """The value, which every member is given and which depends on the others.

    It is noted: a rendering takes a member for the same as in an earlier rendering if
    its own settings, those of the stack and these values are
    (slipway/rendering/pair.py).
    """
    if (group := running()) is not None:
        group.common[name] = value
    return value


@contextmanager
def only(group: Group | None) -> Iterator[None]:
    """Within it a program declares this group; with None the whole stack."""
    token = _running.set(group)
    try:
        yield
    finally:
        _running.reset(token)
