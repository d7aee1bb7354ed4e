"""`slipway compose`: a stack of models as a Docker Compose project."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.compose.composition import FILE
from slipway.compose.stack import compose


@click.command(name="compose")
@click.argument("stack", metavar="STACK")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for compose.yaml and its files; default: rendered/compose/STACK.",
    metavar="DIR",
)
@click.option(
    "--platform",
    metavar="STACK",
    help="Platform stack of gateway and monitoring; default: of the same environment.",
)
@click.option(
    "--monitoring",
    is_flag=True,
    help="Also publish Prometheus, Alertmanager and the alerts on loopback.",
)
def command(
    stack: str, out: Path | None, platform: str | None, monitoring: bool
) -> None:
    """Write a models stack as a Docker Compose project for one machine.

    It has the same images by digest, settings, routes and rules as on a cluster.
    Differences on a single machine are printed. Needs no cluster and no Docker; `docker
    compose up --detach --wait` in the folder starts it.
    """
    folder = out or Path("rendered") / "compose" / stack
    project = compose(stack, platform, publish_monitoring=monitoring)
    written = project.write(folder)
    for line in project.limits:
        click.echo(f"note: {line}", err=True)
    click.echo(
        f"{stack}: {len(project.services)} services, {len(written)} files; "
        f"docker compose --file {folder / FILE} up --detach --wait",
        err=True,
    )
