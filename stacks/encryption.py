"""Settings of a stack file that must, or must not, be encrypted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from components.setting_secrets import (
    NOT_SHOWN,
    Encrypted,
    Leaf,
    has_encrypted,
    holds_secrets,
    leaves,
)
from components.settings import Problem
from stacks.others import OURS


def problems(
    model: type[BaseModel], ours: Mapping[str, Any], marked: Collection[str]
) -> Iterator[Problem]:
    """Secrets in plain text, and settings that nobody can read.

    `ours`: values by field. `marked`: fields with an encrypted value in them. Of those
    that the engine has decrypted no more is known than that.
    """
    for name, field in model.model_fields.items():
        value = ours.get(name)
        decrypted = name in marked and not has_encrypted(value)
        if decrypted and not holds_secrets(field.annotation):
            yield _unreadable((name,))
    for leaf in leaves(model, ours):
        field_name = leaf.path[0]
        decrypted = field_name in marked and not has_encrypted(ours[field_name])
        if isinstance(leaf.value, Encrypted):
            if leaf.known and not leaf.may_be_encrypted:
                yield _unreadable(leaf.path)
        elif leaf.must_be_encrypted and not decrypted:
            yield _in_plain_text(leaf)


def hidden(problem: Problem, decrypted: Collection[str]) -> Problem:
    """The problem without its value, where the engine has decrypted the field."""
    if {problem.path, problem.path.partition(".")[0]} & set(decrypted):
        return replace(problem, value=NOT_SHOWN)
    return problem


def _unreadable(path: tuple[str, ...]) -> Problem:
    return Problem(
        path=".".join(path),
        value=NOT_SHOWN,
        reason="it is encrypted, but only values of secret settings may be: commands "
        "that run without the engine could not read it",
        fix=f"give it in plain text: pulumi config set --path '{_property(path)}'",
    )


def _in_plain_text(leaf: Leaf) -> Problem:
    return Problem(
        path=".".join(leaf.path),
        value=NOT_SHOWN,
        reason="the file has it in plain text, readable by everyone who can read the "
        "repository",
        fix=f"pulumi config set --secret --path '{_property(leaf.path)}', and rotate "
        "the exposed value",
    )


def _property(path: tuple[str, ...]) -> str:
    """The path as `pulumi config set --path` takes it."""
    first, *rest = path
    parts = [f'["{p}"]' if set(p) & set('."[]') else f".{p}" for p in rest]
    return f"{OURS}:{first}{''.join(parts)}"
