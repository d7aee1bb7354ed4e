"""One Spark job: all objects that a run needs, and the template of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.security import network, pod_defaults
from components.security.network import Rule
from components.serving.pods.network_policy import allowance
from components.training import (
    gang,
    hdfs_files,
    run_template,
    spark_pod,
    spark_properties,
)
from components.training import hdfs as hdfs_servers
from components.training.hdfs_settings import HdfsArgs
from components.training.spark_fields import DRIVER, EXECUTOR
from components.training.spark_pod import HISTORY, ROLE
from components.training.spark_settings import SparkJobArgs
from components.workload import Workload

DRIVERS_RIGHTS = (
    *("create", "delete", "deletecollection", "get", "list", "patch", "watch"),
)
"""Verbs on pods that a driver in client mode uses: it creates, watches, labels and
deletes its executors.
https://spark.apache.org/docs/latest/running-on-kubernetes.html#rbac"""


class SparkJob(Workload):
    """A Spark application whose driver is the pod of a Job, started as other jobs are.

    Creates, in the jobs' namespace:

    - ServiceAccount `<name>` of the driver, with a Role for pods of the namespace
    - ServiceAccount `<name>-executor` without rights, of executors and history server
    - NetworkPolicy `<name>`: the driver reaches executors, DNS, the API server, with
      a bucket HTTPS, with `hdfs` its servers, and whom `egress` names; nobody but
      executors reaches it
    - NetworkPolicy `<name>-executor`: executors reach the driver, each other, DNS and
      the same others; nobody but these reaches them
    - ConfigMap `<name>`: Spark's properties, and the template of executors' pods
    - CronJob `<name>`, suspended unless there is a schedule: the template of the runs
    - with `history_server` the Deployment `<name>-history`, and a NetworkPolicy that
      closes it to all other pods

    Executors are pods that the driver makes. Its pod owns them, so they go with it.
    Claims are the stack's: several jobs may use one (stacks/jobs.py).
    """

    def __init__(
        self,
        name: str,
        args: SparkJobArgs,
        *,
        namespace: str,
        hdfs: HdfsArgs | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`hdfs`: the file system that the stack makes, for jobs that use it."""
        super().__init__(
            "slipway:training:SparkJob",
            name,
            namespace=namespace,
            component="spark",
            program=naming.SPARK_JOB,
            opts=opts,
        )
        self._args = args
        self._hdfs = hdfs if args.hdfs else None
        if self._hdfs:
            self.labels = {**self.labels, naming.HDFS_LABEL: self._hdfs.name}
        annotations = args.service_account.annotations
        self.add_account(annotations)
        self._executor_account(annotations)
        self.add_role(
            [{"apiGroups": [""], "resources": ["pods"], "verbs": [*DRIVERS_RIGHTS]}]
        )
        self._policies()
        self.add_config(self._files())
        self._template()
        if args.history_server:
            self._history()
        self.register_outputs({})

    def _executor_account(self, annotations: Mapping[str, str]) -> None:
        account = pod_defaults.service_account(
            spark_pod.executor_account(self.name),
            self.namespace,
            self.labels,
            annotations,
        )
        kubernetes.core.v1.ServiceAccount(
            f"{self.name}-executor-account", **account, opts=self.options()
        )

    @property
    def _hdfs_address(self) -> str:
        return hdfs_files.address(self.namespace, self._hdfs) if self._hdfs else ""

    def _peer(self, role: str) -> Rule:
        """Return a peer: pods of this job and role."""
        labels = spark_pod.selector(self.selector, role)
        return {"podSelector": {"matchLabels": labels}}

    def _policies(self) -> None:
        driver, executors = self._peer(DRIVER), self._peer(EXECUTOR)
        ports = spark_properties.DRIVER_PORT, spark_properties.BLOCK_PORT
        blocks = (spark_properties.BLOCK_PORT,)
        self._policy(
            DRIVER,
            self.name,
            ingress=[network.allow_from(executors, to=ports)],
            egress=[
                network.allow_to(executors, on=blocks),
                network.allow_api_server(),
                *self._others(),
            ],
        )
        self._policy(
            EXECUTOR,
            f"{self.name}-executor",
            ingress=[network.allow_from(driver, executors, to=blocks)],
            egress=[
                network.allow_to(driver, on=ports),
                network.allow_to(executors, on=blocks),
                *self._others(),
            ],
        )

    def _others(self) -> list[Rule]:
        """Return the peers that driver and executors may both connect to."""
        args = self._args
        rules = [network.allow_dns(), *self._buckets(args.uses_buckets)]
        if self._hdfs:
            rules += hdfs_servers.of_clients(self._hdfs)
        return rules + [allowance(one) for one in args.egress]

    def _buckets(self, used: bool) -> list[Rule]:
        # An object store has no fixed address.
        rules = [network.allow_to(on=(443,))] if used else []
        if self._args.service_account.pod_identity:
            rules.append(network.allow_role_agent())
        return rules

    def _policy(
        self, role: str, name: str, *, ingress: list[Rule], egress: list[Rule]
    ) -> None:
        kubernetes.networking.v1.NetworkPolicy(
            f"{self.name}-{role}-network",
            metadata=self.metadata(name),
            spec=network.policy_spec_both(
                {"matchLabels": spark_pod.selector(self.selector, role)},
                ingress=ingress,
                egress=egress,
            ),
            opts=self.options(),
        )

    def _files(self) -> dict[str, str]:
        args = self._args
        properties = spark_properties.of(self.name, self.namespace, args, self._hdfs)
        found = {
            spark_properties.PROPERTIES: spark_properties.text(properties),
            spark_properties.TEMPLATE: spark_pod.template(
                self.name, args, self.labels, self._hdfs_address
            ),
        }
        if args.history_server:
            found[spark_properties.HISTORY_PROPERTIES] = spark_properties.text(
                spark_properties.history(self.name, args)
            )
        return found

    def _role_metadata(self, role: str) -> dict[str, Any]:
        return {"labels": {**self.labels, ROLE: role}}

    def _template(self) -> None:
        args = self._args
        template = {
            "metadata": self._role_metadata(DRIVER),
            "spec": spark_pod.driver(self.name, args, self._hdfs_address),
        }
        kubernetes.batch.v1.CronJob(
            f"{self.name}-template",
            metadata=self.metadata(
                annotations={naming.SETTINGS_ANNOTATION: args.digest}
            ),
            spec=run_template.cron_job_spec(
                args.schedule, self.labels, job_spec(args, template)
            ),
            opts=self.options(),
        )

    def _history(self) -> None:
        bucket = bool(self._args.event_log and self._args.event_log.bucket)
        egress = [network.allow_dns(), *self._buckets(bucket)]
        self._policy(HISTORY, f"{self.name}-history", ingress=[], egress=egress)
        labels = spark_pod.selector(self.selector, HISTORY)
        kubernetes.apps.v1.Deployment(
            f"{self.name}-history",
            metadata=self.metadata(f"{self.name}-history"),
            spec={
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": self._role_metadata(HISTORY),
                    "spec": spark_pod.history(self.name, self._args),
                },
            },
            opts=self.options(),
        )


def job_spec(args: SparkJobArgs, template: dict[str, Any]) -> dict[str, Any]:
    """Return the Job with one driver, which is replaced once it is gone.

    Two drivers at a time would write the same results.
    """
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    bad = {
        "containerName": DRIVER,
        "operator": "In",
        "values": [gang.BAD_CONFIGURATION],
    }
    return {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": args.retries,
        "activeDeadlineSeconds": args.deadline_seconds,
        "ttlSecondsAfterFinished": args.keep_seconds,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onExitCodes": bad},
                {"action": "Ignore", "onPodConditions": [disrupted]},
            ]
        },
        "template": template,
    }
