"""Reads YAML as the engine and Kubernetes do, and refuses keys that stand twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from components.yaml_text.bounds import (
    DEEPEST,
    TOO_DEEP,
    Bounds,
    BoundsError,
    refused,
    text_of,
)
from components.yaml_text.scalars import Dialect, meaning

# libyaml's parser where PyYAML has it: CRDs and charts take seconds without.
_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"
_LONGEST_REASON = 200


class YamlError(ValueError):
    """Text that is not YAML, or has duplicate keys; every place is named."""


class _Loader(_Base):  # type: ignore[misc, valid-type]
    """Bare words mean what they mean to Go's yaml.v3."""

    dialect = Dialect.ENGINE
    depth = 0

    def descend_resolver(self, current_node: Node | None, _: Any) -> None:
        """Count levels: PyYAML's composers call this before they go down one.

        They want to know of resolvers by path, of which there are none.
        """
        if self.depth > DEEPEST and current_node is not None:
            raise refused(current_node, TOO_DEEP)
        self.depth += 1

    def ascend_resolver(self) -> None:
        self.depth -= 1

    def resolve(
        self, kind: type[Node], value: str | None, implicit: tuple[bool, bool] | bool
    ) -> str:
        if kind is not ScalarNode:
            return str(super().resolve(kind, value, implicit))
        if not isinstance(implicit, tuple) or not implicit[0]:
            return f"{_TAG}str"
        if value == _MERGE:
            return f"{_TAG}merge"
        return _tag(meaning(value or "", self.dialect))


class _KubernetesLoader(_Loader):
    dialect = Dialect.KUBERNETES


_KINDS: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "str"}


def _tag(value: Any) -> str:
    if isinstance(value, date):
        return f"{_TAG}timestamp"
    return _TAG + ("null" if value is None else _KINDS[type(value)])


def _scalar(loader: _Loader, node: ScalarNode) -> Any:
    """A scalar by its tag, which the word or its writer has given."""
    found = meaning(node.value, loader.dialect)
    if node.tag == f"{_TAG}float" and isinstance(found, int):
        return float(found)
    if _tag(found) != node.tag:
        name = node.tag.removeprefix(_TAG)
        raise yaml.constructor.ConstructorError(
            None, None, f"{node.value!r} is not a valid {name}", node.start_mark
        )
    return found


for _name in ("bool", "int", "float", "null", "timestamp"):
    _Loader.add_constructor(_TAG + _name, _scalar)
# If `<<` is not a mapping's key, it is an ordinary word.
_Loader.add_constructor(f"{_TAG}merge", _Loader.construct_yaml_str)
for _name in ("binary", "set", "omap", "pairs"):  # Go's readers make text of them
    _Loader.add_constructor(_TAG + _name, _Loader.construct_undefined)


def read(text: str, where: str, dialect: Dialect = Dialect.ENGINE) -> Any:
    """The content of the only document; None if there is none.

    `where` names the text in errors: its file. YamlError if it is not YAML, has several
    documents or a key twice in a mapping, or exceeds the bounds in
    components/yaml_text/bounds.py.
    """
    found = read_all(text, where, dialect)
    if len(found) > 1:
        raise YamlError(f"{where}: it has {len(found)} documents, but one is expected")
    return found[0] if found else None


def read_file(file: Path, where: str) -> Any:
    """The content of a file of the engine's dialect, of a bounded size; else as `read`.

    OSError or ValueError, of which YamlError is one.
    """
    return read(text_of(file), where)


def read_all(text: str, where: str, dialect: Dialect = Dialect.ENGINE) -> list[Any]:
    """The content of every document, else as `read`."""
    kubernetes = dialect is Dialect.KUBERNETES
    loader = (_KubernetesLoader if kubernetes else _Loader)(text)
    has_aliases = "&" in text and "*" in text
    found: list[Any] = []
    try:
        while loader.check_node():
            node = loader.get_node()
            if has_aliases:
                Bounds().check(node)
            if twice := list(_twice(node, (), set())):
                raise YamlError(f"{where}: {'; '.join(twice)}")
            found.append(loader.construct_document(node))
    except yaml.YAMLError as error:
        said = "is refused" if isinstance(error, BoundsError) else "is not YAML"
        raise YamlError(f"{where} {said}: {_reason(error)}") from None
    finally:
        loader.dispose()
    return found


def _twice(node: Node, path: tuple[str, ...], seen: set[int]) -> Iterator[str]:
    """Each duplicate key of a mapping: its path, and both lines."""
    if id(node) in seen:  # an alias: what it stands for is looked at once
        return
    seen.add(id(node))
    if isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield from _twice(item, (*path, str(index)), seen)
    if not isinstance(node, MappingNode):
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        name, line = _key(key), key.start_mark.line + 1
        if name in first:
            place = ".".join((*path, name))
            yield (
                f"{place} appears twice, in lines {first[name]} and {line}: remove "
                "one of them"
            )
        first.setdefault(name, line)
        yield from _twice(value, (*path, name), seen)


def _key(node: Node) -> str:
    """A key's text; 1, 0x1 and "1" are one key where JSON is made of them."""
    if not isinstance(node, ScalarNode):
        return "?"
    if node.tag in (f"{_TAG}int", f"{_TAG}bool"):
        value = meaning(node.value)
        return str(value).lower() if isinstance(value, bool) else str(value)
    return str(node.value)


def _reason(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem is None:
        return str(error)[:_LONGEST_REASON]
    mark = error.problem_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{place}{error.problem}"[:_LONGEST_REASON]
