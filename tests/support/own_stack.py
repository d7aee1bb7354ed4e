"""The tests' own stacks in the lab, in addition to the lab's own."""

from __future__ import annotations

from dataclasses import dataclass

from examples.demo_rollout.lab_stack import LabStack
from slipway.engine.engine import Engine

ENVIRONMENTS = (
    "adopted",
    "application",
    "frameworks",
    "gang",
    "grpc",
    "rollout",
    "savedmodel",
    "scaling",
    "sleepy",
    "spark",
    "streams",
    "versions",
)
"""Second parts of these stacks' names."""


@dataclass(frozen=True)
class OwnStack(LabStack):
    """A stack that `forget_all` covers."""

    def __post_init__(self) -> None:
        assert self.name.partition(".")[2] in ENVIRONMENTS, "see forget_all"


def forget_all() -> None:
    """Removes the state of all these stacks: the cluster that had them is gone."""
    for environment in ENVIRONMENTS:
        Engine().forget(environment)
