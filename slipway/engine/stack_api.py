"""The API of a stack's cluster, and waits for earlier deletions in it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from components.cluster.existing import cluster_access
from components.cluster.existing.kubeconfig_files import ambient
from components.settings import SettingsError
from slipway import stack_settings
from slipway.cluster import target
from slipway.cluster.kube_api import KubeApi, KubeApiError, Object
from slipway.engine import sessions
from slipway.rendering.render import Rendered
from slipway.waiting import Waiting

NAMESPACES = "/api/v1/namespaces"
NAMESPACE_SECONDS = 300.0
"""Seconds to wait for deletions of an earlier run: mostly the grace period of a model's
pods."""


def of_stack(stack: str, root: Path | None = None) -> KubeApi:
    """Return the API of the stack's cluster; KubeApiError if it cannot be found."""
    access = stack_settings.cluster(stack, root)
    if access.stack:
        cluster = target.of_state(sessions.resources(access.stack))
        if cluster is None:
            raise KubeApiError(f"{access.stack} has not created a cluster yet")
        return KubeApi.of_eks(
            cluster.name,
            cluster.region,
            cluster.endpoint,
            cluster.authority,
            access.role,
        )
    if access.terraform:
        found = access.terraform.connection()
        return KubeApi.of_eks(
            str(found.name),
            str(found.region),
            str(found.endpoint),
            str(found.certificate_authority),
            access.role,
        )
    given = cluster_access.kubeconfig(access)
    files = [Path(str(given))] if given else ambient()
    return KubeApi.of_files(files, access.context)


def namespaces(rendered: Rendered) -> frozenset[str]:
    """Return the namespaces that the stack creates, or creates objects in."""
    objects = [(m["kind"], m["metadata"]) for m in rendered.manifests]
    made = {metadata["name"] for kind, metadata in objects if kind == "Namespace"}
    return frozenset(made | {m["namespace"] for _, m in objects if "namespace" in m})


def going(api: KubeApi, wanted: Collection[str]) -> list[Object]:
    """Return the namespaces that are being deleted, where nothing can be created."""
    return [
        found
        for found in api.items(NAMESPACES)
        if found["metadata"]["name"] in wanted
        and "deletionTimestamp" in found["metadata"]
    ]


def await_of_stack(
    rendered: Rendered, root: Path | None, waiting: Waiting
) -> tuple[bool, list[tuple[str, str]]]:
    """Waits for deletions that an earlier run began in the stack's namespaces.

    As await_namespaces. A cluster that does not answer counts as having none: the
    engine will get the same error and report it in more detail. Settings can be wrong
    only if another program replaces the layer's own.
    """
    wanted = namespaces(rendered)
    if not wanted:
        return False, []
    try:
        with of_stack(rendered.stack, root) as api:
            return await_namespaces(api, wanted, waiting)
    except (KubeApiError, SettingsError):
        return False, []


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
        (f"Namespace {found['metadata']['name']}", _reason(found))
        for found in (going(api, wanted) if left else [])
    ]


def _reason(namespace: Object) -> str:
    conditions = namespace.get("status", {}).get("conditions") or []
    said = [c["message"] for c in conditions if c.get("status") == "True"]
    return (
        f"it is being deleted, which does not finish: {'; '.join(said) or 'no reason'}"
    )
