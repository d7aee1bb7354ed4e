"""Settings of the layer `models`: a stack file's `slipway:*` keys are its fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from components import reserved_names
from components.cluster.existing.cluster_access import ClusterAccess
from components.delivery.settings import DeliverySettings
from components.monitoring import attributions, high_risk
from components.monitoring.monitor_file import Watched
from components.monitoring.settings import MonitorSettings, image_problem
from components.observability.settings import DashboardSettings
from components.ownership import AdoptedObject
from components.serving.args import (
    cohort_problems,
    experiment_problems,
    external_secret,
    production_rules,
    rollout_problems,
)
from components.serving.args.bound_problems import window_problems
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import clashes, parts
from components.serving.settings.access_settings import ClientKeys, weak_keys
from components.serving.settings.idle_settings import WakerSettings, waker_problems
from components.serving.settings.ledger_settings import LedgerSettings
from components.serving.settings.request_settings import MONITOR
from components.serving.settings.serving_platform import ServingPlatform
from components.serving.settings.versions import lost_successors, overlaps
from components.setting_types import ModelName
from components.settings import Problem, Settings


class ModelsSettings(Settings):
    """The model servers of one environment and the cluster they run in."""

    production: bool = False
    """True rejects settings that are unsafe in production: models without access
    control or with a single replica, and a model console that everybody may read."""
    images_lock: str = ""
    """File in the checkout that resolves short names of images, such as
    stacks/config/images.prod.lock. Empty: the file of the user who runs the command.
    With production: true, short names need it."""
    cluster: ClusterAccess = ClusterAccess()
    """Which cluster."""
    platform: ServingPlatform = ServingPlatform()
    """What the cluster has: namespaces and the Gateway."""
    models: Annotated[dict[ModelName, ModelServerArgs], Field(min_length=1)]
    """Model servers by name; the name is that in the model's own model.yaml."""
    ledger: LedgerSettings | None = None
    """The ledger of model versions (`slipway ledger`) that `slipway up` asks before it
    serves a revision; not asked unless given."""
    waker: WakerSettings = WakerSettings()
    """The program that wakes models with `scaling.idle`; deployed only if there are
    any."""
    delivery: DeliverySettings = DeliverySettings()
    """The program that changes the weights of models with `rollout`; deployed only if
    there are any."""
    client_keys: ClientKeys = Field(default={}, validate_default=True)
    """API keys of callers, as encrypted values of the stack file (`pulumi config set
    --secret`): by Secret (as in `access.api_keys`), then by client. Not needed for
    clients that `slipway keys` adds."""
    monitor: MonitorSettings = MonitorSettings()
    """The program that monitors the models with `monitor`; deployed only if there are
    any."""
    dashboards: DashboardSettings = Field(default={}, validate_default=True)
    """Dashboards about the models."""
    adopt: tuple[AdoptedObject, ...] = ()
    """Existing objects to adopt, as Kind/name or Kind/namespace/name: their declared
    fields are changed, and `destroy` keeps them."""

    @property
    def prefixes(self) -> list[str]:
        """The API versions of all models."""
        return [
            route.prefix for args in self.models.values() for route in args.api_versions
        ]

    @property
    def watched(self) -> list[Watched]:
        """Return the models that the monitor watches; of servers, the first's."""
        found: dict[str, Watched] = {}
        for server, args in self.models.items():
            model = args.served(server)
            if args.monitor and model not in found:
                image = parts(server, args)[0].args.model_image
                servers = {
                    name: other.prediction_log
                    for name, other in self.models.items()
                    if other.served(name) == model
                }
                buckets = tuple(
                    log.sink
                    for log in servers.values()
                    if log.sink and log.sink != MONITOR
                )
                if image:
                    found[model] = Watched(
                        model,
                        image,
                        args.monitor,
                        tuple(servers),
                        buckets,
                        cohort_problems.intervals(self.models, model),
                        tuple(it for it in servers if self.models[it].experiment),
                    )
        return list(found.values())

    def contradictions(self) -> Iterator[Problem]:
        """Report names that two models claim, and parts that the cluster lacks."""
        yield from self._without_keda()
        yield from self._keys()
        yield from self._sleepers()
        yield from self._rollouts()
        yield from self._unwatched()
        yield from self._windows()
        if self.production:
            yield from production_rules.problems(
                self.models,
                self.monitor,
                gateway_is_internal=self.platform.gateway_is_internal,
            )
        claims = [
            claim
            for name, args in self.models.items()
            for claim in args.claims(name, f"models.{name}.")
        ]
        yield from overlaps(claims)
        yield from lost_successors(claims)
        yield from self._names()
        if self.ledger:
            yield from self.ledger.unknown(self.models)

    def _names(self) -> Iterator[Problem]:
        """Report names that another model or another object in the namespace has."""
        made = {f"models.{name}": name for name in self.models}
        for name, args in self.models.items():
            for part in parts(name, args):
                if part.revision:
                    made[f"models.{name}.revisions.{part.revision}"] = part.name
        for path, name in made.items():
            if owner := reserved_names.IN_MODELS_NAMESPACE.get(name):
                yield Problem(
                    path,
                    name,
                    f"its objects would have the same names as {owner}",
                    "rename it",
                )
        for (name, revision), other in clashes(self.models).items():
            yield Problem(
                f"models.{name}.revisions.{revision}",
                revision,
                f"its objects would be named {name}-{revision}, like those of the "
                f"model server {other}",
                "rename one of them",
            )

    def _keys(self) -> Iterator[Problem]:
        """Report keys that open nothing, or that are invalid."""
        yield from weak_keys(self.client_keys)
        accesses = [args.access for args in self.models.values() if args.access]
        asked = {access.api_keys.secret for access in accesses if access.api_keys}
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
        """Report models that scale to zero without a waker."""
        if not any(args.scaling.idle for args in self.models.values()):
            return
        yield from waker_problems(self.waker)

    def _rollouts(self) -> Iterator[Problem]:
        """Report a missing controller, duplicate names, and short intervals."""
        found = {n: it.weights_moved for n, it in self.models.items()}
        if any(found.values()):
            yield from self.delivery.image_problems()
        yield from rollout_problems.clashes(self.models)
        yield from cohort_problems.problems(self.models, self.watched, self.monitor)
        yield from experiment_problems.clashes(self.models)
        yield from experiment_problems.uncounted(self.models, self.monitor)
        for name, args in self.models.items():
            if args.rollout and args.rollout.borrow and not self.cluster.stack:
                yield Problem(
                    f"models.{name}.rollout.borrow",
                    sorted(args.rollout.borrow.jobs),
                    "without cluster.stack neither the pool nor its jobs are known",
                    "set cluster.stack, or remove borrow",
                )
        least = 2 * self.platform.scrape_interval_seconds
        for name, rollout in found.items():
            if rollout and rollout.interval_seconds < least:
                kind = "experiment" if self.models[name].experiment else "rollout"
                yield Problem(
                    f"models.{name}.{kind}.interval_seconds",
                    rollout.interval_seconds,
                    "each interval needs two scrapes, and Prometheus scrapes every "
                    f"{self.platform.scrape_interval_seconds} s",
                    f"give at least {least}, or correct "
                    "platform.scrape_interval_seconds",
                )

    def _unwatched(self) -> Iterator[Problem]:
        """Report uncollected records, and conflicting settings of a model."""
        sent = [
            name
            for name, args in self.models.items()
            if args.prediction_log.sink == MONITOR
        ]
        if not self.watched:
            for name in sent:
                yield Problem(
                    f"models.{name}.prediction_log.sink",
                    MONITOR,
                    "no model has monitor, so there is no monitor to send to",
                    "set monitor for a model, or remove sink",
                )
            return
        yield from image_problem(self.monitor)
        yield from attributions.problems(self.monitor, self.watched)
        yield from high_risk.problems(self.monitor, self.watched)
        first: dict[str, tuple[str, ModelServerArgs]] = {}
        for name, args in self.models.items():
            if args.monitor is None:
                continue
            model = args.served(name)
            if not args.model_image and not args.revisions:
                yield Problem(
                    f"models.{name}.monitor",
                    sorted(args.monitor.model_fields_set),
                    "the monitor reads reference.json of the model's image, and the "
                    "model has none",
                    "set model_image, or remove monitor",
                )
            other, theirs = first.setdefault(model, (name, args))
            if theirs.monitor != args.monitor:
                yield Problem(
                    f"models.{name}.monitor",
                    sorted(args.monitor.model_fields_set),
                    f"{other} serves the model {model} too, and has other settings",
                    "set it for one of them, or the same for both",
                )

    def _windows(self) -> Iterator[Problem]:
        """Report rates with fewer scrapes than they need."""
        scrape = self.platform.scrape_interval_seconds
        for name, args in self.models.items():
            for problem in window_problems(args, scrape):
                yield replace(problem, path=f"models.{name}.{problem.path}")

    def _without_keda(self) -> Iterator[Problem]:
        """Report models and revisions that scale by a metric without a source."""
        for name, args in self.models.items():
            places = {"": args.scaling}
            for revision, own in args.revisions.items():
                if own.scaling:
                    places[f"revisions.{revision}."] = own.scaling
            for place, scaling in places.items():
                if scaling.signal == "inflight" and not self.platform.keda:
                    yield Problem(
                        f"models.{name}.{place}scaling.signal",
                        scaling.signal,
                        "no setting says whether the cluster has KEDA, or where KEDA "
                        "finds Prometheus",
                        "enable keda in the platform stack and set platform.keda: "
                        "{}, or set signal: cpu",
                    )
