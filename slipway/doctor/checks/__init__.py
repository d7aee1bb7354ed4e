"""The doctor's checks, one module each, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from slipway.account import Account
from slipway.doctor.checks import (
    cidrs,
    credentials,
    images,
    network_quotas,
    offerings,
    permissions,
    reservations,
    subnets,
    vcpu_quotas,
    versions,
)
from slipway.doctor.findings import Finding
from slipway.doctor.plan import Plan

Check = Callable[[Plan, Account], Iterator[Finding]]

FIRST = credentials.NAME
"""Checks without which no other runs."""
CHECKS: Mapping[str, Check] = {
    credentials.NAME: credentials.check,
    permissions.NAME: permissions.check,
    vcpu_quotas.NAME: vcpu_quotas.check,
    network_quotas.NAME: network_quotas.check,
    offerings.NAME: offerings.check,
    reservations.NAME: reservations.check,
    images.NAME: images.check,
    versions.NAME: versions.check,
    cidrs.NAME: cidrs.check,
    subnets.NAME: subnets.check,
}
"""Checks by name, which their findings also have."""
