"""Settings of the layer `cluster`: one stack file, parsed once."""

from __future__ import annotations

from components.cluster.account_settings import AccountSettings
from components.settings import Settings


class ClusterSettings(Settings):
    """All settings of a stack cluster.<environment>."""

    account: AccountSettings
    """Which AWS account and region."""
