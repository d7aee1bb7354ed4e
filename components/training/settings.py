"""Settings of the layer `jobs`: a stack file's `slipway:*` keys are its fields."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from components import naming, reserved_names
from components.cluster.account_settings import AccountSettings
from components.cluster.existing.cluster_access import ClusterAccess
from components.ownership import AdoptedObject
from components.setting_types import ModelName, Namespace
from components.settings import ABSENT, Problem, Settings
from components.training import emr_problems
from components.training.emr_settings import EmrArgs
from components.training.hdfs_settings import HdfsArgs
from components.training.spark_settings import SparkJobArgs
from components.training.training_settings import TrainingJobArgs
from components.training.volume_settings import Claim


class JobsSettings(Settings):
    """The jobs of one environment and the cluster they run in."""

    cluster: ClusterAccess = ClusterAccess()
    """Which cluster."""
    namespace: Namespace = naming.MODELS_NAMESPACE
    """Namespace of the jobs, with a default deny of network policies; the platform
    stack makes those that `namespaces.models` lists."""
    training: dict[ModelName, TrainingJobArgs] = Field(
        default={}, validate_default=True
    )
    """Training jobs by name."""
    spark: dict[ModelName, SparkJobArgs] = Field(default={}, validate_default=True)
    """Spark jobs by name."""
    hdfs: HdfsArgs | None = None
    """A file system of Hadoop in the cluster, for the lab and on premises."""
    account: AccountSettings | None = None
    """The AWS account and region of `emr`, which needs it."""
    emr: EmrArgs | None = None
    """An application of EMR Serverless with Spark jobs, which need no cluster."""
    adopt: tuple[AdoptedObject, ...] = ()
    """Existing objects to adopt, as Kind/name or Kind/namespace/name: their declared
    fields are changed, and `destroy` keeps them."""

    @property
    def jobs(self) -> dict[str, TrainingJobArgs | SparkJobArgs]:
        """All jobs in the cluster, by name."""
        return {**self.training, **self.spark}

    @property
    def job_names(self) -> list[str]:
        """Names of all jobs, those of EMR Serverless among them."""
        return [*self.jobs, *(self.emr.jobs if self.emr else ())]

    @property
    def _placed(self) -> dict[str, TrainingJobArgs | SparkJobArgs]:
        """All jobs by the path of their settings."""
        return {
            **{f"training.{name}": job for name, job in self.training.items()},
            **{f"spark.{name}": job for name, job in self.spark.items()},
        }

    @property
    def made_claims(self) -> dict[str, Claim]:
        """The claims that the stack makes, by name."""
        return {
            place.claim: place
            for job in self.jobs.values()
            for place in job.claims.values()
            if place.claim and place.size_gib
        }

    def contradictions(self) -> Iterator[Problem]:
        """Report names in use, and features that a managed cluster lacks."""
        if owner := reserved_names.owner(self.namespace):
            yield Problem(
                "namespace",
                self.namespace,
                f"it belongs to {owner}; policies and quotas would mix",
                f"give one of your own, such as {naming.MODELS_NAMESPACE}",
            )
        yield from self._names()
        yield from self._claims()
        yield from self._folders()
        yield from self._native()
        yield from self._hdfs()
        yield from self._emr()

    def _names(self) -> Iterator[Problem]:
        """Report a stack without jobs, and jobs whose objects share a name."""
        if not self.job_names and not self.hdfs:
            yield Problem(
                "training",
                ABSENT,
                "there is no job",
                "give training, spark, emr, or hdfs",
            )
        for name in sorted({*self.training} & {*self.spark}):
            yield Problem(
                f"spark.{name}",
                name,
                "a training job has this name, and so its objects would",
                "rename one of the two",
            )
        made = {
            other: f"the Spark job {name}"
            for name, job in self.spark.items()
            for other in job.other_names(name)
        }
        if self.hdfs:
            servers = (self.hdfs.name_node_name, self.hdfs.data_node_name)
            made.update(dict.fromkeys(servers, "the HDFS's servers"))
        for path in self._placed:
            name = path.partition(".")[2]
            owner = reserved_names.IN_MODELS_NAMESPACE.get(name) or made.get(name)
            if owner:
                yield Problem(
                    path,
                    name,
                    f"its objects would have the same names as {owner}",
                    "rename it",
                )

    def _claims(self) -> Iterator[Problem]:
        """Report conflicting settings of one claim."""
        first: dict[str, tuple[str, tuple[object, ...]]] = {}
        for job, args in self._placed.items():
            for setting, place in args.claims.items():
                if not place.claim:
                    continue
                path = f"{job}.{setting}.claim"
                said = (place.size_gib, place.storage_class, place.many_nodes)
                other, theirs = first.setdefault(place.claim, (path, said))
                if theirs != said and not other.startswith(f"{job}."):
                    yield Problem(
                        path,
                        place.claim,
                        f"{other} has the same claim with other settings",
                        "give both the same size_gib, storage_class and many_nodes",
                    )

    def _folders(self) -> Iterator[Problem]:
        """Report storage that would overwrite other storage in the same folder."""
        first: dict[tuple[str | None, str], str] = {}
        for job, args in self._placed.items():
            for setting, place in args.claims.items():
                path = f"{job}.{setting}"
                folder = "" if place.bucket else place.path or job.partition(".")[2]
                other = first.setdefault((place.bucket or place.claim, folder), path)
                if other != path:
                    yield Problem(
                        f"{path}.{'bucket' if place.bucket else 'path'}",
                        place.bucket or place.path or ABSENT,
                        f"{other} is in the same folder",
                        "give another prefix" if place.bucket else "give another path",
                    )

    def _native(self) -> Iterator[Problem]:
        """Report alpha features, which EKS does not support."""
        if not (self.cluster.stack or self.cluster.terraform):
            return
        for name, job in self.training.items():
            if job.gang == "native":
                yield Problem(
                    f"training.{name}.gang",
                    job.gang,
                    "Kubernetes' gang scheduling is alpha in 1.36, and EKS has no "
                    "alpha features",
                    "set gang: kueue, or remove it",
                )

    def _hdfs(self) -> Iterator[Problem]:
        """Report jobs that would use a file system which the stack does not make."""
        for name, job in self.spark.items():
            if job.hdfs and not self.hdfs:
                yield Problem(
                    f"spark.{name}.hdfs",
                    job.hdfs,
                    "the stack makes no HDFS",
                    "give hdfs in this stack, or the address of another HDFS by "
                    "properties and egress",
                )

    def _emr(self) -> Iterator[Problem]:
        """Report an unused or missing account, and two jobs of one name."""
        if not self.emr:
            if self.account:
                yield Problem(
                    "account",
                    self.account.id,
                    "only jobs of EMR Serverless are made in an account",
                    "give emr, or remove it",
                )
            return
        for name in sorted({*self.jobs} & {*self.emr.jobs}):
            yield Problem(
                f"emr.jobs.{name}",
                name,
                "another job of this stack has this name, and `slipway run` knows a "
                "job by it",
                "rename one of the two",
            )
        if self.account:
            yield from emr_problems.of_account(self.emr, self.account)
        else:
            yield Problem(
                "account",
                ABSENT,
                "EMR Serverless is in an AWS account, and none is given",
                "give account.id and account.region",
            )
