"""Kubernetes' quantities as numbers.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import math

_SUFFIXES: dict[str, int] = {
    **{f"{s}i": 2 ** (10 * n) for n, s in enumerate("KMGTPE", start=1)},
    **{s: 10 ** (3 * n) for n, s in enumerate("kMGTPE", start=1)},
}
MIB = 2**20


def cpus(quantity: str) -> float:
    """Cores: `500m` is 0.5."""
    if quantity.endswith("m"):
        return int(quantity[:-1]) / 1000
    return float(quantity)


def mebibytes(quantity: str) -> int:
    """MiB, rounded up: `1Gi` is 1024."""
    for suffix, factor in _SUFFIXES.items():
        if quantity.endswith(suffix):
            return math.ceil(float(quantity.removesuffix(suffix)) * factor / MIB)
    return math.ceil(float(quantity) / MIB)
