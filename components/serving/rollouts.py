"""Settings for the rollout controller, made from the model servers of a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.delivery.pool_job import PoolJob
from components.delivery.rollout_controller import Rollout
from components.delivery.settings import RolloutSettings
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import parts
from components.serving.routes import route


def rollouts(
    models: Mapping[str, ModelServerArgs],
    evictable: Mapping[str, Sequence[PoolJob]] | None = None,
) -> dict[str, Rollout]:
    """Return the rollouts by server; `evictable`: the jobs that each may evict."""
    jobs = evictable or {}
    return {
        name: _rollout(name, args, moved, jobs.get(name, ()))
        for name, args in models.items()
        if (moved := args.weights_moved)
    }


def _rollout(
    server: str,
    args: ModelServerArgs,
    moved: RolloutSettings,
    evictable: Sequence[PoolJob],
) -> Rollout:
    of_server = parts(server, args)
    return Rollout(
        moved,
        {part.revision: part.name for part in of_server},
        route.traffic_rules(server, args, of_server),
        args.served(server),
        args.experiment.plain(args.served(server)) if args.experiment else None,
        tuple(evictable),
    )
