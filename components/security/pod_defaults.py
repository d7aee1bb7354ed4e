"""Secure defaults for pods and containers: the Pod Security Standard `restricted`.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components import images

DISK = "ephemeral-storage"
LOGS_MIB = 64
"""A container's logs: the kubelet keeps five files of 10 MiB, and notices late.
https://kubernetes.io/docs/concepts/cluster-administration/logging/#log-rotation"""
UNSIZED_MIB = 8192
"""A folder without a size: data that end with the pod, such as Prometheus' samples."""
ASKED_FOLDERS_MIB = 1024
"""Maximum request for a pod's folders on the node: few ever fill them."""
USER = 10001
"""User and group of our images; over 10000, so that it is nobody on the host."""

Manifest = dict[str, Any]
"""A part of a manifest: the API's own field names, in camelCase."""


def pod_security_context(user: int = USER) -> Manifest:
    """Non-root, the runtime's seccomp profile; volumes belong to the user's group."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security_context(user: int = USER) -> Manifest:
    """Non-root, read-only root, no capabilities, no way to gain privileges."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def node_pod_security_context() -> Manifest:
    """Of a program that configures its node: its containers run as root."""
    return {"seccompProfile": {"type": "RuntimeDefault"}}


def node_security_context(*capabilities: str) -> Manifest:
    """Root on a read-only root, with these capabilities alone.

    For programs that use what of a node only root may use. They cannot meet the level
    `restricted`; everything else of it holds.
    """
    added = {"add": list(capabilities)} if capabilities else {}
    return {
        "runAsNonRoot": False,
        "runAsUser": 0,
        "readOnlyRootFilesystem": True,
        # With SYS_ADMIN the kernel takes it for allowed, whatever stands here.
        "allowPrivilegeEscalation": "SYS_ADMIN" in capabilities,
        "privileged": False,
        "capabilities": {"drop": ["ALL"], **added},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container(name: str, image: str, *, user: int = USER, **more: Any) -> Manifest:
    """A container with the secure defaults; `image` is a reference by digest.

    `more`: further fields, such as resources and probes.
    """
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": images.pull_policy(image),
        "securityContext": container_security_context(user),
        **more,
    }


def pod(
    containers: Sequence[Manifest],
    *,
    service_account: str,
    user: int = USER,
    token: bool = False,
    **more: Any,
) -> Manifest:
    """A pod with the secure defaults; no API token unless `token` asks for one.

    Every container asks for and bounds its disk (`disk`): its logs, and the first one
    also the pod's folders in `volumes`. `more`: further fields; None leaves one out.
    """
    folders = folders_mib(more.get("volumes", ()))
    first, *others = containers
    if init := more.get("initContainers"):
        more["initContainers"] = [_bound(other, 0) for other in init]
    return {
        "serviceAccountName": service_account,
        "automountServiceAccountToken": token,
        # A Service named like a program would set variables that the program reads.
        "enableServiceLinks": False,
        "securityContext": pod_security_context(user),
        "containers": [_bound(first, folders), *(_bound(other, 0) for other in others)],
        **{key: value for key, value in more.items() if value is not None},
    }


def service_account(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Arguments of a ServiceAccount whose token no pod gets unasked."""
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    # An empty mapping says nothing, and the API server drops it.
    more = {"annotations": dict(annotations)} if annotations else {}
    return {
        "metadata": {**metadata, **more},
        "automount_service_account_token": False,
    }


def resources(
    *,
    cpu_request_millicores: int,
    cpu_limit_millicores: int,
    memory_request_mib: int,
    memory_limit_mib: int,
) -> dict[str, dict[str, str]]:
    """Requests and limits as the API server itself would write them."""
    return {
        "requests": {
            "cpu": cpu_quantity(cpu_request_millicores),
            "memory": memory_quantity(memory_request_mib),
        },
        "limits": {
            "cpu": cpu_quantity(cpu_limit_millicores),
            "memory": memory_quantity(memory_limit_mib),
        },
    }


def disk(folders_mib: int = 0) -> dict[str, str]:
    """Return a container's limit and, without folders, request of its node's disk.

    Its root file system is read-only, so these are its logs and the pod's folders. The
    kubelet evicts a pod that uses more than the sum of its containers' limits.
    https://kubernetes.io/docs/concepts/storage/ephemeral-storage/
    """
    return {DISK: memory_quantity(LOGS_MIB + folders_mib)}


def folders_mib(volumes: Sequence[Manifest]) -> int:
    """Return the size of a pod's folders on its disk: all but those in memory."""
    return sum(_folder_mib(volume) for volume in volumes)


def _folder_mib(volume: Manifest) -> int:
    folder = volume.get("emptyDir")
    if folder is None or folder.get("medium") == "Memory":
        return 0
    size = folder.get("sizeLimit")
    units = {"Mi": 1, "Gi": 1024}
    return int(size[:-2]) * units[size[-2:]] if size else UNSIZED_MIB


def _bound(container: Manifest, folders_mib: int) -> Manifest:
    """The container with its share of the node's disk."""
    found = container["resources"]
    asked = disk(min(folders_mib, ASKED_FOLDERS_MIB))
    resources = {
        "requests": {**found["requests"], **asked},
        "limits": {**found["limits"], **disk(folders_mib)},
    }
    return {**container, "resources": resources}


def cpu_quantity(millicores: int) -> str:
    """`500m`, but `2` for 2000: the canonical form, so that nothing seems changed."""
    whole, rest = divmod(millicores, 1000)
    return f"{millicores}m" if rest else str(whole)


def memory_quantity(mib: int) -> str:
    """`512Mi`, but `2Gi` for 2048."""
    whole, rest = divmod(mib, 1024)
    return f"{mib}Mi" if rest else f"{whole}Gi"
