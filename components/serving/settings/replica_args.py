"""What runtimes read of a model server's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, Self

from components.serving.settings.lifecycle_settings import Lifecycle
from components.serving.settings.request_settings import PredictionLog, Requests
from components.serving.settings.resource_settings import Resources
from components.serving.settings.scaling_settings import Scaling


class ReplicaArgs(Protocol):
    """The settings of one revision's replicas; `ModelServerArgs` has them.

    A protocol, so that a runtime needs not know the class that holds the runtime.
    """

    @property
    def model_image(self) -> str | None: ...
    @property
    def image(self) -> str: ...
    @property
    def scaling(self) -> Scaling: ...
    @property
    def resources(self) -> Resources: ...
    @property
    def lifecycle(self) -> Lifecycle: ...
    @property
    def requests(self) -> Requests: ...
    @property
    def prediction_log(self) -> PredictionLog: ...
    @property
    def arm(self) -> str: ...
    @property
    def unit_header(self) -> str: ...
    @property
    def log_level(self) -> Literal["debug", "info", "warning", "error"]: ...
    @property
    def model_fields_set(self) -> set[str]: ...
    def model_copy(
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> Self: ...
