"""EMR Serverless: one application, its log bucket, and a role for each job."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from components.cluster.iam import names, policies
from components.cluster.iam.arns import Arns
from components.cluster.iam.tags import tags
from components.cluster.storage import storage_names
from components.cluster.storage.bucket import BucketArgs, SecureBucket
from components.cluster.storage.encryption_key import EncryptionKey
from components.training import emr_policies
from components.training.emr_fields import EmrWorker, MaximumCapacity, WarmWorkers
from components.training.emr_settings import EmrArgs, EmrJobArgs

ARCHITECTURES = {"arm64": "ARM64", "x86_64": "X86_64"}
NONCURRENT_DAYS = 7
"""Days for which replaced and deleted logs are kept."""


class EmrServerless(pulumi.ComponentResource):
    """An application of EMR Serverless for Spark.

    Creates:

    - a KMS key, and the bucket `<name>-emr-logs-<account>-<region>` that it encrypts,
      whose logs go after days;
    - the application, which starts with a run, stops when idle, and writes its logs
      into this bucket alone: AWS keeps no copy;
    - for each job the role `<name>-emr-<job>`, which EMR Serverless may take for this
      application, with rights to the job's program, prefixes and logs.

    Runs are not resources: `slipway run` starts them (slipway/jobs/emr_runs.py).
    """

    def __init__(
        self,
        name: str,
        args: EmrArgs,
        *,
        arns: Arns,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:training:EmrServerless", name, None, opts)
        self._name, self._args, self._arns = name, args, arns
        self._whose = f"{args.name}-emr"
        child = pulumi.ResourceOptions(parent=self)
        key = EncryptionKey(
            f"{name}-logs",
            alias=storage_names.emr_log_key_alias(args.name),
            purpose="logs of EMR Serverless",
            policy=policies.key(arns),
            cluster=self._whose,
            protect=args.logs.protect,
            opts=child,
        )
        logs = SecureBucket(
            f"{name}-logs",
            BucketArgs(
                bucket=storage_names.emr_log_bucket(args.name, arns),
                cluster=self._whose,
                arns=arns,
                noncurrent_days=NONCURRENT_DAYS,
                expire_days=args.logs.retention_days,
                protect=args.logs.protect,
            ),
            key_arn=key.arn,
            # The key's alias first: by it the jobs' roles may use the key.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[key]),
        )
        application = self._application(logs, key.arn)
        for job, settings in args.jobs.items():
            self._role(job, settings, application)
        self.arn: pulumi.Output[str] = application.arn
        self.register_outputs({"arn": self.arn, "logBucket": logs.name})

    def _application(
        self, logs: SecureBucket, key_arn: pulumi.Input[str]
    ) -> aws.emrserverless.Application:
        args = self._args
        return aws.emrserverless.Application(
            self._name,
            name=args.name,
            type="spark",
            release_label=args.release,
            architecture=ARCHITECTURES[args.architecture],
            image_configuration={"image_uri": args.image} if args.image else None,
            initial_capacities=self._initial(),
            maximum_capacity=_size(args.maximum_capacity),
            auto_start_configuration={"enabled": True},
            auto_stop_configuration={
                "enabled": True,
                "idle_timeout_minutes": args.idle_minutes,
            },
            network_configuration={
                "subnet_ids": list(args.network.subnets),
                "security_group_ids": list(args.network.security_groups),
            }
            if args.network
            else None,
            monitoring_configuration={
                "managed_persistence_monitoring_configuration": {"enabled": False},
                "s3_monitoring_configuration": {
                    "log_uri": f"s3://{logs.name}/",
                    "encryption_key_arn": key_arn,
                },
            },
            tags=tags(self._whose, args.name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs]),
        )

    def _initial(self) -> list[Any] | None:
        initial = self._args.initial_capacity
        if not initial:
            return None
        kinds = {"Driver": initial.drivers, "Executor": initial.executors}
        return [_warm(kind, workers) for kind, workers in kinds.items() if workers]

    def _role(
        self, job: str, settings: EmrJobArgs, application: aws.emrserverless.Application
    ) -> None:
        arns, name = self._arns, names.emr_role(self._args.name, job)
        trust = application.arn.apply(lambda arn: emr_policies.trust(arns, arn).json())
        role = aws.iam.Role(
            f"{self._name}-{job}",
            name=name,
            description=f"Job {job} of the EMR Serverless application "
            f"{self._args.name}",
            assume_role_policy=trust,
            tags=tags(self._whose, name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.iam.RolePolicy(
            f"{self._name}-{job}-rights",
            name="rights",
            role=role.name,
            policy=emr_policies.rights(arns, self._args, settings).json(),
            opts=pulumi.ResourceOptions(parent=role),
        )


def _size(of: EmrWorker | MaximumCapacity) -> dict[str, str]:
    """Of workers or a limit, as the API wants it."""
    found = {"cpu": f"{of.vcpus} vCPU", "memory": f"{of.memory_gib} GB"}
    return found | ({"disk": f"{of.disk_gib} GB"} if of.disk_gib else {})


def _warm(kind: str, workers: WarmWorkers) -> dict[str, Any]:
    return {
        "initial_capacity_type": kind,
        "initial_capacity_config": {
            "worker_count": workers.instances,
            "worker_configuration": _size(workers),
        },
    }
