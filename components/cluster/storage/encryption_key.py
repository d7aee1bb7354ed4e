"""A customer-managed KMS key: rotated, with an alias and a key policy."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.cluster.iam.policy_document import PolicyDocument
from components.cluster.iam.tags import tags

RECOVERY_DAYS = 30
"""Days in which a key's deletion can be cancelled; afterwards its data is lost. 30 is
the most that KMS takes."""
UNPROTECTED_RECOVERY_DAYS = 7
"""The least that KMS takes."""


class EncryptionKey(pulumi.ComponentResource):
    """A symmetric key.

    Creates:

    - the key, rotated by AWS each year, deleted only after days in which it can be
      rescued; protected if asked;
    - its alias, by which policies know it before it exists.
    """

    def __init__(
        self,
        name: str,
        *,
        alias: str,
        purpose: str,
        policy: PolicyDocument,
        cluster: str,
        protect: bool = True,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`alias`: with `alias/` in front. `purpose`: what it encrypts, in words."""
        super().__init__("slipway:cluster:EncryptionKey", name, None, opts)
        days = RECOVERY_DAYS if protect else UNPROTECTED_RECOVERY_DAYS
        key = aws.kms.Key(
            name,
            description=f"{cluster}: {purpose}",
            enable_key_rotation=True,
            deletion_window_in_days=days,
            policy=policy.json(),
            tags=tags(cluster, alias.removeprefix("alias/")),
            opts=pulumi.ResourceOptions(parent=self, protect=protect),
        )
        self.alias = aws.kms.Alias(
            name,
            name=alias,
            target_key_id=key.id,
            opts=pulumi.ResourceOptions(parent=key, protect=protect),
        )
        self.arn: pulumi.Output[str] = key.arn
        self.register_outputs({"arn": self.arn})
