"""Kubernetes quantities as numbers, and back for a person.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

Resources = Mapping[str, Decimal]
"""Amounts by resource: cpu in cores, memory in bytes, devices and pods in pieces."""

_SUFFIXES = {
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
}
_BYTES = ("memory", "ephemeral-storage", "storage")


def parse(text: str | float) -> Decimal:
    """The number of a quantity, such as 0.5 of `500m` and 1024 of `1Ki`."""
    words = str(text).strip()
    digits = words.rstrip("".join(_SUFFIXES))
    return Decimal(digits) * _SUFFIXES.get(words[len(digits) :], Decimal(1))


def resources(quantities: Mapping[str, str | int | float] | None) -> dict[str, Decimal]:
    """Each quantity of a resource list as its number."""
    return {name: parse(text) for name, text in (quantities or {}).items()}


def add(first: Resources, second: Resources) -> dict[str, Decimal]:
    """The sum by resource."""
    zero = Decimal(0)
    names = [*first, *(name for name in second if name not in first)]
    return {n: first.get(n, zero) + second.get(n, zero) for n in names}


def largest(first: Resources, second: Resources) -> dict[str, Decimal]:
    """The larger of both by resource."""
    zero = Decimal(0)
    names = [*first, *(name for name in second if name not in first)]
    return {n: max(first.get(n, zero), second.get(n, zero)) for n in names}


def show(name: str, amount: Decimal) -> str:
    """An amount with its resource, such as `8 nvidia.com/gpu` or `2.5 GiB memory`."""
    if name in _BYTES:
        return f"{_short(amount / 2**30)} GiB {name}"
    return f"{_short(amount)} {name}"


def _short(amount: Decimal) -> str:
    return f"{amount:.2f}".rstrip("0").rstrip(".")
