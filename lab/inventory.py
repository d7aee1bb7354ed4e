"""The lab's hosts as an Ansible inventory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.settings import (
    CONTROL_PLANE,
    POD_NETWORK,
    REGISTRY_NAME,
    SERVICE_NETWORK,
    LabSettings,
)
from lab.ssh import Keys
from toolchain import whole_files


def inventory(settings: LabSettings, keys: Keys) -> dict[str, Any]:
    """Groups control_plane, workers, kubernetes (both) and registry."""
    hosts: dict[str, Any] = {
        host.name: {
            "ansible_host": host.address,
            "node_address": host.address,
            "node_pod_cidr": host.pod_network,
        }
        for host in settings.hosts()
    }
    workers = {name: None for name in hosts if name != CONTROL_PLANE}
    first = {"hosts": {CONTROL_PLANE: None}}
    return {
        "all": {
            "hosts": hosts,
            "vars": {
                "ansible_user": "root",
                "ansible_python_interpreter": "/usr/bin/python3",
                "ansible_ssh_private_key_file": str(keys.private),
                "ansible_ssh_common_args": keys.ssh_options(),
                "lab_bin_dir": "/opt/slipway/bin",
                "lab_images_dir": "/opt/slipway/images",
                "lab_registry_name": REGISTRY_NAME,
                "lab_pod_network": POD_NETWORK,
                "lab_service_network": SERVICE_NETWORK,
            },
            "children": {
                "kubernetes": {"children": {"control_plane": None, "workers": None}},
                "control_plane": first,
                "workers": {"hosts": workers},
                "registry": first,
            },
        }
    }


def write(path: Path, settings: LabSettings, keys: Keys) -> None:
    """Writes it as JSON, which is YAML too."""
    text = json.dumps(inventory(settings, keys), indent=2) + "\n"
    if not path.is_file() or path.read_text() != text:
        whole_files.write(path, text)
