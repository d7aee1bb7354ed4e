"""Secret values of a configuration, and values that must be secret.

A secret is encrypted in a stack file. The engine decrypts it; a run without the engine
knows only that it exists (`Encrypted`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidatorFunctionWrapHandler, WrapValidator

from components.setting_problems import bare, fields, item, variants

NOT_SHOWN = "(not shown)"
"""Stands for a secret value in an error."""
PLACEHOLDER = "[secret]"
"""Placeholder of a secret in a rendering."""


class Encrypted(SecretStr):
    """A value that only the engine can decrypt: it is there, and nobody knows it."""

    def __init__(self) -> None:
        super().__init__(PLACEHOLDER)


def _kept(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    # Pydantic would make a SecretStr of it, which is text like any other.
    return value if isinstance(value, Encrypted) else handler(value)


def hidden(value: Any) -> Any:
    """Wraps texts, so that no error and no log shows what they say."""
    if isinstance(value, Mapping):
        return {name: hidden(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [hidden(part) for part in value]
    return value if isinstance(value, SecretStr) else SecretStr(str(value))


Secret = Annotated[SecretStr, WrapValidator(_kept)]
"""Text that is not shown and that a stack file has encrypted."""


@dataclass(frozen=True)
class Leaf:
    """A value of a configuration that is neither a mapping nor a list."""

    path: tuple[str, ...]
    value: Any
    kind: Any
    """The type of its setting; None if any value is accepted."""
    known: bool
    """False where there is no such setting."""

    @property
    def may_be_encrypted(self) -> bool:
        return self.kind is SecretStr

    @property
    def must_be_encrypted(self) -> bool:
        """Return whether plain text would show a secret, even an invalid one."""
        return self.value not in (None, "") and holds_secrets(self.kind)


def leaves(model: type[BaseModel], raw: Mapping[str, Any]) -> Iterator[Leaf]:
    """All values of a configuration of `model`, right or wrong ones."""
    yield from _leaves((), dict(raw), model, known=True)


def holds_secrets(kind: Any) -> bool:
    """Return whether a setting of this kind is a secret, or contains one."""
    kind = bare(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return any(holds_secrets(f.annotation) for f in kind.model_fields.values())
    return kind is SecretStr or any(
        holds_secrets(part) for part in get_args(kind) if get_origin(kind) != Literal
    )


def has_encrypted(value: Any) -> bool:
    """Return whether any part of the value is encrypted."""
    if isinstance(value, Mapping):
        return any(has_encrypted(part) for part in value.values())
    if isinstance(value, list):
        return any(has_encrypted(part) for part in value)
    return isinstance(value, Encrypted)


def _leaves(
    path: tuple[str, ...], value: Any, kind: Any, *, known: bool
) -> Iterator[Leaf]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            inner, is_known = _part(kind, value, str(name))
            yield from _leaves(
                (*path, str(name)), part, inner, known=known and is_known
            )
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _leaves((*path, str(index)), part, item(kind), known=known)
    else:
        yield Leaf(path, value, kind, known)


def _part(kind: Any, value: Mapping[str, Any], name: str) -> tuple[Any, bool]:
    """Kind of a mapping's part, and whether there is such a setting."""
    kind = _variant(kind, value)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = fields(kind).get(name)
        return (bare(field.annotation), True) if field else (None, False)
    if get_origin(kind) is dict:
        return item(kind), True
    return None, kind in (None, Any)


def _variant(kind: Any, value: Mapping[str, Any]) -> Any:
    """Return the class that the mapping selects."""
    for tag, choice in variants(kind).items():
        for name, field in choice.model_fields.items():
            is_tag = get_origin(field.annotation) is Literal
            if is_tag and value.get(name) == tag:
                return choice
    return kind
