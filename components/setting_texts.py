"""The text under each field of settings, read from the source where it is asked for.

Pydantic's `use_attribute_docstrings` reads it when a class is made: more than half of
the CPU time of importing all settings, in every command and every renderer.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@cache
def of(model: type[BaseModel]) -> dict[str, str]:
    """Texts by the field's name in Python; a class that redefines a field has its own.

    A field without a text, or whose class has no source, is left out.
    """
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if issubclass(one, BaseModel) and one is not BaseModel:
            found |= dict(_written(one))
    return {name: text for name, text in found.items() if name in model.model_fields}


def of_field(model: type[BaseModel], field: FieldInfo) -> str:
    """The text of one of the class's fields, or nothing."""
    names = (name for name, it in model.model_fields.items() if it is field)
    return of(model).get(next(names, ""), "")


def described(model: type[BaseModel], properties: dict[str, Any]) -> None:
    """Adds the texts to the properties of the class's JSON Schema."""
    for name, text in of(model).items():
        shown = model.model_fields[name].alias or name
        if shown in properties:
            properties[shown]["description"] = text


def _written(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    try:
        source = textwrap.dedent(inspect.getsource(model))
    except (OSError, TypeError):  # made where there is no file, as in a console
        return
    (made,) = ast.parse(source).body
    assert isinstance(made, ast.ClassDef)
    for before, after in pairwise(made.body):
        match before, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
