"""Ranges of IPv4 addresses: the setting's type, and those that overlap."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Annotated

from pydantic import AfterValidator

from components.settings import Problem, refuse

PRIVATE = tuple(
    IPv4Network(range_)
    for range_ in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
"""Private ranges: RFC 1918, and RFC 6598 (carriers' NAT)."""
CARRIER = PRIVATE[3]


def _cidr(text: str) -> str:
    try:
        interface = ipaddress.IPv4Interface(text)
    except ValueError:
        refuse(
            "not a range of IPv4 addresses",
            "give one in CIDR notation, like 10.20.0.0/16",
        )
    if "/" not in text:
        refuse(
            "the prefix length is missing",
            f"give {text}/32 for this address alone",
        )
    if str(interface.network) != text:
        refuse(
            "the address is not the first of the range",
            f"give {interface.network}",
        )
    return text


Cidr = Annotated[str, AfterValidator(_cidr)]
"""A range of IPv4 addresses in CIDR notation, written as AWS writes it."""


@dataclass(frozen=True)
class NamedRange:
    """A range and the setting that says it."""

    path: str
    cidr: str

    @property
    def network(self) -> IPv4Network:
        """The range itself."""
        return IPv4Network(self.cidr)


def is_private(cidr: str) -> bool:
    """Return whether no address of the range is public."""
    return any(IPv4Network(cidr).subnet_of(range_) for range_ in PRIVATE)


def overlap(one: NamedRange, others: Iterable[NamedRange]) -> Iterator[Problem]:
    """Return the first overlap of a range with others."""
    for other in others:
        if one.network.overlaps(other.network):
            yield Problem(
                path=one.path,
                value=one.cidr,
                reason=f"it overlaps {other.path}, which is {other.cidr}: addresses "
                "in both ranges are ambiguous",
                fix=f"give a range outside {other.cidr}",
            )
            return
