"""`slipway doctor platform.<environment>`: why pods wait for a node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from components import cluster_access
from components.cluster_access import ClusterAccess
from components.settings import parse
from slipway import stack_files
from slipway.doctor import node_size
from slipway.doctor.findings import Finding, Report
from slipway.doctor.pending import PendingPods, explain
from slipway.kube_api import KubeApi, KubeApiError
from slipway.teardown import target
from slipway.teardown.drain import NODE_POOLS, PODS
from stacks.config import PREFIX

NAME = "pending-pods"
NODE_OVERLAYS = "/apis/karpenter.sh/v1alpha1/nodeoverlays"


def examine(stack: str) -> Report:
    """A finding for each group of pods that wait for the same reasons."""
    try:
        with api_of(stack) as api:
            findings = list(check(api))
    except KubeApiError as error:
        fix = "see to the cluster, and to `cluster` in the stack's file"
        findings = [Finding(NAME, "unknown", stack, str(error), fix)]
    return Report(stack, "", "", tuple(findings))


def check(api: KubeApi) -> Iterator[Finding]:
    """What the cluster says of its pods, and its pools of themselves."""
    pools, overlays = api.items(NODE_POOLS), api.items(NODE_OVERLAYS)
    waiting = explain(api.items(PODS), pools, node_size.of_type, overlays)
    for one in waiting:
        yield _finding(one)
    if not waiting:
        yield Finding(NAME, "good", "pods", "none waits for a node")


def _finding(one: PendingPods) -> Finding:
    subject = f"{one.namespace} {one.name}"
    asks = f"{one.count} pods, each asks for {one.asks}"
    if one.is_served:
        pools = ", ".join(one.served_by)
        return Finding(
            NAME,
            "good",
            subject,
            f"{asks}: {pools} can serve them; a node is on its way, or AWS had none",
        )
    if not one.refusals:
        why = one.scheduler or "no scheduler has looked at it"
        fix = "change the pods' demands, or add nodes: there are no NodePools"
        return Finding(NAME, "problem", subject, f"{asks}: {why}", fix)
    reasons = "; ".join(f"{r.pool}: {r.reason}" for r in one.refusals)
    fixes = dict.fromkeys(f"{r.pool}: {r.fix}" for r in one.refusals)
    return Finding(NAME, "problem", subject, f"{asks}: {reasons}", "; ".join(fixes))


def api_of(stack: str) -> KubeApi:
    """The cluster that the stack works on; KubeApiError if it cannot be found."""
    config = stack_files.load(stack).get("config") or {}
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
