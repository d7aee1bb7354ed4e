"""The layer `cluster`: network, EKS, nodes, identity and storage in an AWS account."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.cluster.account_settings import AccountSettings
from components.cluster.settings import ClusterSettings
from components.settings import parse
from stacks import config


def run() -> None:
    """Declares the stack; the order of deletion follows from what depends on what."""
    source = f"stacks/config/Pulumi.{pulumi.get_stack()}.yaml"
    settings = parse(ClusterSettings, config.read(), source)
    provider(settings.account)


def provider(account: AccountSettings) -> aws.Provider:
    """The one provider of all resources; it refuses credentials of other accounts."""
    return aws.Provider(
        "aws",
        region=account.region,
        allowed_account_ids=[account.id],
        default_tags={
            "tags": {"slipway.dev/stack": pulumi.get_stack(), **account.tags}
        },
    )
