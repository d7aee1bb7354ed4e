"""Durations as Gateway API writes them."""

from __future__ import annotations

import re

_PART = re.compile(r"([0-9]{1,5})(ms|h|m|s)")
_WHOLE = re.compile(r"([0-9]{1,5}(ms|h|m|s)){1,4}")
_FACTORS = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}


def seconds(duration: str) -> float:
    """In seconds: `1m30s` is 90. ValueError if it is not a duration.

    https://gateway-api.sigs.k8s.io/geps/gep-2257/
    """
    if not _WHOLE.fullmatch(duration):
        raise ValueError(f"{duration!r} is not a duration such as 1m30s")
    return sum(int(number) * _FACTORS[unit] for number, unit in _PART.findall(duration))


def envoy(duration: str) -> str:
    """As Envoy reads them: `90s`, with no other unit."""
    return f"{seconds(duration):g}s"
