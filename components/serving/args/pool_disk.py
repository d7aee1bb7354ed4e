"""Check that the disks of the models' pools have room for prediction logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.cluster.nodes import node_capacity, pool_nodes
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.serving.args import pool_room
from components.serving.args.model_server_args import ModelServerArgs
from components.settings import Problem


def problems(
    models: Mapping[str, ModelServerArgs], pools: Mapping[str, NodePoolBase]
) -> Iterator[Problem]:
    """Report prediction logs that do not fit on a node of the pool.

    The check counts one replica per node: the scheduler decides how many share one.
    """
    for name, args in models.items():
        chosen = pool_room.pool_of(args)
        pool = pools.get(chosen or "")
        is_logged = args.prediction_log.enabled and args.runtime.FACTS.logs_predictions
        if pool and is_logged:
            yield from _log(f"models.{name}.prediction_log", args, chosen or "", pool)


def _log(
    path: str, args: ModelServerArgs, name: str, pool: NodePoolBase
) -> Iterator[Problem]:
    log = args.prediction_log
    rooms = {
        t.name: node_capacity.pod_disk_mib(t, pool.disk_gib, pool.content_gib)
        for t in pool_nodes.types(pool)
    }
    smallest = min(rooms, key=lambda it: rooms[it])
    asked, room = log.folder_mib, rooms[smallest]
    if asked > room:
        yield Problem(
            f"{path}.total_mib",
            log.total_mib,
            f"with its open files the log takes {asked} MiB of a node's disk; in the "
            f"pool {name} a {smallest} has {room} MiB left for pods after "
            f"{pool.content_gib} GiB of images and weights",
            f"give at most {max(0, room - asked + log.total_mib)}, or raise the pool's "
            "disk_gib",
        )
