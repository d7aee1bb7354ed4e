"""The interface that the checks across a model server's settings use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from components.delivery.experiment_settings import ExperimentSettings
from components.delivery.settings import RolloutSettings
from components.monitoring.model_settings import ModelMonitoring
from components.serving.runtimes import AnyRuntime
from components.serving.settings.alert_settings import Alerts
from components.serving.settings.egress_settings import Egress
from components.serving.settings.replica_args import ReplicaArgs
from components.serving.settings.revisions import Revision
from components.serving.settings.secret_settings import SecretUse
from components.serving.settings.versions import Route


class ServerArgs(ReplicaArgs, Protocol):
    """The settings that checks in separate modules read."""

    @property
    def runtime(self) -> AnyRuntime: ...
    @property
    def revisions(self) -> Mapping[str, Revision]: ...
    @property
    def rollout(self) -> RolloutSettings | None: ...
    @property
    def experiment(self) -> ExperimentSettings | None: ...
    @property
    def weights_moved(self) -> RolloutSettings | None: ...
    @property
    def monitor(self) -> ModelMonitoring | None: ...
    @property
    def api_versions(self) -> tuple[Route, ...]: ...
    @property
    def grpc_route(self) -> bool: ...
    @property
    def alerts(self) -> Alerts: ...
    @property
    def environment(self) -> Mapping[str, str]: ...
    @property
    def accept_plain_text(self) -> tuple[str, ...]: ...
    @property
    def secrets(self) -> Mapping[str, SecretUse]: ...
    @property
    def egress(self) -> tuple[Egress, ...]: ...
    @property
    def node_selector(self) -> Mapping[str, str]: ...
