"""Secure defaults for pods and containers: the Pod Security Standard `restricted`.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_kubernetes.core import v1 as core

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


def pod_security_context(user: int = USER) -> core.PodSecurityContextArgs:
    """Non-root, the runtime's seccomp profile; volumes belong to the user's group."""
    return core.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=user,
        run_as_group=user,
        fs_group=user,
        seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security_context(user: int = USER) -> core.SecurityContextArgs:
    """Non-root, read-only root, no capabilities, no way to gain privileges."""
    return core.SecurityContextArgs(
        run_as_non_root=True,
        run_as_user=user,
        run_as_group=user,
        read_only_root_filesystem=True,
        allow_privilege_escalation=False,
        privileged=False,
        capabilities=core.CapabilitiesArgs(drop=["ALL"]),
        seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container(
    name: str, image: str, *, user: int = USER, **more: Any
) -> core.ContainerArgs:
    """A container with the secure defaults; `image` is a reference by digest.

    Resources and probes are the caller's to give.
    """
    return core.ContainerArgs(
        name=name,
        image=image,
        image_pull_policy=images.pull_policy(image),
        security_context=container_security_context(user),
        **more,
    )


def pod(
    containers: Sequence[core.ContainerArgs],
    *,
    service_account: str,
    user: int = USER,
    token: bool = False,
    **more: Any,
) -> core.PodSpecArgs:
    """A pod with the secure defaults; no API token unless `token` asks for one.

    Every container asks for and bounds its disk (`disk`): its logs, and the first one
    also the pod's folders in `volumes`.
    """
    others = [*containers[1:], *more.get("init_containers", ())]
    _bound(containers[0], folders_mib(more.get("volumes", ())))
    for other in others:
        _bound(other, 0)
    return core.PodSpecArgs(
        service_account_name=service_account,
        automount_service_account_token=token,
        # A Service named like a program would set variables that the program reads.
        enable_service_links=False,
        security_context=pod_security_context(user),
        containers=list(containers),
        **more,
    )


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
) -> core.ResourceRequirementsArgs:
    """Requests and limits as the API server itself would write them."""
    return core.ResourceRequirementsArgs(
        requests={
            "cpu": cpu_quantity(cpu_request_millicores),
            "memory": memory_quantity(memory_request_mib),
        },
        limits={
            "cpu": cpu_quantity(cpu_limit_millicores),
            "memory": memory_quantity(memory_limit_mib),
        },
    )


def disk(folders_mib: int = 0) -> dict[str, str]:
    """Return a container's limit and, without folders, request of its node's disk.

    Its root file system is read-only, so these are its logs and the pod's folders. The
    kubelet evicts a pod that uses more than the sum of its containers' limits.
    https://kubernetes.io/docs/concepts/storage/ephemeral-storage/
    """
    return {DISK: memory_quantity(LOGS_MIB + folders_mib)}


def folders_mib(volumes: Sequence[Any]) -> int:
    """Return the size of a pod's folders on its disk: all but those in memory."""
    return sum(_folder_mib(volume) for volume in volumes)


def _folder_mib(volume: Any) -> int:
    folder = _of(volume, "emptyDir", "empty_dir")
    if folder is None or _of(folder, "medium", "medium") == "Memory":
        return 0
    size = _of(folder, "sizeLimit", "size_limit")
    units = {"Mi": 1, "Gi": 1024}
    return int(size[:-2]) * units[size[-2:]] if size else UNSIZED_MIB


def _of(value: Any, key: str, attribute: str) -> Any:
    """A field of what may be a mapping as in manifests, or Pulumi's arguments."""
    return value.get(key) if isinstance(value, Mapping) else getattr(value, attribute)


def _bound(container: core.ContainerArgs, folders_mib: int) -> None:
    found: Any = container.resources
    asked = disk(min(folders_mib, ASKED_FOLDERS_MIB))
    container.resources = core.ResourceRequirementsArgs(
        requests={**found.requests, **asked},
        limits={**found.limits, **disk(folders_mib)},
    )


def cpu_quantity(millicores: int) -> str:
    """`500m`, but `2` for 2000: the canonical form, so that nothing seems changed."""
    whole, rest = divmod(millicores, 1000)
    return f"{millicores}m" if rest else str(whole)


def memory_quantity(mib: int) -> str:
    """`512Mi`, but `2Gi` for 2048."""
    whole, rest = divmod(mib, 1024)
    return f"{mib}Mi" if rest else f"{whole}Gi"
