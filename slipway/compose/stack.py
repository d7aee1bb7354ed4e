"""From two stacks to a Compose project: the models and the platform below them."""

from __future__ import annotations

import json

from components.delivery import rollout_file
from components.settings import Problem, SettingsError
from slipway import stack_files
from slipway.compose import gateway, monitor, monitoring, servers, sleepers, tools
from slipway.compose.composition import Composition
from slipway.compose.objects import Objects, name_of
from slipway.rendering.render import render
from stacks import layers

MODELS = "models"
PLATFORM = "platform"
LIMITS = """\
An update stops all replicas of a service before it starts new ones: there is no \
rolling update, and a failure of the machine is an outage of everything.
A container that exits is restarted; the gateway only stops sending requests to an \
unhealthy one.
Networks isolate model servers from each other and from the outside; the gateway and \
Prometheus can be reached from each of them, on every port.
The prediction log is kept in memory and is lost with its container; its size is \
added to the service's memory.
""".splitlines()
"""Differences that apply to every stack."""


def compose(
    stack: str,
    platform: str | None = None,
    *,
    publish_monitoring: bool = False,
) -> Composition:
    """The Compose project of a `models.*` stack; SettingsError if it cannot be one.

    `platform`: the stack whose gateway and monitoring it gets; by default the one of
    the same environment.
    """
    layer, environment = layers.split(stack)
    if layer != MODELS:
        problem = Problem(
            "STACK",
            stack,
            "Compose runs only model servers; the other layers need a cluster",
            f"give {MODELS}.{environment}",
        )
        raise SettingsError("slipway compose", [problem])
    below = platform or f"{PLATFORM}.{environment}"
    return translated(
        stack,
        Objects.of(render(stack).manifests),
        Objects.of(render(below).manifests),
        publish_monitoring=publish_monitoring,
    )


def translated(
    stack: str, models: Objects, below: Objects, *, publish_monitoring: bool = False
) -> Composition:
    """The same from the objects of both stacks."""
    _require_no_rollout(stack, models)
    composition = Composition(stack)
    composition.volumes[tools.volume()] = {}
    composition.add(tools.SERVICE, tools.service())
    models = monitor.without(composition, sleepers.awake(composition, models))
    servers.add(composition, models)
    both = Objects.of(models.all, below.all)
    gateway.add(composition, both, servers.Backends(models))
    monitoring.add(composition, below, models, publish=publish_monitoring)
    for line in LIMITS:
        composition.add_remark(line)
    for route in models.kind("GRPCRoute"):
        composition.add_remark(
            f"{name_of(route)}: the gateway of Compose does not route gRPC; clients "
            "on its network reach the server directly."
        )
    return composition


def _require_no_rollout(stack: str, models: Objects) -> None:
    """Raise SettingsError for weights that no controller would change."""
    problems = []
    for one in models.kind("ConfigMap"):
        data = one.get("data") or {}
        if rollout_file.SETTINGS_KEY in data and rollout_file.PLACES_KEY in data:
            server = json.loads(data[rollout_file.SETTINGS_KEY])["server"]
            setting = rollout_file.setting_of(data)
            problems.append(
                Problem(
                    f"models.{server}.{setting}",
                    "set",
                    "Docker Compose has no controller that moves the weights",
                    f"remove {setting} and give the revisions weights, or run the "
                    "stack on a cluster",
                )
            )
    if problems:
        raise SettingsError(stack_files.name(stack), problems)
