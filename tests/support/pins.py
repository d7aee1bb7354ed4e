"""Distributions as requirements files and lock files pin them."""

from __future__ import annotations

import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def pins(text: str) -> dict[str, str]:
    """Versions by canonical name; ValueError if a line pins none."""
    found = {}
    for line in _lines(text):
        requirement = Requirement(_HASH.sub("", line))
        (pin,) = requirement.specifier
        if pin.operator != "==":
            raise ValueError(line)
        found[canonicalize_name(requirement.name)] = pin.version
    return found


def hashes(text: str) -> dict[str, set[str]]:
    """The sha256 of a distribution's files by its canonical name."""
    return {
        canonicalize_name(Requirement(_HASH.sub("", line)).name): {*_HASH.findall(line)}
        for line in _lines(text)
    }


def _lines(text: str) -> list[str]:
    joined = text.replace("\\\n", " ")
    lines = (line.partition("#")[0].strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("-")]
