"""`slipway doctor platform.<environment>`: why pods wait for a node."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.doctor import node_size
from slipway.doctor.findings import Finding, Report
from slipway.doctor.pending import PendingPods, explain
from slipway.engine import stack_api
from slipway.teardown.drain import NODE_POOLS, PODS

NAME = "pending-pods"
NODE_OVERLAYS = "/apis/karpenter.sh/v1alpha1/nodeoverlays"


def examine(stack: str) -> Report:
    """Return a finding for each group of pods with the same reasons."""
    try:
        with stack_api.of_stack(stack) as api:
            findings = list(check(api))
    except KubeApiError as error:
        fix = "check the cluster, and `cluster` in the stack file"
        findings = [Finding(NAME, "unknown", stack, str(error), fix)]
    return Report(stack, "", "", tuple(findings))


def check(api: KubeApi) -> Iterator[Finding]:
    """Read the cluster's pods and pools, and check them."""
    pools, overlays = api.items(NODE_POOLS), api.items(NODE_OVERLAYS)
    waiting = explain(api.items(PODS), pools, node_size.of_type, overlays)
    for one in waiting:
        yield _finding(one)
    if not waiting:
        yield Finding(NAME, "good", "pods", "none waits for a node")


def _finding(one: PendingPods) -> Finding:
    subject = f"{one.namespace} {one.name}"
    asks = f"{one.count} pods, each requests {one.asks}"
    if one.is_served:
        pools = ", ".join(one.served_by)
        return Finding(
            NAME,
            "good",
            subject,
            f"{asks}: {pools} can serve them; a node is starting, or AWS had none "
            "available",
        )
    if not one.refusals:
        why = one.scheduler or "no scheduler has considered it"
        fix = "change the pods' requests, or add nodes: there are no NodePools"
        return Finding(NAME, "problem", subject, f"{asks}: {why}", fix)
    reasons = "; ".join(f"{r.pool}: {r.reason}" for r in one.refusals)
    fixes = dict.fromkeys(f"{r.pool}: {r.fix}" for r in one.refusals)
    return Finding(NAME, "problem", subject, f"{asks}: {reasons}", "; ".join(fixes))
