"""`slipway models`: model folders on this machine, before anything is deployed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from toolchain import paths

SERVER = paths.ROOT / "images/model_server"


@click.group()
def command() -> None:
    """Check model folders on this machine."""


@command.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.pass_context
def check(ctx: click.Context, folder: Path) -> None:
    """Check whether the model server would serve FOLDER, without serving it.

    FOLDER is a model folder or contains several. Each model is loaded, warmed up and
    run with its example rows and generated ones, as a server does at startup: the
    shapes are compared with model.yaml, the answers with examples.json, and rows must
    not change each other's answers. Settings such as MODEL_SERVER_MAX_BATCH_ROWS apply
    as in a server. Exit status 1: a server would not serve all models.
    """
    run = subprocess.run(
        [sys.executable, "-m", "model_server.check", str(folder)],
        env={**os.environ, "PYTHONPATH": str(SERVER)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    click.echo(run.stdout, nl=False)
    ctx.exit(run.returncode)
