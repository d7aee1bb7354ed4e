"""The tests' own stacks in the lab, in addition to the lab's own."""

from __future__ import annotations

from dataclasses import dataclass

import lab
from components import naming, ownership
from examples.demo_rollout.lab_stack import LabStack
from slipway.engine.engine import Engine
from tests.support.kube import Kube

ENVIRONMENTS = (
    "adopted",
    "application",
    "frameworks",
    "gang",
    "grpc",
    "hdfs",
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

    def down(self) -> None:
        """Delete everything that `up` has created; pods drain in the background."""
        end_pods(self.name)
        super().down()


def end_pods(stack: str) -> None:
    """Have a stack's Deployments go at once, and their pods in the background.

    Else the engine would wait until each pod, which nobody calls, has drained.
    """
    label = f"{naming.STACK_LABEL}={ownership.label(stack)}"
    words = ("delete", "deployments", "-n", naming.MODELS_NAMESPACE, "-l", label)
    # What is left is the engine's, which then says what is wrong.
    Kube(lab.Lab().kubeconfig).run(*words, "--wait=false", check=False)


def forget_all() -> None:
    """Removes the state of all these stacks: the cluster that had them is gone."""
    for environment in ENVIRONMENTS:
        Engine().forget(environment)
