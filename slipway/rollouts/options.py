"""What the commands of rollouts and experiments share: options, and the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rollout.objects import Names
from rollout.settings import SettingsError as WrittenError

from components.serving.models_settings import ModelsSettings
from slipway import stack_settings
from slipway.cluster.kube_api import KubeApiError
from slipway.engine import stack_api
from slipway.printable import printable
from slipway.rollouts.live import Live

model_argument = click.argument("model", metavar="MODEL")
stack_option = click.option(
    "--stack", default="models.lab", show_default=True, metavar="STACK"
)
why_option = click.option(
    "--why",
    required=True,
    metavar="TEXT",
    help="Reason, recorded with the decision.",
)
despite_replicas_option = click.option(
    "--despite-replicas",
    is_flag=True,
    help="Also if the new revision has too few ready replicas for the weight.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
heads_option = click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="DIGEST",
    help="A head printed earlier and kept elsewhere; may be repeated.",
)


@contextmanager
def opened(stack: str, model: str) -> Iterator[Live]:
    """The rollout of a model server; a ClickException says why there is none."""
    settings = stack_settings.load(stack, ModelsSettings)
    if model not in settings.models:
        known = ", ".join(settings.models)
        raise click.ClickException(f"{stack} has no model {model}; it has: {known}")
    try:
        with stack_api.of_stack(stack) as api:
            yield Live(api, Names(settings.platform.namespace, model))
    except KubeApiError as error:
        raise click.ClickException(printable(error)) from None
    except WrittenError as error:
        raise click.ClickException(f"{model}: {printable(error)}") from None
