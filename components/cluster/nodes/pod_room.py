"""Requests of one pod beyond what a node of its pool has for pods."""

from __future__ import annotations

from collections.abc import Iterator

from components.catalog import InstanceType
from components.cluster.nodes import node_capacity, pool_nodes
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.settings import Problem


def problems(
    path: str,
    pool: NodePoolBase,
    own: tuple[int, int],
    *,
    beside: tuple[int, int] = (0, 0),
    what: str,
) -> Iterator[Problem]:
    """Millicores and MiB that no node of a type has; GPUs are counted elsewhere.

    For a pod that waits, Karpenter makes a node of a type that has room. So of an
    elastic pool one such type is enough; a node group may get nodes of any of its
    types. `own`: what the settings below `path` request; `beside`: what other
    containers of the pod do; `what`: runs in the pod.
    """
    short = [list(_of_type(path, t, own, beside, what)) for t in pool_nodes.types(pool)]
    if isinstance(pool, ElasticPool) and [] in short:
        return
    for found in short:
        yield from found


def _of_type(
    path: str, t: InstanceType, own: tuple[int, int], beside: tuple[int, int], what: str
) -> Iterator[Problem]:
    for field, unit, asked, more, most in (
        (
            "cpu_request_millicores",
            "",
            own[0],
            beside[0],
            node_capacity.pod_cpu_millicores(t),
        ),
        (
            "memory_request_mib",
            " MiB",
            own[1],
            beside[1],
            node_capacity.pod_memory_mib(t),
        ),
    ):
        if asked + more > most:
            yield Problem(
                f"{path}.{field}",
                asked,
                f"after DaemonSets the pods of a {t.name} of its pool get "
                f"{most}{unit}, so that no such node could run a {what}",
                f"give at most {max(0, most - more)}, or a pool of larger types",
            )
