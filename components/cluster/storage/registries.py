"""Image repositories whose tags never change."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pulumi_aws as aws

from components.cluster.iam.tags import tags
from components.cluster.storage.storage_settings import StorageSettings


def lifecycle(settings: StorageSettings) -> dict[str, Any]:
    """ECR's rules: images without a tag go soon, of those with one the newest stay.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
    """
    return {
        "rules": [
            {
                "rulePriority": 1,
                "description": "Images that no tag names",
                "selection": {
                    "tagStatus": "untagged",
                    "countType": "sinceImagePushed",
                    "countUnit": "days",
                    "countNumber": settings.untagged_image_days,
                },
                "action": {"type": "expire"},
            },
            {
                "rulePriority": 2,
                "description": "All but the newest",
                "selection": {
                    "tagStatus": "tagged",
                    "tagPatternList": ["*"],
                    "countType": "imageCountMoreThan",
                    "countNumber": settings.keep_images,
                },
                "action": {"type": "expire"},
            },
        ]
    }


class Registries(pulumi.ComponentResource):
    """The image repositories.

    Creates for each name:

    - the repository: immutable tags, scan on push, encrypted by the KMS key; protected
      if asked;
    - its lifecycle policy.
    """

    def __init__(
        self,
        name: str,
        settings: StorageSettings,
        *,
        cluster: str,
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:cluster:Registries", name, None, opts)
        self.urls: dict[str, pulumi.Output[str]] = {}
        """Address of each repository by its name, without a tag."""
        for repository in settings.repositories:
            made = aws.ecr.Repository(
                f"{name}-{repository}",
                name=f"{cluster}/{repository}",
                image_tag_mutability="IMMUTABLE",
                image_scanning_configuration={"scan_on_push": True},
                encryption_configurations=[
                    {"encryption_type": "KMS", "kms_key": key_arn}
                ],
                force_delete=not settings.protect,
                tags=tags(cluster, f"{cluster}/{repository}"),
                opts=pulumi.ResourceOptions(parent=self, protect=settings.protect),
            )
            aws.ecr.LifecyclePolicy(
                f"{name}-{repository}",
                repository=made.name,
                policy=json.dumps(lifecycle(settings), separators=(",", ":")),
                opts=pulumi.ResourceOptions(parent=made),
            )
            self.urls[repository] = made.repository_url
        self.register_outputs({"urls": self.urls})
