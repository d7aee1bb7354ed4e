"""Settings of the layer `jobs`: a stack file's `slipway:*` keys are its fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components import naming, reserved_names
from components.cluster.existing.cluster_access import ClusterAccess
from components.ownership import AdoptedObject
from components.setting_types import ModelName, Namespace
from components.settings import ABSENT, Problem, Settings
from components.training.training_settings import TrainingJobArgs
from components.training.volume_settings import Claim


class JobsSettings(Settings):
    """The jobs of one environment and the cluster they run in."""

    cluster: ClusterAccess = ClusterAccess()
    """Which cluster."""
    namespace: Namespace = naming.MODELS_NAMESPACE
    """Namespace of the jobs, with a default deny of network policies; the platform
    stack makes those that `namespaces.models` lists."""
    training: Annotated[dict[ModelName, TrainingJobArgs], Field(min_length=1)]
    """Training jobs by name."""
    adopt: tuple[AdoptedObject, ...] = ()
    """Existing objects to adopt, as Kind/name or Kind/namespace/name: their declared
    fields are changed, and `destroy` keeps them."""

    @property
    def made_claims(self) -> dict[str, Claim]:
        """The claims that the stack makes, by name."""
        return {
            place.claim: place
            for job in self.training.values()
            for place in job.claims.values()
            if place.claim and place.size_gib
        }

    def contradictions(self) -> Iterator[Problem]:
        """Names that something else has; what a managed cluster does not offer."""
        if owner := reserved_names.owner(self.namespace):
            yield Problem(
                "namespace",
                self.namespace,
                f"it belongs to {owner}; policies and quotas would mix",
                f"give one of your own, such as {naming.MODELS_NAMESPACE}",
            )
        for name in self.training:
            if owner := reserved_names.IN_MODELS_NAMESPACE.get(name):
                yield Problem(
                    f"training.{name}",
                    name,
                    f"its objects would have the same names as {owner}",
                    "rename it",
                )
        yield from self._claims()
        yield from self._folders()
        yield from self._native()

    def _claims(self) -> Iterator[Problem]:
        """Two opinions about one claim."""
        first: dict[str, tuple[str, tuple[object, ...]]] = {}
        for job, args in self.training.items():
            for setting, place in args.claims.items():
                if not place.claim:
                    continue
                path = f"training.{job}.{setting}.claim"
                said = (place.size_gib, place.storage_class, place.many_nodes)
                other, theirs = first.setdefault(place.claim, (path, said))
                if theirs != said and not other.startswith(f"training.{job}."):
                    yield Problem(
                        path,
                        place.claim,
                        f"{other} has the same claim with other settings",
                        "give both the same size_gib, storage_class and many_nodes",
                    )

    def _folders(self) -> Iterator[Problem]:
        """Two places in one folder, where one would write over the other."""
        first: dict[tuple[str | None, str], str] = {}
        for job, args in self.training.items():
            for setting, place in args.claims.items():
                path = f"training.{job}.{setting}"
                folder = "" if place.bucket else place.path or job
                other = first.setdefault((place.bucket or place.claim, folder), path)
                if other != path:
                    yield Problem(
                        f"{path}.{'bucket' if place.bucket else 'path'}",
                        place.bucket or place.path or ABSENT,
                        f"{other} is in the same folder",
                        "give another prefix" if place.bucket else "give another path",
                    )

    def _native(self) -> Iterator[Problem]:
        """Alpha features, which EKS does not have."""
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
