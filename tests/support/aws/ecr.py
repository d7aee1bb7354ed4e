"""Image repositories and their lifecycle policies."""

from __future__ import annotations

import json
from typing import Any

from tests.support.aws.account import Account
from tests.support.aws.convert import given
from tests.support.aws.handler import Change, Handler, Made, Properties, SettingHandler
from tests.support.aws.rules import refuse_if
from tests.support.aws.tagging import pairs, removed


class Repository(Handler):
    type = "aws:ecr/repository:Repository"
    required = frozenset({"name"})
    optional = frozenset(
        {
            "imageTagMutability",
            "imageScanningConfiguration",
            "encryptionConfigurations",
            "forceDelete",
        }
    )
    updates = frozenset(
        {"imageTagMutability", "imageScanningConfiguration", "forceDelete"}
    )

    def _encryption(self, new: Properties) -> dict[str, str] | None:
        given_ = new.get("encryptionConfigurations")
        if not given_:
            return None
        refuse_if(len(given_) > 1, "one encryption configuration")
        return {
            "encryptionType": given_[0].get("encryptionType", "AES256"),
            **given(kmsKey=given_[0].get("kmsKey")),
        }

    def create(self, aws: Account, new: Properties) -> Made:
        made = aws.client("ecr").create_repository(
            repositoryName=new["name"],
            tags=pairs(new["tags"]),
            **given(
                imageTagMutability=new.get("imageTagMutability"),
                imageScanningConfiguration=new.get("imageScanningConfiguration"),
                encryptionConfiguration=self._encryption(new),
            ),
        )["repository"]
        told = {
            "arn": made["repositoryArn"],
            "registryId": made["registryId"],
            "repositoryUrl": made["repositoryUri"],
        }
        return Made(new["name"], told)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        ecr, arn = aws.client("ecr"), change.state["arn"]
        if gone := removed(change):
            ecr.untag_resource(resourceArn=arn, tagKeys=gone)
        ecr.tag_resource(resourceArn=arn, tags=pairs(change.new["tags"]))
        if change.of("imageTagMutability"):
            ecr.put_image_tag_mutability(
                repositoryName=identifier,
                imageTagMutability=change.new.get("imageTagMutability", "MUTABLE"),
            )
        if change.of("imageScanningConfiguration"):
            ecr.put_image_scanning_configuration(
                repositoryName=identifier,
                imageScanningConfiguration=change.new["imageScanningConfiguration"],
            )
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("ecr").describe_repositories(repositoryNames=[identifier])

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("ecr").delete_repository(
            repositoryName=identifier, force=bool(state.get("forceDelete"))
        )


class LifecyclePolicy(SettingHandler):
    type = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
    required = frozenset({"repository", "policy"})

    def put(self, aws: Account, new: Properties) -> str:
        json.loads(new["policy"])
        aws.client("ecr").put_lifecycle_policy(
            repositoryName=new["repository"], lifecyclePolicyText=new["policy"]
        )
        repository: str = new["repository"]
        return repository

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("ecr").get_lifecycle_policy(repositoryName=identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("ecr").delete_lifecycle_policy(repositoryName=identifier)
