"""Says in plain words why pydantic refused a value, and what to write instead."""

from __future__ import annotations

import difflib
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from components import setting_texts

Words = tuple[str, str]
"""Reason and fix."""


@dataclass(frozen=True)
class Refused:
    """A refused value: pydantic's error, the class it lies in, and its field."""

    error: ErrorDetails
    owner: type[BaseModel]
    field: FieldInfo | None
    kind: Any = None
    """The annotation of what stands there."""

    @property
    def context(self) -> dict[str, Any]:
        """The bounds and choices that pydantic names."""
        return self.error.get("ctx", {})

    @property
    def meaning(self) -> str:
        """The field's description as one line, or nothing."""
        text = setting_texts.of_field(self.owner, self.field) if self.field else ""
        return " ".join(text.split()).rstrip(".")


def explain(model: type[BaseModel], error: ErrorDetails) -> Words:
    """Reason and fix for one error of pydantic's, met while parsing `model`."""
    location = error["loc"]
    steps = list(_steps(model, location))
    last = steps[-1] if steps else _Step("", model, None, model)
    refused = Refused(error, last.owner, last.field, last.kind)
    return _WORDS.get(error["type"], _other)(refused)


def find(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[type[BaseModel], FieldInfo | None]:
    """The settings class in which the location's last name lies, and its field."""
    steps = list(_steps(model, location))
    return (steps[-1].owner, steps[-1].field) if steps else (model, None)


def names(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The location as the configuration has it.

    Pydantic puts the chosen kind of a discriminated union into it
    (`pools.gpu.elastic.max_gpus`) and says `[key]` of a mapping's names.
    """
    return [s.name for s in _steps(model, location) if s.name != "[key]"]


@dataclass(frozen=True)
class _Step:
    """A name of a location: the class it lies in, its field if it is one, its kind."""

    name: str
    owner: type[BaseModel]
    field: FieldInfo | None
    kind: Any


def _steps(model: type[BaseModel], location: tuple[int | str, ...]) -> Iterator[_Step]:
    owner, field = model, None
    within: Any = model
    for part in location:
        if str(part) in (kinds := variants(within)):
            within = kinds[str(part)]
            continue
        if isinstance(within, type) and issubclass(within, BaseModel):
            owner = within
            field = fields(owner).get(str(part))
            within = bare(field.annotation) if field else None
        else:
            field = None
            within = item(within)
        yield _Step(str(part), owner, field, within)


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields by the names that settings have: `from` is not a name in Python."""
    return {it.alias or name: it for name, it in model.model_fields.items()}


def variants(annotation: Any) -> dict[str, type[BaseModel]]:
    """The classes of a discriminated union by their tag; empty for all else."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return {}
    found = {}
    for kind in get_args(annotation):
        for field in kind.model_fields.values():
            if (
                get_origin(field.annotation) is Literal
                and len(tags := get_args(field.annotation)) == 1
            ):
                found[str(tags[0])] = kind
                break
    return found


def bare(annotation: Any) -> Any:
    """The annotation without `| None` and without metadata.

    A union of several settings classes stays one.
    """
    if get_origin(annotation) in (Union, types.UnionType):
        choices = [a for a in get_args(annotation) if a is not type(None)]
        if len(choices) > 1 and all(map(_is_model, choices)):
            return Union[tuple(choices)]  # noqa: UP007 of a list that is not known here
        return bare(choices[0])
    if hasattr(annotation, "__metadata__"):
        return bare(get_args(annotation)[0])
    return annotation


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def item(annotation: Any) -> Any:
    """Return the type of a mapping's, list's or tuple's items."""
    arguments = [a for a in get_args(annotation) if a is not Ellipsis]
    return bare(arguments[-1]) if arguments else None


def nearest(wrong: str, known: Iterable[str]) -> str | None:
    """The most similar known name."""
    matches = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def range_of(field: FieldInfo | None) -> str:
    """The field's bounds in words: ` from 1 to 64`, ` of at least 1`, or nothing."""
    bounds = {
        name: getattr(rule, name)
        for rule in (field.metadata if field else ())
        for name in ("ge", "gt", "le", "lt")
        if getattr(rule, name, None) is not None
    }
    if set(bounds) == {"ge", "le"}:
        return f" from {bounds['ge']} to {bounds['le']}"
    words = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    said = [f"{words[name]} {limit}" for name, limit in bounds.items()]
    return f" {' and '.join(said)}" if said else ""


def _missing(refused: Refused) -> Words:
    fix = f"set it: {refused.meaning}" if refused.meaning else "set it"
    return "it is required", fix


def _unknown(refused: Refused) -> Words:
    name = str(refused.error["loc"][-1])
    there = fields(refused.owner)
    meant = nearest(name, there)
    known = ", ".join(sorted(there))
    fix = f"did you mean {meant}?" if meant else f"remove it; known here: {known}"
    return "there is no such setting", fix


def _bound(refused: Refused) -> Words:
    context = refused.context
    reasons = {
        "ge": "it is less than {}",
        "gt": "it is not more than {}",
        "le": "it is more than {}",
        "lt": "it is not less than {}",
        "multiple_of": "it is not a multiple of {}",
    }
    key, limit = next((k, v) for k, v in context.items() if k in reasons)
    return reasons[key].format(
        _number(limit)
    ), f"give a number{range_of(refused.field)}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _kind(reason: str, fix: str) -> Callable[[Refused], Words]:
    """The value is of another kind than the setting; `{}` in fix: the range."""

    def say(refused: Refused) -> Words:
        return reason, fix.format(range_of(refused.field))

    return say


def _choice(refused: Refused) -> Words:
    annotation = bare(refused.field.annotation) if refused.field else None
    choices: list[str] = []
    if get_origin(annotation) is Literal:
        choices = [str(choice) for choice in get_args(annotation)]
    listed = ", ".join(choices) or str(refused.context["expected"])
    meant = nearest(str(refused.error["input"]), choices)
    hint = f"did you mean {meant}? " if meant else ""
    return "it is not one of the choices", f"{hint}give one of: {listed}"


def _no_kind(refused: Refused) -> Words:
    """A discriminated union's tag is missing or none of its kinds."""
    context, known = refused.context, list(variants(refused.kind))
    if "tag" not in context:
        return "it is required", f"give one of: {', '.join(known)}"
    meant = nearest(str(context["tag"]), known)
    hint = f"did you mean {meant}? " if meant else ""
    return "it is not one of the choices", f"{hint}give one of: {', '.join(known)}"


def _length(refused: Refused) -> Words:
    context = refused.context
    if "min_length" in context:
        least = context["min_length"]
        return f"it has fewer than {least}", f"give at least {least}"
    most = context["max_length"]
    return f"it has more than {most}", f"give at most {most}"


def _other(refused: Refused) -> Words:
    fix = f"give: {refused.meaning}" if refused.meaning else "see docs/reference"
    return refused.error["msg"], fix


_WHOLE = _kind("it is not a whole number", "give a whole number{}")
_DECIMAL = _kind("it is not a number", "give a number{}")
_MAPPING = _kind("it is not a mapping", "give `name: value` pairs")
_LIST = _kind("it is not a list", "give a list")
_BOOLEAN = _kind("it is neither true nor false", "give true or false")
_STRING = _kind("it is not text", "give text, in quotes if it looks like a number")

_WORDS: dict[str, Callable[[Refused], Words]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _choice,
    "enum": _choice,
    **dict.fromkeys(("union_tag_invalid", "union_tag_not_found"), _no_kind),
    **dict.fromkeys(
        (
            "greater_than",
            "greater_than_equal",
            "less_than",
            "less_than_equal",
            "multiple_of",
        ),
        _bound,
    ),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_parsing_size", "int_from_float"), _WHOLE
    ),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), _DECIMAL),
    **dict.fromkeys(("bool_type", "bool_parsing"), _BOOLEAN),
    **dict.fromkeys(
        ("model_type", "model_attributes_type", "dict_type", "mapping_type"),
        _MAPPING,
    ),
    **dict.fromkeys(("list_type", "tuple_type", "set_type"), _LIST),
    **dict.fromkeys(("string_type", "string_unicode"), _STRING),
    **dict.fromkeys(
        ("too_short", "too_long", "string_too_short", "string_too_long"), _length
    ),
}
