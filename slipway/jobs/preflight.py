"""A run's requirements on its cluster, checked before it is created."""

from __future__ import annotations

from collections.abc import Iterator

from components.training.job_fields import JobFields
from components.training.spark_fields import SparkJobFields
from slipway.cluster.kube_api import KubeApi

GANGS = "/apis/scheduling.k8s.io/v1alpha2"
"""Kubernetes 1.36: Workload and PodGroup, behind the gates GenericWorkload,
GangScheduling and WorkloadWithJob."""
KUEUE = "/apis/kueue.x-k8s.io"
CLAIMS = "/api/v1/namespaces/{namespace}/persistentvolumeclaims"
MANY = "ReadWriteMany"


def problems(
    api: KubeApi, namespace: str, job: JobFields | SparkJobFields
) -> Iterator[str]:
    """Return the missing requirements, each with the fix."""
    if isinstance(job, JobFields):
        yield from _gang(api, namespace, job)
        several = f"{job.nodes} workers" if job.nodes > 1 else ""
    else:
        several = "pods of a driver and executors"
    for setting, place in job.claims.items():
        if place.claim:
            # One node may be enough for the event log; only the settings know.
            needed = several if place.many_nodes else ""
            yield from _claim(api, namespace, setting, place.claim, needed)


def _gang(api: KubeApi, namespace: str, job: JobFields) -> Iterator[str]:
    """Check the gang scheduling."""
    if job.gang == "native" and "PodGroup" not in api.kinds(GANGS):
        yield (
            "gang: native needs scheduling.k8s.io/v1alpha2, which this cluster does "
            "not serve: set the feature gates GenericWorkload, GangScheduling and "
            "WorkloadWithJob, or set gang: none"
        )
    if job.gang == "kueue":
        yield from _queue(api, namespace, str(job.queue))


def _queue(api: KubeApi, namespace: str, queue: str) -> Iterator[str]:
    group = api.get(KUEUE)
    if group is None:
        yield "gang: kueue needs Kueue, which this cluster does not have: install it"
        return
    version = group["preferredVersion"]["version"]
    path = f"{KUEUE}/{version}/namespaces/{namespace}/localqueues"
    if api.get(f"{path}/{queue}") is None:
        known = ", ".join(one["metadata"]["name"] for one in api.items(path))
        yield (
            f"queue: there is no LocalQueue {queue} in {namespace}; known: "
            f"{known or 'none'}"
        )


def _claim(
    api: KubeApi, namespace: str, setting: str, claim: str, several: str
) -> Iterator[str]:
    """`several`: what of the job may be on more than one node; empty: nothing."""
    found = api.get(f"{CLAIMS.format(namespace=namespace)}/{claim}")
    if found is None:
        yield (
            f"{setting}.claim: there is no claim {claim} in {namespace}: create it, or "
            "set size_gib and run `slipway up`"
        )
        return
    if found.get("status", {}).get("phase") == "Lost":
        yield f"{setting}.claim: the volume of {claim} is gone (phase Lost)"
    modes = found["spec"].get("accessModes") or []
    if several and MANY not in modes:
        yield (
            f"{setting}.claim: only one node can mount {claim} "
            f"({', '.join(modes)}), and the job has {several}: give a claim with "
            f"{MANY}"
        )
