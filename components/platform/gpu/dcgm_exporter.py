"""NVIDIA's DCGM exporter: metrics of every GPU, with the pod that has it (gpu_pod)."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components import naming
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.platform.gpu import daemon
from components.platform.gpu.settings import DcgmExporterSettings
from components.security import network, pod_defaults
from components.workload import http_probe

NAME = "dcgm-exporter"
SCRATCH_MIB = 64
DISK = pod_defaults.disk(SCRATCH_MIB)
PORT = 9400
POD_RESOURCES = "/var/lib/kubelet/pod-resources"
"""Folder of the kubelet's socket that reports which pod has which GPU."""
CONFIG = "/etc/slipway-dcgm"
FILE = "counters.csv"
MILLISECONDS = 1000

COUNTERS = (
    ("DCGM_FI_DEV_GPU_UTIL", "gauge", "Time with work on the GPU (%)."),
    ("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Time with memory traffic (%)."),
    ("DCGM_FI_DEV_FB_USED", "gauge", "Memory in use (MiB)."),
    ("DCGM_FI_DEV_FB_FREE", "gauge", "Memory that is free (MiB)."),
    ("DCGM_FI_DEV_GPU_TEMP", "gauge", "Temperature of the GPU (C)."),
    ("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Temperature of the memory (C)."),
    ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power (W)."),
    ("DCGM_FI_DEV_SM_CLOCK", "gauge", "Clock of the multiprocessors (MHz)."),
    ("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "gauge", "Why clocks are low (bits)."),
    ("DCGM_FI_DEV_XID_ERRORS", "gauge", "Number of the last XID error."),
    ("DCGM_EXP_XID_ERRORS_COUNT", "gauge", "XID errors of five minutes, by XID."),
    ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "counter", "Uncorrectable memory errors."),
    ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Rows remapped for them."),
    ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping rows has failed."),
    ("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "counter", "NVLink traffic (bytes)."),
)
"""Field of DCGM, kind and help: those that a person or a rule asks for.
https://docs.nvidia.com/datacenter/dcgm/latest/dcgm-api/dcgm-api-field-ids.html"""
PROFILING = (
    ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", "Share of time with work."),
    ("DCGM_FI_PROF_SM_OCCUPANCY", "gauge", "Share of the warps that are resident."),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gauge", "Share of time of the tensor cores."),
    ("DCGM_FI_PROF_DRAM_ACTIVE", "gauge", "Share of time of the memory."),
)


def counters(*, profiling: bool) -> str:
    """The exporter's list of counters: field, kind, help."""
    chosen = (*COUNTERS, *(PROFILING if profiling else ()))
    return "".join(f"{field}, {kind}, {text}\n" for field, kind, text in chosen)


class DcgmExporter(daemon.GpuDaemon):
    """Metrics of the GPUs of all pools.

    Creates, in the GPU namespace, on every node with GPUs of NVIDIA's:

    - ServiceAccount without rights; ConfigMap with the counters;
    - DaemonSet, scraped by its annotations: root without capabilities, with SYS_ADMIN
      where profiling is asked for;
    - NetworkPolicy: scraped by Prometheus, asks nothing.
    """

    def __init__(
        self,
        settings: DcgmExporterSettings,
        pools: Mapping[str, NodePoolBase],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "slipway:platform/gpu:DcgmExporter",
            NAME,
            namespace=daemon.NAMESPACE,
            component="gpu",
            opts=opts,
        )
        self.add_account()
        configuration = counters(profiling=settings.profiling)
        self.add_config({FILE: configuration})
        monitoring = network.in_namespace(naming.MONITORING_NAMESPACE)
        self.add_network_policy(
            ingress=[network.allow_from(monitoring, to=(PORT,))], egress=[]
        )
        environment = {
            "DCGM_EXPORTER_COLLECTORS": f"{CONFIG}/{FILE}",
            "DCGM_EXPORTER_INTERVAL": str(settings.interval_seconds * MILLISECONDS),
            "DCGM_EXPORTER_KUBERNETES": "true",
            "DCGM_EXPORTER_LISTEN": f":{PORT}",
            "NVIDIA_VISIBLE_DEVICES": "all",
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        }
        container = {
            "name": NAME,
            "image": settings.image_reference,
            "imagePullPolicy": "Always",
            "env": [{"name": n, "value": v} for n, v in sorted(environment.items())],
            "ports": [{"name": "metrics", "containerPort": PORT, "protocol": "TCP"}],
            "securityContext": pod_defaults.node_security_context(
                *(["SYS_ADMIN"] if settings.profiling else ())
            ),
            "resources": {
                "requests": {"cpu": "50m", "memory": "256Mi", **DISK},
                "limits": {"cpu": "500m", "memory": "1Gi", **DISK},
            },
            "readinessProbe": http_probe("/health", "metrics", seconds=10),
            # It answers only once DCGM has asked every GPU of the node.
            "livenessProbe": http_probe("/health", "metrics", seconds=30, failures=6),
            "volumeMounts": [
                {"name": "pods", "mountPath": POD_RESOURCES, "readOnly": True},
                {"name": "config", "mountPath": CONFIG, "readOnly": True},
                # DCGM's own service, which the exporter starts, writes there.
                {"name": "scratch", "mountPath": "/tmp", "subPath": "tmp"},  # noqa: S108
                {"name": "scratch", "mountPath": "/run", "subPath": "run"},
            ],
        }
        volumes = [
            daemon.host_folder("pods", POD_RESOURCES),
            {"name": "config", "configMap": {"name": self.name}},
            {"name": "scratch", "emptyDir": {"sizeLimit": f"{SCRATCH_MIB}Mi"}},
        ]
        self.add_daemon_set(
            container,
            volumes,
            pools,
            configuration=configuration,
            annotations=naming.scrape_annotations(PORT),
        )
        self.register_outputs({})
