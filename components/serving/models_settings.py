"""Settings of the layer `models`: a stack file's `slipway:*` keys are its fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components import naming
from components.cluster_access import ClusterAccess
from components.ownership import AdoptedObject
from components.serving import external_secret
from components.serving.access_settings import ClientKeys, weak_keys
from components.serving.idle_settings import WakerSettings, waker_problems
from components.serving.model_server_args import ModelServerArgs
from components.serving.parts import clashes
from components.serving.surroundings import Surroundings
from components.serving.versions import lost_successors, overlaps
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
    waker: WakerSettings = WakerSettings()
    """The program that wakes models with `scaling.idle`; made only if there are any."""
    client_keys: ClientKeys = Field(default={}, validate_default=True)
    """API keys of callers, as encrypted values of the stack file
    (`pulumi config set --secret`): by client, by the Secret that `access.api_keys`
    names. Clients that `slipway keys` adds need none of it."""
    adopt: tuple[AdoptedObject, ...] = ()
    """Objects that exist already and are taken over, as Kind/name or
    Kind/namespace/name: their declared fields are changed, and `destroy` leaves
    them."""

    @property
    def prefixes(self) -> list[str]:
        """The API versions of all models."""
        return [
            route.prefix for args in self.models.values() for route in args.api_versions
        ]

    def contradictions(self) -> Iterator[Problem]:
        """Paths and names that two models claim; what the cluster does not have."""
        yield from self._without_keda()
        yield from self._keys()
        yield from self._sleepers()
        claims = [
            claim
            for name, args in self.models.items()
            for claim in args.claims(name, f"models.{name}.")
        ]
        yield from overlaps(claims)
        yield from lost_successors(claims)
        for (name, revision), other in clashes(self.models).items():
            yield Problem(
                f"models.{name}.revisions.{revision}",
                revision,
                f"its objects would be named {name}-{revision}, like those of the "
                f"model server {other}",
                "rename one of them",
            )

    def _keys(self) -> Iterator[Problem]:
        """Keys that open nothing, or are none."""
        yield from weak_keys(self.client_keys)
        doors = [args.access for args in self.models.values() if args.access]
        asked = {door.api_keys.secret for door in doors if door.api_keys}
        yield from external_secret.clashes(self.models, {*self.client_keys, *asked})
        for secret in self.client_keys:
            if secret not in asked:
                yield Problem(
                    f"client_keys.{secret}",
                    "(not shown)",
                    "no model uses API keys from this Secret",
                    f"name it in a model's access.api_keys.secret; known: "
                    f"{', '.join(sorted(asked)) or 'none'}",
                )

    def _sleepers(self) -> Iterator[Problem]:
        """Nobody who could wake them."""
        if not any(args.scaling.idle for args in self.models.values()):
            return
        yield from waker_problems(self.waker)
        if naming.WAKER in self.models:
            yield Problem(
                f"models.{naming.WAKER}",
                naming.WAKER,
                "its objects would have the same names as those of the waker",
                "rename it",
            )

    def _without_keda(self) -> Iterator[Problem]:
        """Models and revisions that scale by what nothing measures."""
        for name, args in self.models.items():
            places = {"": args.scaling}
            for revision, own in args.revisions.items():
                if own.scaling:
                    places[f"revisions.{revision}."] = own.scaling
            for place, scaling in places.items():
                if scaling.signal == "inflight" and not self.surroundings.keda:
                    yield Problem(
                        f"models.{name}.{place}scaling.signal",
                        scaling.signal,
                        "no setting says whether the cluster has KEDA, or where KEDA "
                        "finds Prometheus",
                        "enable keda in the platform stack and set surroundings.keda: "
                        "{}, or set signal: cpu",
                    )
