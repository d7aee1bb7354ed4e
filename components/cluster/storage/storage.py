"""Storage of a cluster's models, prediction logs and images."""

from __future__ import annotations

import pulumi

from components.cluster.iam import policies
from components.cluster.iam.arns import Arns
from components.cluster.iam.policy_document import (
    Principal,
    Statement,
    arn_equals,
    equals,
)
from components.cluster.storage import storage_names
from components.cluster.storage.bucket import BucketArgs, SecureBucket
from components.cluster.storage.encryption_key import EncryptionKey
from components.cluster.storage.registries import Registries
from components.cluster.storage.storage_settings import StorageSettings

ACCESS_LOG_NONCURRENT_DAYS = 1
"""S3 writes each of its logs once; versions would only be kept for nothing."""


class ModelStorage(pulumi.ComponentResource):
    """Buckets, image repositories, and the keys that encrypt them.

    Creates:

    - a KMS key for models and prediction logs, alias `<cluster>-data`;
    - the bucket `<cluster>-access-<account>-<region>` with S3's record of who read and
      wrote the others;
    - the bucket `<cluster>-models-<account>-<region>`;
    - the bucket `<cluster>-predictions-<account>-<region>`, whose records are deleted
      after their retention;
    - if there are repositories: a KMS key, alias `<cluster>-images`, and Registries.

    All of it is protected unless the settings say otherwise.
    """

    def __init__(
        self,
        name: str,
        settings: StorageSettings,
        *,
        cluster: str,
        arns: Arns,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:cluster:ModelStorage", name, None, opts)
        self._prefix, self._settings = name, settings
        self._cluster, self._arns = cluster, arns
        key = EncryptionKey(
            f"{name}-data",
            alias=storage_names.data_key_alias(cluster),
            purpose="models and prediction logs",
            policy=policies.key(arns),
            cluster=cluster,
            protect=settings.protect,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.key_arn: pulumi.Output[str] = key.arn
        """Key of both buckets."""
        self._key = key
        self._access_log = self._access_log_bucket()
        self.model_bucket = self._bucket(
            storage_names.MODELS, noncurrent_days=settings.models.noncurrent_days
        )
        """`name` and `arn` of the models' bucket."""
        self.log_bucket = self._bucket(
            storage_names.PREDICTIONS,
            noncurrent_days=settings.prediction_log.noncurrent_days,
            expire_days=settings.prediction_log.retention_days,
            infrequent_after_days=settings.prediction_log.infrequent_after_days,
        )
        """`name` and `arn` of the prediction logs' bucket."""
        self.repositories: dict[str, pulumi.Output[str]] = {}
        """Address of each image repository by its name."""
        if settings.repositories:
            self.repositories = self._registries().urls
        self.register_outputs(
            {
                "modelBucket": self.model_bucket.name,
                "logBucket": self.log_bucket.name,
                "repositories": self.repositories,
            }
        )

    def _bucket(
        self,
        purpose: str,
        *,
        noncurrent_days: int,
        expire_days: int | None = None,
        infrequent_after_days: int | None = None,
    ) -> SecureBucket:
        return SecureBucket(
            f"{self._prefix}-{purpose}",
            BucketArgs(
                bucket=storage_names.bucket(self._cluster, purpose, self._arns),
                cluster=self._cluster,
                arns=self._arns,
                noncurrent_days=noncurrent_days,
                expire_days=expire_days,
                infrequent_after_days=infrequent_after_days,
                protect=self._settings.protect,
            ),
            key_arn=self._key.arn,
            access_log=self._access_log,
            # The key's alias first: by it policies let pods use the key.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._key]),
        )

    def _access_log_bucket(self) -> SecureBucket:
        """S3 writes no access logs into buckets that a KMS key encrypts.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
        """
        bucket = storage_names.bucket(
            self._cluster, storage_names.ACCESS_LOG, self._arns
        )
        logged = (storage_names.MODELS, storage_names.PREDICTIONS)
        sources = [
            self._arns.bucket(storage_names.bucket(self._cluster, one, self._arns))
            for one in logged
        ]
        writes = Statement(
            sid="S3WritesAccessLogs",
            principal=Principal("Service", ("logging.s3.amazonaws.com",)),
            actions=("s3:PutObject",),
            resources=(f"{self._arns.bucket(bucket)}/*",),
            conditions=(
                equals("aws:SourceAccount", self._arns.account),
                arn_equals("aws:SourceArn", *sources),
            ),
        )
        return SecureBucket(
            f"{self._prefix}-{storage_names.ACCESS_LOG}",
            BucketArgs(
                bucket=bucket,
                cluster=self._cluster,
                arns=self._arns,
                noncurrent_days=ACCESS_LOG_NONCURRENT_DAYS,
                expire_days=self._settings.access_log_days,
                encrypted=False,
                statements=(writes,),
                protect=self._settings.protect,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _registries(self) -> Registries:
        key = EncryptionKey(
            f"{self._prefix}-images",
            alias=storage_names.image_key_alias(self._cluster),
            purpose="image repositories",
            policy=policies.key(self._arns),
            cluster=self._cluster,
            protect=self._settings.protect,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return Registries(
            f"{self._prefix}-repositories",
            self._settings,
            cluster=self._cluster,
            key_arn=key.arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
