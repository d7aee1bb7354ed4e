"""The sidecar that sends finished files of the prediction log to a sink.

It is a native sidecar: it starts before the server and ends after it, so it also sends
the file that the server finishes at shutdown.
https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
"""

from __future__ import annotations

from pulumi_kubernetes.core import v1 as core

from components import images, naming
from components.security import pod_defaults
from components.serving.runtimes.ours import PREDICTION_LOG_FOLDER
from components.serving.settings.request_settings import (
    MONITOR,
    SHIPPER_CPU_MILLICORES,
    SHIPPER_MEMORY_MIB,
    PredictionLog,
)

CONTAINER = "log-shipper"
PORT = 9102
"""Port of metrics and probes."""
DRAIN_SECONDS = 10
"""Time to send the remaining files after the server has ended."""
VOLUME = "predictions"
ANNOTATION = "slipway.dev/log-shipper-port"
"""Pod annotation: Prometheus scrapes the sidecar at this port, beside the server."""


MONITOR_ADDRESS = f"http://{naming.MODEL_MONITOR}:{naming.MODEL_MONITOR_PORT}"
"""URL at which the monitor of the same namespace receives files."""


def container(log: PredictionLog) -> core.ContainerArgs:
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
        restart_policy="Always",
        env=[
            core.EnvVarArgs(name=name, value=text) for name, text in variables.items()
        ],
        resources=pod_defaults.resources(
            cpu_request_millicores=SHIPPER_CPU_MILLICORES,
            cpu_limit_millicores=200,
            memory_request_mib=SHIPPER_MEMORY_MIB,
            memory_limit_mib=96,
        ),
        volume_mounts=[
            core.VolumeMountArgs(name=VOLUME, mount_path=PREDICTION_LOG_FOLDER)
        ],
        liveness_probe=core.ProbeArgs(
            http_get=core.HTTPGetActionArgs(path="/healthz", port=PORT, scheme="HTTP"),
            period_seconds=10,
            timeout_seconds=5,
            failure_threshold=6,
        ),
        termination_message_policy="FallbackToLogsOnError",
    )
