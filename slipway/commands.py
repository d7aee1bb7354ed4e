"""Commands that are modules of their own, as `slipway --help` lists them."""

from __future__ import annotations

from typing import NamedTuple


class Elsewhere(NamedTuple):
    """A command of another module, which is loaded when the command is used."""

    module: str
    """It has the `command`."""
    about: str
    """The first sentence of its help, for the list of commands."""


ELSEWHERE = {
    "audit": Elsewhere(
        "slipway.audit.command",
        "Verify the audit chain of labels, erasures, thresholds and accesses.",
    ),
    "bench": Elsewhere(
        "slipway.bench.command",
        "Measure running models: capacity of a replica, right sizes of replicas.",
    ),
    "catalog": Elsewhere(
        "slipway.catalog.command",
        "Instance types, GPUs, prices and versions that settings are checked against.",
    ),
    "check": Elsewhere(
        "slipway.policy.command",
        "Check STACKs against the rules in policies/.",
    ),
    "compare": Elsewhere(
        "slipway.preview.command",
        "Show how a change from BASE to HEAD affects stacks.",
    ),
    "compose": Elsewhere(
        "slipway.compose.command",
        "Write a models stack as a Docker Compose project for one machine.",
    ),
    "cost": Elsewhere(
        "slipway.cost.command",
        "Show what clusters cost: nodes that always run, and all up to the limits.",
    ),
    "dashboards": Elsewhere(
        "slipway.dashboards",
        "Write Grafana's dashboards as JSON files; needs no cluster and no Grafana.",
    ),
    "doctor": Elsewhere(
        "slipway.doctor.cli",
        "Check what STACK will need; changes nothing.",
    ),
    "drift": Elsewhere(
        "slipway.drift.command",
        "Show what others changed or deleted of STACKS since they were last applied.",
    ),
    "experiment": Elsewhere(
        "slipway.experiments.command",
        "A/B experiments: their report, and how they end.",
    ),
    "images": Elsewhere(
        "slipway.images",
        "Container images: build what changed, push by digest, load into kind, list.",
    ),
    "jobs": Elsewhere(
        "slipway.jobs.command",
        "Show the jobs of a stack and their runs; follow or stop a run.",
    ),
    "keys": Elsewhere(
        "slipway.keys",
        "Manage API keys of models' callers: add, list, revoke.",
    ),
    "ledger": Elsewhere(
        "slipway.ledger.command",
        "Model versions: register, stage, retire; history, verification, model cards.",
    ),
    "local": Elsewhere(
        "slipway.local.command",
        "Run everything on this machine: hosts, Kubernetes, stacks, a model server.",
    ),
    "logs": Elsewhere(
        "slipway.logs.command",
        "Show the logs of MODEL's pods, or follow one request by its id.",
    ),
    "models": Elsewhere(
        "slipway.models",
        "Check model folders on this machine.",
    ),
    "optimize": Elsewhere(
        "slipway.optimize.command",
        "Try faster forms of the model in FOLDER and keep the best that passes.",
    ),
    "replay": Elsewhere(
        "slipway.replay.command",
        "Compare a new revision's answers with those that a prediction log has.",
    ),
    "resize": Elsewhere(
        "slipway.resize.command",
        "Resize the running replicas of MODEL, a model server of the stack, in place.",
    ),
    "rollout": Elsewhere(
        "slipway.rollouts.command",
        "Rollouts of new revisions: status, orders, verification of decisions.",
    ),
    "run": Elsewhere(
        "slipway.jobs.run_command",
        "Start a run of JOB, a job of a stack that `slipway up` has deployed.",
    ),
}
"""Commands by name. What they import takes seconds, so that a list of them must not."""
