"""NVIDIA's device plugin, once for each layout of GPUs."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.cluster.nodes.node_pool_base import NodePoolBase
from components.platform.gpu import daemon
from components.platform.gpu.layouts import NodeGroup
from components.platform.gpu.settings import DevicePluginSettings
from components.security import pod_defaults

NAME = "nvidia-device-plugin"
SOCKETS = "/var/lib/kubelet/device-plugins"
"""Folder in which plugins register with the kubelet.
https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/"""
CONFIG = "/etc/nvidia-device-plugin"
FILE = "config.yaml"


class DevicePlugin(daemon.GpuDaemon):
    """GPUs of one layout as a resource that pods ask for.

    Creates, in the GPU namespace, on the nodes of the layout's pools:

    - ServiceAccount without rights;
    - ConfigMap with the layout: whole GPUs, MIG slices or shares;
    - DaemonSet: root without capabilities, with SYS_ADMIN where GPUs are cut by MIG
      (the driver gives slices to nobody else). It has no network.
    """

    def __init__(
        self,
        settings: DevicePluginSettings,
        group: NodeGroup,
        pools: Mapping[str, NodePoolBase],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "slipway:platform/gpu:DevicePlugin",
            f"{NAME}{group.suffix}",
            namespace=daemon.NAMESPACE,
            component="gpu",
            opts=opts,
        )
        self.add_account()
        configuration = group.configuration()
        self.add_config({FILE: configuration})
        environment = {
            "CONFIG_FILE": f"{CONFIG}/{FILE}",
            # Mounted into the container by NVIDIA's container runtime.
            "NVIDIA_VISIBLE_DEVICES": "all",
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        }
        if group.mig:
            environment["NVIDIA_MIG_MONITOR_DEVICES"] = "all"
        container = {
            "name": NAME,
            "image": settings.image_reference,
            "imagePullPolicy": "Always",
            "command": [NAME],
            "env": [{"name": n, "value": v} for n, v in sorted(environment.items())],
            "securityContext": pod_defaults.node_security_context(
                *(["SYS_ADMIN"] if group.mig else ())
            ),
            "resources": {
                "requests": {"cpu": "20m", "memory": "64Mi", **pod_defaults.disk()},
                "limits": {"cpu": "500m", "memory": "256Mi", **pod_defaults.disk()},
            },
            "volumeMounts": [
                {"name": "sockets", "mountPath": SOCKETS},
                {"name": "config", "mountPath": CONFIG, "readOnly": True},
            ],
        }
        volumes = [
            daemon.host_folder("sockets", SOCKETS),
            {"name": "config", "configMap": {"name": self.name}},
        ]
        chosen = {name: pools[name] for name in group.pools}
        self.add_daemon_set(container, volumes, chosen, configuration=configuration)
        self.register_outputs({})
