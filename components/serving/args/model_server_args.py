"""Settings of a model server; every default is safe for production."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from components.cluster.nodes.taint import LabelKey, NodeValue, Taint
from components.delivery.experiment_settings import ExperimentSettings
from components.delivery.settings import RolloutSettings
from components.images import ImageReference
from components.monitoring.model_settings import ModelMonitoring
from components.serving.args import (
    application_problems,
    bound_problems,
    experiment_problems,
    external_secret,
    idle_problems,
    lending,
    rollout_problems,
    streaming,
)
from components.serving.args.grpc_settings import grpc_problems
from components.serving.runtimes import AnyRuntime, Onnx
from components.serving.settings.access_settings import Access
from components.serving.settings.alert_settings import Alerts
from components.serving.settings.egress_settings import Egress
from components.serving.settings.lifecycle_settings import Lifecycle
from components.serving.settings.request_settings import (
    PredictionLog,
    Requests,
)
from components.serving.settings.resource_settings import Resources
from components.serving.settings.revisions import WHOLE, Arm, Revision, RevisionName
from components.serving.settings.scaling_settings import Scaling
from components.serving.settings.secret_settings import SecretUse
from components.serving.settings.service_account_settings import ServiceAccount
from components.serving.settings.variable_types import (
    SecretName,
    VariableName,
    VariableValue,
)
from components.serving.settings.versions import (
    MOST_MATCHES,
    MOST_RULES,
    Claim,
    Route,
    most_versions,
    overlaps,
)
from components.setting_types import ModelName
from components.settings import ABSENT, Problem, Settings

__all__ = [
    "Alerts",
    "Lifecycle",
    "ModelServerArgs",
    "PredictionLog",
    "Requests",
    "Resources",
    "Route",
    "Scaling",
]


_OF_REVISION = ("model_image", "image", "scaling", "resources", "arm")


class ModelServerArgs(Settings):
    """A model server: its model, routes, scaling, drain and monitoring."""

    model_image: ImageReference | None = None
    """Image that holds the model's folder, mounted read-only. Required, except with
    `revisions`: each revision has its own."""
    image: ImageReference = "model-server"
    """Image of the server; for runtimes other than onnx, your own."""
    runtime: AnyRuntime = Onnx(kind="onnx")
    """What runs the model (docs/how-to/runtimes.md)."""
    model: ModelName | None = None
    """The model's name, if it differs from the server's: several servers may serve one
    model."""
    route: Route | None = None
    """Public path at the gateway; without it, the model can only be reached within the
    cluster."""
    routes: Annotated[tuple[Route, ...], Field(max_length=MOST_RULES)] = ()
    """The same for several API versions, the oldest first; instead of `route`."""
    grpc_route: bool = False
    """Whether the gateway routes gRPC to it: callers name the server in the header
    x-model (docs/how-to/grpc.md). Needs a runtime with `grpc: true`."""
    revisions: dict[RevisionName, Revision] = Field(default={}, validate_default=True)
    """Several revisions of the model behind the same path, by name: callers can select
    one with the header x-model-revision; other requests are distributed by weight."""
    rollout: RolloutSettings | None = None
    """Gradual rollout of a new revision, gated by measured errors and latency; the
    rollout controller sets the weights (docs/how-to/rollouts.md)."""
    experiment: ExperimentSettings | None = None
    """Two revisions share the callers for a time, and a metric of the prediction log
    shows which is better (docs/how-to/experiments.md)."""
    access: Access | None = None
    """Credentials and limits that the gateway enforces; without it, anyone who can
    reach the gateway may call (docs/how-to/gateway-access.md)."""
    scaling: Scaling = Scaling()
    """Replicas and the autoscaler."""
    resources: Resources = Resources()
    """CPU and memory of one replica."""
    lifecycle: Lifecycle = Lifecycle()
    """Start, drain and stop."""
    requests: Requests = Requests()
    """Limits of requests."""
    prediction_log: PredictionLog = PredictionLog()
    """The prediction log."""
    monitor: ModelMonitoring | None = None
    """What the model monitor checks: quality, drift, fairness. Needs
    `prediction_log.sink` (docs/how-to/monitoring.md)."""
    alerts: Alerts = Alerts()
    """Thresholds of the alerts."""
    environment: dict[VariableName, VariableValue] = Field(
        default={}, validate_default=True
    )
    """Environment variables of the container, in addition to those of the runtime. Each
    value is text and is passed unchanged (docs/how-to/deploy-an-application.md)."""
    accept_plain_text: tuple[VariableName, ...] = ()
    """Variables of `environment` whose values look like secrets but are not."""
    secrets: dict[SecretName, SecretUse] = Field(default={}, validate_default=True)
    """Secrets of the models' namespace, by name, and how the container gets their
    keys."""
    egress: tuple[Egress, ...] = ()
    """Destinations that replicas may reach besides the cluster's DNS. Default: none."""
    node_selector: dict[LabelKey, NodeValue] = Field(default={}, validate_default=True)
    """Labels that a replica's node must have, for example slipway.dev/pool."""
    tolerations: tuple[Taint, ...] = ()
    """Taints that replicas tolerate. Those of GPU nodes are tolerated automatically if
    the runtime uses GPUs."""
    service_account: ServiceAccount = ServiceAccount()
    """The pods' identity in the cloud."""
    arm: Arm = "stable"
    """Role of the server in an experiment: a label of metrics and log."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Log level of the server."""

    def served(self, server: str) -> str:
        """The model's name, for a server of this name."""
        return self.model or server

    def public_paths(self, server: str) -> tuple[str, ...]:
        """Return the server's paths that the gateway lets through."""
        return self.runtime.public_paths(self.served(server))

    def secret_names(self, server: str) -> dict[str, str]:
        """The Secrets in the cluster by their names in `secrets`."""
        return {
            name: external_secret.name(server, name, use)
            for name, use in self.secrets.items()
        }

    @property
    def weights_moved(self) -> RolloutSettings | None:
        """Return how a rollout changes the weights; None: settings hold them."""
        if self.experiment:
            return self.experiment.as_rollout()
        return self.rollout

    @property
    def unit_header(self) -> str:
        """Return the header that identifies an experiment's callers, if any."""
        found = self.experiment and self.experiment.assign_by
        return found.header if found else ""

    @property
    def ships_log(self) -> bool:
        """Whether a sidecar sends the prediction log somewhere."""
        return self.runtime.FACTS.logs_predictions and self.prediction_log.is_shipped

    @property
    def ready_seconds(self) -> int:
        """Longest time from a pod's start until it is ready."""
        return self.lifecycle.startup_seconds + self.runtime.pull_seconds

    @property
    def api_versions(self) -> tuple[Route, ...]:
        """Return the public paths, from whichever setting has them."""
        return (self.route,) if self.route else self.routes

    def claims(self, owner: str = "", path: str = "") -> list[Claim]:
        """Return the public paths with the locations of their settings below `path`."""
        if self.route:
            return [Claim(f"{path}route", owner, self.route)]
        return [
            Claim(f"{path}routes.{number}", owner, route)
            for number, route in enumerate(self.routes)
        ]

    def of(self, revision: str) -> ModelServerArgs:
        """Return the settings of one revision, as if it were the server's only one."""
        own = self.revisions[revision]
        said = {name: getattr(own, name) for name in _OF_REVISION}
        said = {name: value for name, value in said.items() if value is not None}
        if self.rollout:
            said["scaling"] = self._lent(revision, said.get("scaling", self.scaling))
        return self.model_copy(update=said | {"revisions": {}, "rollout": None})

    def _lent(self, revision: str, own: Scaling) -> Scaling:
        """The revision's replicas while the old one lends some to the new one."""
        assert self.rollout
        lends = self.revisions.get(self.rollout.from_)
        return lending.scaling(
            own, lends.scaling or self.scaling if lends else own, self.rollout, revision
        )

    def weight_of(self, revision: str) -> int:
        """Return the percentage of requests; with a rollout, the initial one."""
        if moved := self.weights_moved:
            return WHOLE if revision == moved.from_ else 0
        return self.revisions[revision].weight or 0

    def contradictions(self) -> Iterator[Problem]:
        """Report settings that give no pods or no route, and unreachable bounds."""
        yield from self._models()
        yield from self._routes()
        yield from grpc_problems(self)
        yield from self._access_problems()
        yield from idle_problems.problems(self)
        yield from rollout_problems.problems(self)
        yield from experiment_problems.problems(self)
        yield from application_problems.problems(self)
        yield from streaming.problems(self)
        yield from self._unwatched()
        bounds = list(self._bounds())
        yield from bounds
        for name in self.revisions:
            for problem in self.of(name)._bounds():
                if problem not in bounds:
                    yield replace(problem, path=f"revisions.{name}.{problem.path}")

    def _unwatched(self) -> Iterator[Problem]:
        """Report a monitor without records, and a sink without a source."""
        logs = self.runtime.FACTS.logs_predictions
        if self.prediction_log.sink and not logs:
            yield Problem(
                "prediction_log.sink",
                self.prediction_log.sink,
                f"runtime {self.runtime.kind} writes no prediction log",
                "remove sink",
            )
        if self.monitor and not self.prediction_log.sink:
            yield Problem(
                "prediction_log.sink",
                ABSENT,
                "monitor is set, and the monitor reads only what is sent to it or to "
                "a bucket",
                "set sink: monitor or s3://bucket/prefix, or remove monitor",
            )

    def _models(self) -> Iterator[Problem]:
        """Report a missing model, or one beside those of the revisions."""
        streamed = bool(self.runtime.weights)
        if not self.revisions and self.model_image is None and not streamed:
            yield Problem(
                "model_image",
                ABSENT,
                "it is required",
                "set it: Image that holds the model's folder, mounted read-only; "
                "or set revisions",
            )
        if self.revisions and self.model_image is not None:
            yield Problem(
                "model_image",
                self.model_image,
                "each revision has its own, so this would be ignored",
                "remove it, or make a revision of it",
            )

    def _routes(self) -> Iterator[Problem]:
        """Report duplicate settings, overlapping paths, and too many rules."""
        if self.route and self.routes:
            yield Problem(
                "routes",
                [route.prefix for route in self.routes],
                "route is set too",
                "give all API versions in routes, and remove route",
            )
        yield from overlaps(self.claims())
        most = most_versions(len(self.revisions), len(self.public_paths("")))
        if len(self.api_versions) > most:
            yield Problem(
                "routes" if self.routes else "revisions",
                f"{len(self.api_versions)} API versions, "
                f"{len(self.revisions)} revisions",
                f"an HTTPRoute can have {MOST_RULES} rules and {MOST_MATCHES} paths, "
                f"which is enough for {most} API versions with this many revisions",
                "retire some, give fewer paths, or move some to a separate model "
                "server",
            )

    def _access_problems(self) -> Iterator[Problem]:
        """Access settings without a route, and limits that are never reached."""
        if self.access is None:
            return
        if not self.api_versions and not self.grpc_route:
            yield Problem(
                "access",
                sorted(self.access.model_fields_set),
                "the gateway enforces it, and without a route no request passes "
                "through the gateway",
                "give route, or remove access",
            )
        most, body = self.requests.max_body_kib, self.access.max_body_kib
        if self.runtime.FACTS.bounds_requests and body and body > most:
            yield Problem(
                "access.max_body_kib",
                body,
                f"the server refuses bodies over requests.max_body_kib = {most}",
                f"give at most {most}, or raise requests.max_body_kib",
            )

    def _bounds(self) -> Iterator[Problem]:
        """Report unsupported settings, and targets out of reach."""
        yield from self.runtime.problems(self)
        yield from bound_problems.problems(self)
