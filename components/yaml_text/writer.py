"""Writes YAML that every reader interprets in the same way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from types import NoneType
from typing import Any

import yaml
from yaml import events
from yaml.nodes import ScalarNode

from components.yaml_text.scalars import is_text_to_all

# libyaml's dumper where PyYAML has it: large custom resource definitions take seconds.
_Base: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_WIDE = 2**20
"""Lines are not folded: readers differ in what they make of the folds."""
_TAG = "tag:yaml.org,2002:"
_RESOLVER: Any = yaml.resolver.Resolver()
"""PyYAML's own view of what an unquoted word is."""
_BLOCK = re.compile(r"(?! )[\t\x20-\x7e]*[!-~](\n|\n[\t\x20-\x7e]*[!-~])*\n?")
"""Texts that a block shows as they are: no spaces at the ends, nothing unprintable."""


class _Dumper(_Base):  # type: ignore[misc, valid-type]
    """Writes repeated parts in full: anchors named id001 help nobody."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


class _OtherTypeError(Exception):
    """The content has values of other types than JSON's."""


def _text(dumper: yaml.SafeDumper, value: str) -> ScalarNode:
    return dumper.represent_scalar(f"{_TAG}str", value, style=_style(value))


@lru_cache(2**12)  # keys, kinds and names of images are the same in most objects
def _style(value: str) -> str | None:
    if "\n" in value:
        return "|" if _BLOCK.fullmatch(value) else '"'
    plain = _RESOLVER.resolve(ScalarNode, value, (True, False)) == f"{_TAG}str"
    return None if plain and is_text_to_all(value) else "'"


def _moment(dumper: yaml.SafeDumper, value: datetime) -> ScalarNode:
    # PyYAML's own form with a space and an offset is text to Go.
    return dumper.represent_scalar(f"{_TAG}timestamp", value.isoformat())


_Dumper.add_representer(str, _text)
_Dumper.add_representer(datetime, _moment)


def written(content: Any, *, sort_keys: bool = False) -> str:
    """The content as one document of YAML, by default with the keys in their order.

    What is text here is text to YAML 1.1 and 1.2, to Go's yaml.v3 (Pulumi) and to
    Kubernetes: account ids with leading zeros, `81111e1`, `y`, `12:30`.
    """
    try:
        return str(yaml.emit(_document(content, sort_keys), Dumper=_Base, width=_WIDE))
    except _OtherTypeError:
        return of_any_type(content, sort_keys=sort_keys)


def of_any_type(content: Any, *, sort_keys: bool = False) -> str:
    """The same text by PyYAML's representers: more types, and twice the time."""
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=sort_keys, width=_WIDE))


def _document(content: Any, sort_keys: bool) -> Iterator[yaml.Event]:
    yield events.StreamStartEvent()
    yield events.DocumentStartEvent(explicit=False)
    yield from _json(content, sort_keys)
    yield events.DocumentEndEvent(explicit=False)
    yield events.StreamEndEvent()


def _json(value: Any, sort_keys: bool) -> Iterator[yaml.Event]:
    kind = type(value)
    if kind is str:
        yield events.ScalarEvent(None, None, (True, True), value, style=_style(value))
    elif kind is dict:
        yield events.MappingStartEvent(None, None, True, flow_style=False)
        for key in sorted(value) if sort_keys else value:
            if type(key) is not str:
                raise _OtherTypeError
            yield from _json(key, sort_keys)
            yield from _json(value[key], sort_keys)
        yield events.MappingEndEvent()
    elif kind is list:
        yield events.SequenceStartEvent(None, None, True, flow_style=False)
        for item in value:
            yield from _json(item, sort_keys)
        yield events.SequenceEndEvent()
    elif kind in (bool, int, NoneType):
        word = json.dumps(value)
        yield events.ScalarEvent(None, None, (True, False), word)
    else:
        raise _OtherTypeError
