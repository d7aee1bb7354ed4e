"""KMS keys and their aliases."""

from __future__ import annotations

import json
from typing import Any

from tests.support.aws.account import Account
from tests.support.aws.convert import given
from tests.support.aws.handler import Change, Handler, Made, NotFoundError, Properties
from tests.support.aws.tagging import pairs, removed


class Key(Handler):
    type = "aws:kms/key:Key"
    optional = frozenset(
        {
            "description",
            "policy",
            "enableKeyRotation",
            "rotationPeriodInDays",
            "deletionWindowInDays",
            "keyUsage",
            "multiRegion",
        }
    )
    updates = frozenset(
        {
            "description",
            "policy",
            "enableKeyRotation",
            "rotationPeriodInDays",
            "deletionWindowInDays",
        }
    )

    def create(self, aws: Account, new: Properties) -> Made:
        kms = aws.client("kms")
        made = kms.create_key(
            Tags=pairs(new["tags"], "TagKey", "TagValue"),
            **given(
                Description=new.get("description"),
                Policy=new.get("policy"),
                KeyUsage=new.get("keyUsage"),
                MultiRegion=new.get("multiRegion"),
            ),
        )["KeyMetadata"]
        self._rotation(aws, made["KeyId"], new)
        return Made(made["KeyId"], {"arn": made["Arn"], "keyId": made["KeyId"]})

    def _rotation(self, aws: Account, key: str, new: Properties) -> None:
        kms = aws.client("kms")
        if new.get("enableKeyRotation"):
            period = given(RotationPeriodInDays=new.get("rotationPeriodInDays"))
            kms.enable_key_rotation(KeyId=key, **period)
        else:
            kms.disable_key_rotation(KeyId=key)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        kms = aws.client("kms")
        if gone := removed(change):
            kms.untag_resource(KeyId=identifier, TagKeys=gone)
        kms.tag_resource(
            KeyId=identifier, Tags=pairs(change.new["tags"], "TagKey", "TagValue")
        )
        if change.of("policy"):
            json.loads(change.new["policy"])
            kms.put_key_policy(
                KeyId=identifier, PolicyName="default", Policy=change.new["policy"]
            )
        if change.of("description"):
            kms.update_key_description(
                KeyId=identifier, Description=change.new.get("description", "")
            )
        if change.of("enableKeyRotation", "rotationPeriodInDays"):
            self._rotation(aws, identifier, change.new)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        found = aws.client("kms").describe_key(KeyId=identifier)["KeyMetadata"]
        if found["KeyState"] == "PendingDeletion":
            raise NotFoundError(identifier)
        return found

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("kms").schedule_key_deletion(
            KeyId=identifier,
            PendingWindowInDays=state.get("deletionWindowInDays", 30),
        )


class Alias(Handler):
    type = "aws:kms/alias:Alias"
    required = frozenset({"name", "targetKeyId"})
    updates = frozenset({"targetKeyId"})
    taggable = False

    def create(self, aws: Account, new: Properties) -> Made:
        aws.client("kms").create_alias(
            AliasName=new["name"], TargetKeyId=new["targetKeyId"]
        )
        return Made(new["name"], {"arn": aws.arn("kms", new["name"])})

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        aws.client("kms").update_alias(
            AliasName=identifier, TargetKeyId=change.new["targetKeyId"]
        )
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        for found in aws.client("kms").list_aliases()["Aliases"]:
            if found["AliasName"] == identifier:
                return found
        raise NotFoundError(identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("kms").delete_alias(AliasName=identifier)
