"""The API of the cluster that a stack works on, and what has to be over there first."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from components import cluster_access
from components.cluster_access import ClusterAccess
from components.settings import parse
from slipway import stack_files
from slipway.kube_api import KubeApi, KubeApiError, Object
from slipway.render import Rendered
from slipway.teardown import target
from slipway.teardown.waiting import Waiting
from stacks.config import PREFIX

NAMESPACES = "/api/v1/namespaces"
NAMESPACE_SECONDS = 300.0
"""Bound of the wait for deletions that an earlier run began: the grace period of a
model's pods is the longest part."""


def of_stack(stack: str, root: Path | None = None) -> KubeApi:
    """The cluster that the stack works on; KubeApiError if it cannot be found."""
    config = stack_files.load(stack, root).get("config") or {}
    given = config.get(f"{PREFIX}cluster") or {}
    access = parse(ClusterAccess, given, stack_files.name(stack))
    if access.stack:
        from slipway.engine import Engine

        cluster = target.of_state(Engine().resources(access.stack))
        if cluster is None:
            raise KubeApiError(f"{access.stack} has made no cluster yet")
        return KubeApi.of_eks(
            cluster.name, cluster.region, cluster.endpoint, cluster.authority
        )
    if access.terraform:
        found = access.terraform.connection()
        return KubeApi.of_eks(
            str(found.name),
            str(found.region),
            str(found.endpoint),
            str(found.certificate_authority),
        )
    file = Path(str(cluster_access.kubeconfig(access) or ambient()))
    if not file.is_file():
        raise KubeApiError(f"there is no kubeconfig {file}")
    return KubeApi.of_kubeconfig(file.read_text(), access.context)


def ambient() -> str:
    """The first file of $KUBECONFIG, or kubectl's default."""
    files = os.environ.get("KUBECONFIG", "").split(os.pathsep)
    return files[0] or str(Path.home() / ".kube" / "config")


def namespaces(rendered: Rendered) -> frozenset[str]:
    """Those that the stack makes, or makes something in."""
    objects = [(m["kind"], m["metadata"]) for m in rendered.manifests]
    made = {metadata["name"] for kind, metadata in objects if kind == "Namespace"}
    return frozenset(made | {m["namespace"] for _, m in objects if "namespace" in m})


def going(api: KubeApi, wanted: Collection[str]) -> list[Object]:
    """Namespaces among `wanted` that are being deleted: nothing can be made there."""
    return [
        found
        for found in api.items(NAMESPACES)
        if found["metadata"]["name"] in wanted
        and "deletionTimestamp" in found["metadata"]
    ]


def await_namespaces(
    api: KubeApi, wanted: Collection[str], waiting: Waiting
) -> tuple[bool, list[tuple[str, str]]]:
    """Waits for deletions that an earlier run began.

    Whether there were any, and those that do not end, each with the cluster's reason.
    """
    there_were = bool(going(api, wanted))
    left = waiting.until_gone(
        "namespaces that are being deleted",
        lambda: [found["metadata"]["name"] for found in going(api, wanted)],
        NAMESPACE_SECONDS,
    )
    return there_were, [
        (f"Namespace {found['metadata']['name']}", _why(found))
        for found in (going(api, wanted) if left else [])
    ]


def _why(namespace: Object) -> str:
    conditions = namespace.get("status", {}).get("conditions") or []
    said = [c["message"] for c in conditions if c.get("status") == "True"]
    return f"it is being deleted, which does not end: {'; '.join(said) or 'no reason'}"
