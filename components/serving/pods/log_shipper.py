"""The sidecar that sends finished files of the prediction log to a sink.

It is a native sidecar: it starts before the server and ends after it, so it also sends
the file that the server finishes at shutdown.
https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
"""

from __future__ import annotations

from typing import Any

from components import images, naming
from components.contracts import PORTS
from components.security import pod_defaults
from components.serving.runtimes.ours import PREDICTION_LOG_FOLDER
from components.serving.settings.request_settings import (
    MONITOR,
    SHIPPER_CPU_MILLICORES,
    SHIPPER_MEMORY_MIB,
    PredictionLog,
)
from components.workload import http_probe

CONTAINER = "log-shipper"
PORT = PORTS["log_shipper"]["http"]
"""Port of metrics and probes."""
DRAIN_SECONDS = 10
"""Time to send the remaining files after the server has ended."""
VOLUME = "predictions"
ANNOTATION = "slipway.dev/log-shipper-port"
"""Pod annotation: Prometheus scrapes the sidecar at this port, beside the server."""


MONITOR_ADDRESS = f"http://{naming.MODEL_MONITOR}:{naming.MODEL_MONITOR_PORT}"
"""URL at which the monitor of the same namespace receives files."""


def container(log: PredictionLog) -> dict[str, Any]:
    """Return the sidecar's container; `log.sink` must be set."""
    assert log.sink
    sink = MONITOR_ADDRESS if log.sink == MONITOR else log.sink
    variables = {
        "LOG_SHIPPER_FOLDER": PREDICTION_LOG_FOLDER,
        "LOG_SHIPPER_SINK": sink,
        "LOG_SHIPPER_PORT": str(PORT),
        "LOG_SHIPPER_REFUSED_BYTES": str(log.refused_mib << 20),
        "LOG_SHIPPER_DRAIN_SECONDS": str(DRAIN_SECONDS),
    }
    return pod_defaults.container(
        CONTAINER,
        images.resolve(log.shipper),
        restartPolicy="Always",
        env=[{"name": name, "value": text} for name, text in variables.items()],
        resources=pod_defaults.resources(
            cpu_request_millicores=SHIPPER_CPU_MILLICORES,
            cpu_limit_millicores=200,
            memory_request_mib=SHIPPER_MEMORY_MIB,
            memory_limit_mib=96,
        ),
        volumeMounts=[{"name": VOLUME, "mountPath": PREDICTION_LOG_FOLDER}],
        livenessProbe=http_probe("/healthz", PORT, seconds=10, failures=6),
        terminationMessagePolicy="FallbackToLogsOnError",
    )
