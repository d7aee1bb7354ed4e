"""Settings of the layer `models`: a stack file's `slipway:*` keys are its fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components.cluster_access import ClusterAccess
from components.serving.model_server_args import ModelServerArgs
from components.serving.surroundings import Surroundings
from components.setting_types import ModelName
from components.settings import Problem, Settings


class ModelsSettings(Settings):
    """The model servers of one environment and the cluster they run in."""

    cluster: ClusterAccess = ClusterAccess()
    """Which cluster."""
    surroundings: Surroundings = Surroundings()
    """What the cluster has: namespaces and the Gateway."""
    models: Annotated[dict[ModelName, ModelServerArgs], Field(min_length=1)]
    """Model servers by name; the name is that in the model's own model.yaml."""

    def contradictions(self) -> Iterator[Problem]:
        """Two models on one path: the gateway would give it to the older route.

        A model that scales by what the cluster does not have.
        """
        for name, args in self.models.items():
            if args.scaling.signal == "inflight" and not self.surroundings.keda:
                yield Problem(
                    f"models.{name}.scaling.signal",
                    args.scaling.signal,
                    "nothing says that the cluster has KEDA, nor where it finds "
                    "Prometheus",
                    "enable keda in the platform stack and set surroundings.keda: {}, "
                    "or set signal: cpu",
                )
        owners: dict[str, str] = {}
        for name, args in self.models.items():
            if args.route is None:
                continue
            prefix = args.route.prefix
            if prefix in owners:
                yield Problem(
                    f"models.{name}.route.prefix",
                    prefix,
                    f"the model {owners[prefix]} has it already",
                    f"give another, such as /{name}/v1",
                )
            owners.setdefault(prefix, name)
