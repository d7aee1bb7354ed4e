"""The layer `jobs`: work that is run and ends, in a cluster or in EMR Serverless."""

from __future__ import annotations

import pulumi

from components.cluster.existing import cluster_access
from components.cluster.iam.arns import Arns
from components.cluster.settings import ClusterSettings
from components.ownership import Ownership
from components.settings import SettingsError
from components.training import pool_problems, spark_pool_problems
from components.training.claims import Claims
from components.training.emr_application import EmrServerless
from components.training.hdfs import Hdfs
from components.training.settings import JobsSettings
from components.training.spark_job import SparkJob
from components.training.training_job import TrainingJob
from stacks import config, files
from stacks.account import Place, provider


def run() -> None:
    """Declares what the runs of every job need; starts none of them."""
    chosen = config.settings(JobsSettings)
    asked = pool_problems.asked(chosen.training) or spark_pool_problems.asked(
        chosen.spark
    )
    if chosen.cluster.stack and asked:
        _check_cluster(chosen, chosen.cluster.stack)
    owned = Ownership(pulumi.get_stack(), chosen.adopt)
    if chosen.jobs or chosen.hdfs:
        _in_cluster(chosen)
    if chosen.emr and chosen.account:
        arns = Arns(chosen.account.id, chosen.account.region)
        place = Place(arns, provider(chosen.account, pulumi.get_stack()))
        EmrServerless("emr", chosen.emr, arns=arns, opts=place.after())
    owned.require_declared(files.name(pulumi.get_stack()))
    pulumi.export("jobs", chosen.job_names)


def _in_cluster(chosen: JobsSettings) -> None:
    """The jobs of the cluster, and the claims and the HDFS that they share."""
    cluster = cluster_access.provider(chosen.cluster)
    options = pulumi.ResourceOptions(providers=[cluster])
    if chosen.made_claims:
        Claims("claims", chosen.made_claims, namespace=chosen.namespace, opts=options)
    for name, args in chosen.training.items():
        TrainingJob(name, args, namespace=chosen.namespace, opts=options)
    hdfs = chosen.hdfs
    if hdfs:
        Hdfs(hdfs.name, hdfs, namespace=chosen.namespace, opts=options)
    for name, spark in chosen.spark.items():
        SparkJob(name, spark, namespace=chosen.namespace, hdfs=hdfs, opts=options)


def _check_cluster(chosen: JobsSettings, other: str) -> None:
    """Check the jobs' requirements against the stack of their cluster."""
    stack = pulumi.get_stack()
    cluster = config.of_other_stack(other, ClusterSettings, stack)
    problems = [
        *pool_problems.problems(chosen.training, chosen.namespace, cluster),
        *spark_pool_problems.problems(chosen.spark, chosen.namespace, cluster),
    ]
    if problems:
        raise SettingsError(files.name(stack), problems)
