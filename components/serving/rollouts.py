"""Settings for the rollout controller, made from the model servers of a stack."""

from __future__ import annotations

from collections.abc import Mapping

from components.delivery.rollout_controller import Rollout
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import parts
from components.serving.routes import route


def rollouts(models: Mapping[str, ModelServerArgs]) -> dict[str, Rollout]:
    """By server, those with a rollout."""
    return {name: _rollout(name, args) for name, args in models.items() if args.rollout}


def _rollout(server: str, args: ModelServerArgs) -> Rollout:
    assert args.rollout
    of_server = parts(server, args)
    return Rollout(
        args.rollout,
        {part.revision: part.name for part in of_server},
        route.traffic_rules(server, args, of_server),
        args.served(server),
    )
