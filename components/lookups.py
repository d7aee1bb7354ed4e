"""Whether a program may look at what lies outside of the checkout.

A stack's program reads a Terraform state or another stack's outputs only when the
engine is about to work. `slipway render` needs no file of others, no cluster and no
cloud: there every such value is a placeholder that says what it stands for, and no
name of an object is made from one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_allowed: ContextVar[bool] = ContextVar("slipway_lookups_allowed", default=True)
_unmade: ContextVar[frozenset[str]] = ContextVar(
    "slipway_unmade_stacks", default=frozenset()
)


def allowed() -> bool:
    """False in a rendering."""
    return _allowed.get()


def is_unmade(stack: str) -> bool:
    """True in a preview, for a stack of which there is no state yet."""
    return stack in _unmade.get()


@contextmanager
def none() -> Iterator[None]:
    """Within it nothing is looked up."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


@contextmanager
def unmade(stacks: Collection[str]) -> Iterator[None]:
    """Within it these stacks' outputs are not asked for, but unknown."""
    token = _unmade.set(frozenset(stacks))
    try:
        yield
    finally:
        _unmade.reset(token)
