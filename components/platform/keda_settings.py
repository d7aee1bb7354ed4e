"""What can be chosen about the autoscaler by external metrics."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.part_settings import PartSettings
from components.setting_types import Whole


class KedaSettings(PartSettings):
    """KEDA: scales model servers whose scaling.signal is `inflight`."""

    enabled: bool = False
    """True where a model scales by its requests in flight. Its image is built when it
    is named: `slipway images push keda`."""
    image: str = "keda"
    """Operator and metrics adapter. A short name of images.lock, or by digest."""
    replicas: Annotated[Whole, Field(ge=1, le=3)] = 1
    """Pods of the operator and of the adapter each; more than one operator elect a
    leader. While none works, replicas stay as they are."""
    prometheus_port: Annotated[Whole, Field(ge=1, le=65535)] = 9090
    """Where the models' Prometheus listens; KEDA may talk to no other port but DNS
    and the API server."""
    retain: bool = True
    """Leave the CRDs at `destroy`: to delete one deletes all its objects."""
