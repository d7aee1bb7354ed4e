"""The AWS account that a stack's resources are made in, and after what."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.cluster.account_settings import AccountSettings
from components.cluster.iam.arns import Arns


@dataclass(frozen=True)
class Place:
    """The account and cluster of new parts."""

    arns: Arns
    provider: aws.Provider

    def after(self, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
        """Options of a part that is made after these, and deleted before them."""
        return pulumi.ResourceOptions(
            providers=[self.provider], depends_on=list(resources)
        )


def provider(account: AccountSettings, stack: str) -> aws.Provider:
    """The one provider of all resources; it refuses credentials of other accounts."""
    return aws.Provider(
        "aws",
        region=account.region,
        allowed_account_ids=[account.id],
        default_tags={"tags": {"slipway.dev/stack": stack, **account.tags}},
    )
