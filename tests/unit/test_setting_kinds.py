"""One type for each kind of value, in every setting of every layer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from components.setting_types import Decimal, Namespace, Whole
from stacks import layers


@dataclass(frozen=True)
class Place:
    """A part of a setting: the field itself, or what its list or mapping holds."""

    name: str
    annotation: Any
    """With its metadata."""

    @property
    def kind(self) -> Any:
        """Without them."""
        return get_args(self.annotation)[0] if self.is_annotated else self.annotation

    @property
    def is_annotated(self) -> bool:
        return hasattr(self.annotation, "__metadata__")

    @property
    def validators(self) -> set[Any]:
        """Functions that values pass."""
        metadata = getattr(self.annotation, "__metadata__", ())
        return {rule.func for rule in metadata if hasattr(rule, "func")}

    def is_a(self, type_: Any) -> bool:
        """Whether values pass what those of the type pass."""
        wanted = Place("", type_)
        return self.kind is wanted.kind and wanted.validators <= self.validators


def models() -> list[type[BaseModel]]:
    """The settings classes of all layers."""
    found: list[type[BaseModel]] = [layer.settings for layer in layers.TABLE]
    for model in found:
        for place in fields(model):
            kind = place.kind
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found += [kind] if kind not in found else []
    return found


def fields(model: type[BaseModel]) -> Iterator[Place]:
    for name, field in model.model_fields.items():
        whole: Any = field.annotation
        if field.metadata:  # pydantic takes them off the outermost annotation
            whole = Annotated[(whole, *field.metadata)]
        yield from parts(f"{model.__name__}.{name}", whole)


def parts(name: str, annotation: Any) -> Iterator[Place]:
    place = Place(name, annotation)
    yield place
    if get_origin(place.kind) is Literal:
        return
    inner = get_args(place.kind)
    for part in inner:
        if part in (type(None), Ellipsis):
            continue
        # `Annotated[int | None, rule]`: the rule is the number's.
        rules = getattr(annotation, "__metadata__", ())
        is_optional = (
            type(None) in inner and rules and not hasattr(part, "__metadata__")
        )
        yield from parts(name, Annotated[(part, *rules)] if is_optional else part)


PLACES = [place for model in models() for place in fields(model)]


def of_kind(kind: type) -> list[Any]:
    return [pytest.param(p, id=p.name) for p in PLACES if p.kind is kind]


@pytest.mark.parametrize("place", of_kind(int))
def test_every_whole_number_is_of_one_type(place: Place) -> None:
    assert place.is_a(Whole), f"{place.name}: use setting_types.Whole"


@pytest.mark.parametrize("place", of_kind(float))
def test_every_other_number_is_of_one_type(place: Place) -> None:
    assert place.is_a(Decimal), f"{place.name}: use setting_types.Decimal"


NAMESPACES = [
    pytest.param(place, id=place.name)
    for place in PLACES
    if place.kind is str
    and (
        re.search("namespace", place.name.partition(".")[2])
        or "Namespace" in place.name
    )
    and place.name != "NamespaceSettings.pod_security_version"
]


@pytest.mark.parametrize("place", NAMESPACES)
def test_every_name_of_a_namespace_is_of_one_type(place: Place) -> None:
    assert place.is_a(Namespace), f"{place.name}: use setting_types.Namespace"


def test_no_setting_was_missed() -> None:
    """Counts of 2026-11; a walk that finds less looks away."""
    assert len(of_kind(int)) >= 115
    assert len(of_kind(float)) >= 4
    named = {place.id for place in NAMESPACES}
    assert named >= {
        "NamespaceSettings.models",
        "ServingPlatform.namespace",
        "ServingPlatform.gateway_namespace",
        "ServingPlatform.monitoring_namespace",
        "ServingPlatform.dns_namespace",
        "WorkloadIdentity.namespace",
    }


@pytest.mark.parametrize("value", [True, False, "", "many", 2.5, "2.5", None, [2], {}])
def test_no_whole_number(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Whole).validate_python(value)


@pytest.mark.parametrize("value", [0, -1, 2, 2.0, 2**40, "2"])
def test_whole_numbers(value: Any) -> None:
    found = TypeAdapter(Whole).validate_python(value)
    assert (found, type(found)) == (int(value), int)


@pytest.mark.parametrize("name", ["models", "1models", "a", "7", "a-b", "a" * 63])
def test_names_of_namespaces(name: str) -> None:
    """As the API server takes them: RFC 1123 labels."""
    assert TypeAdapter(Namespace).validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a.b", "a_b", "a" * 64, 7, "a\n"]
)
def test_no_names_of_namespaces(name: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Namespace).validate_python(name)
