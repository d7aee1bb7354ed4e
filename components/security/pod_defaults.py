"""Secure defaults for pods and containers: the Pod Security Standard `restricted`.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_kubernetes.core import v1 as core

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

    Pulled at each start, so that a node's copy never outlives the right to pull it
    (what a digest names cannot change; with the layers there, only the manifest is
    asked for). Resources and probes are the caller's to give.
    """
    return core.ContainerArgs(
        name=name,
        image=image,
        image_pull_policy="Always",
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
    """A pod with the secure defaults; no API token unless `token` asks for one."""
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


def cpu_quantity(millicores: int) -> str:
    """`500m`, but `2` for 2000: the canonical form, so that nothing seems changed."""
    whole, rest = divmod(millicores, 1000)
    return f"{millicores}m" if rest else str(whole)


def memory_quantity(mib: int) -> str:
    """`512Mi`, but `2Gi` for 2048."""
    whole, rest = divmod(mib, 1024)
    return f"{mib}Mi" if rest else f"{whole}Gi"
