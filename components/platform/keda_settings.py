"""Settings of the autoscaler by external metrics."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.part_settings import PartSettings
from components.setting_types import Whole


class KedaSettings(PartSettings):
    """KEDA: scales model servers whose scaling.signal is `inflight`."""

    enabled: bool = False
    """True if a model scales by requests in flight. The image is built only on request:
    `slipway images push keda`."""
    image: str = "keda"
    """Operator and metrics adapter. A short name of images.lock, or by digest."""
    replicas: Annotated[Whole, Field(ge=1, le=3)] = 1
    """Pods of the operator and of the adapter; several operators elect a leader. While
    none is available, replicas do not change."""
    prometheus_port: Annotated[Whole, Field(ge=1, le=65535)] = 9090
    """Port of the models' Prometheus; besides it, KEDA may only reach DNS and the API
    server."""
    retain: bool = True
    """Keeps the CRDs at `destroy`: deleting a CRD deletes all its objects."""
