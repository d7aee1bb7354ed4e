"""Writes YAML that every reader interprets in the same way."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import yaml
from yaml.nodes import ScalarNode

from components.yaml_text.scalars import is_text_to_all

# libyaml's dumper where PyYAML has it: large custom resource definitions take seconds.
_Base: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_WIDE = 2**20
"""Lines are not folded: readers differ in what they make of the folds."""
_TAG = "tag:yaml.org,2002:"
_BLOCK = re.compile(r"(?! )[\t\x20-\x7e]*[!-~](\n|\n[\t\x20-\x7e]*[!-~])*\n?")
"""Texts that a block shows as they are: no spaces at the ends, nothing unprintable."""


class _Dumper(_Base):  # type: ignore[misc, valid-type]
    """Writes repeated parts in full: anchors named id001 help nobody."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> ScalarNode:
    style = None
    if "\n" in value:
        style = "|" if _BLOCK.fullmatch(value) else '"'
    elif not is_text_to_all(value):
        style = "'"
    return dumper.represent_scalar(f"{_TAG}str", value, style=style)


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
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=sort_keys, width=_WIDE))
