"""`slipway dashboards`: Grafana's dashboards as files, to be imported by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolchain.errors import WrongInputError

if TYPE_CHECKING:
    from components.observability.dashboards.board import Board

WITH_DASHBOARDS = ("platform", "models")


@click.command(name="dashboards")
@click.argument("stacks", nargs=-1, metavar="[STACK]...")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for a JSON file of each dashboard.",
    metavar="FOLDER",
)
def command(stacks: Sequence[str], output: Path) -> None:
    """Write Grafana's dashboards as JSON files; needs no cluster and no Grafana.

    For stacks of the layers platform and models: dashboards of their components, with
    the limits of their alerts as thresholds. Without a STACK: all dashboards, with
    default limits, for models in the namespace `models`.

    A Grafana that loads dashboards from ConfigMaps needs no files: see the setting
    `dashboards`.
    """
    files = _files(_of_stacks(stacks) if stacks else (("", it) for it in standard()))
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (output / name).write_text(text)
    except OSError as error:
        raise WrongInputError(
            f"--output: {str(output)!r}: {error.strerror}: give a folder that can be "
            "written"
        ) from None
    click.echo(f"{len(files)} dashboards in {output}", err=True)


def _files(boards: Iterable[tuple[str, Board]]) -> dict[str, str]:
    """JSON by file name; UsageError if two stacks differ in a dashboard of one name.

    A folder for each stack would not help: Grafana knows a dashboard by its uid, which
    is the same in both.
    """
    from components.observability.dashboards import drawing

    files: dict[str, str] = {}
    first: dict[str, str] = {}
    for stack, board in boards:
        name, text = f"{board.name}.json", drawing.text(board)
        if files.setdefault(name, text) != text:
            raise click.UsageError(
                f"{first[name]} and {stack} both make {name}, with other limits; give "
                "them one at a time, with another --output each"
            )
        first.setdefault(name, stack)
    return files


def _of_stacks(stacks: Sequence[str]) -> Iterator[tuple[str, Board]]:
    """Each dashboard and the stack that makes it."""
    from components.platform import dashboards as of_platform
    from components.platform.settings import PlatformSettings
    from components.serving import dashboards as of_models
    from components.serving.models_settings import ModelsSettings
    from slipway import stack_settings
    from stacks import layers

    others = [it for it in stacks if layers.split(it)[0] not in WITH_DASHBOARDS]
    if others:
        raise click.UsageError(
            f"{', '.join(others)}: only stacks of the layers "
            f"{' and '.join(WITH_DASHBOARDS)} have dashboards"
        )
    for stack in dict.fromkeys(stacks):
        if layers.split(stack)[0] == "platform":
            platform = stack_settings.load(stack, PlatformSettings)
            made = of_platform.boards(platform)
        else:
            models = stack_settings.load(stack, ModelsSettings)
            made = of_models.boards(models)
        yield from ((stack, board) for board in made)


def standard() -> tuple[Board, ...]:
    """All dashboards, with the default limits of alerts."""
    from components import naming
    from components.monitoring.alerts import stale_cycle_seconds
    from components.monitoring.model_settings import Fairness, ModelMonitoring
    from components.monitoring.settings import MonitorSettings
    from components.observability.dashboards import sets
    from components.observability.dashboards.limits import Served
    from components.observability.settings import AlertThresholds
    from components.serving import dashboards
    from components.serving.settings.alert_settings import Alerts

    watched = ModelMonitoring(fairness=Fairness(attributes=("any",)))
    models = Served(
        naming.MODELS_NAMESPACE,
        {"": dashboards.server_limits(Alerts())},
        {"": dashboards.model_limits(watched)},
        stale_cycle_seconds(MonitorSettings()),
    )
    platform = AlertThresholds()
    return (
        *sets.of_platform(platform, gateway=True, gpus=True, prices=True),
        *sets.of_models(models),
    )
