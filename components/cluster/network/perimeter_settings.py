"""Settings of what may pass a VPC's endpoints."""

from __future__ import annotations

from components.cluster.account_settings import AccountId
from components.settings import Settings


class DataPerimeter(Settings):
    """Policies of the endpoints: own principals and own buckets only.

    Off by default: a pod that reads a public data set, or a bucket of a partner, would
    be refused.
    """

    accounts: tuple[AccountId, ...] = ()
    """Other accounts whose buckets may be used, each in quotes: those with models or
    training data."""
