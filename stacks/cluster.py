"""The layer `cluster`: network, EKS, nodes, identity and storage in an AWS account."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.cluster.account_settings import AccountSettings
from components.cluster.arns import Arns
from components.cluster.network import Network
from components.cluster.settings import ClusterSettings
from components.cluster.storage import ModelStorage
from components.settings import parse
from stacks import config


def run() -> None:
    """Declares the stack; the order of deletion follows from what depends on what."""
    source = f"stacks/config/Pulumi.{pulumi.get_stack()}.yaml"
    settings = parse(ClusterSettings, config.read(), source)
    account, cluster = settings.account, pulumi.get_stack().partition(".")[2]
    arns = Arns(account.id, account.region)
    here = pulumi.ResourceOptions(providers=[provider(account)])
    Network("network", settings.network, cluster=cluster, arns=arns, opts=here)
    ModelStorage("storage", settings.storage, cluster=cluster, arns=arns, opts=here)


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
