"""`slipway audit`: verify that an audit chain is unchanged.

The chain is verified here, by the monitor's own code from this checkout. Anyone who can
change the chain in a pod may also have changed the program there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from components import naming
from components.monitoring import monitor_file
from components.serving.models_settings import ModelsSettings
from slipway import stack_settings
from slipway.cluster import pod_exec
from slipway.cluster.kube_api import KubeApiError
from slipway.engine import stack_api
from slipway.printable import lines, printable
from toolchain import paths

CODE = paths.ROOT / "images/model_monitor"
POD = f"{naming.MODEL_MONITOR}-0"
CONTAINER = "monitor"
CHAIN = f"{monitor_file.STORE}/audit/chain.jsonl"
COPY = ("python3", "-m", "model_monitor.audit", "copy", CHAIN)


def checked_anchor(_context: object, _option: object, text: str | None) -> str | None:
    """Parse NUMBER:HASH, as an earlier run printed it."""
    if text is not None and not re.fullmatch(r"[1-9][0-9]*:[0-9a-f]{64}", text):
        raise click.BadParameter(
            f"{text!r} is not NUMBER:HASH: give what an earlier run printed as newest"
        )
    return text


@click.group(name="audit")
def command() -> None:
    """Verify the audit chain of labels, erasures, thresholds and accesses."""


@command.command()
@click.argument(
    "file",
    required=False,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--stack", metavar="STACK", help="Stack to read without FILE; default: models.lab."
)
@click.option(
    "--anchor",
    callback=checked_anchor,
    metavar="NUMBER:HASH",
    help="Newest entry as printed by an earlier run; detects a truncated chain.",
)
@click.option(
    "--keep",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="COPY",
    help="Save the answer of the stack's monitor to this new file.",
)
@click.pass_context
def verify(
    ctx: click.Context,
    file: Path | None,
    stack: str | None,
    anchor: str | None,
    keep: Path | None,
) -> None:
    """Verify the chain in FILE, or that of a stack's model monitor.

    Prints the number of entries and the newest one, or the first broken link. Exit
    status 1: the chain is broken, or cannot be read.
    """
    if file and (stack or keep):
        raise click.UsageError("give FILE, or --stack with --keep, not both")
    if file:
        ctx.exit(_verify(file, anchor))
    content = read_chain(stack or "models.lab")
    if keep:
        _keep(keep, content)
        ctx.exit(_verify(keep, anchor))
    with tempfile.TemporaryDirectory(prefix="slipway-audit-") as folder:
        copied = Path(folder) / "chain.jsonl"
        copied.write_bytes(content)
        ctx.exit(_verify(copied, anchor))


def read_chain(stack: str) -> bytes:
    """The chain of the stack's monitor; a ClickException says why there is none."""
    settings = stack_settings.load(stack, ModelsSettings)
    if not settings.watched:
        raise click.ClickException(
            f"{stack}: no model has `monitor`, so there is no monitor with a chain"
        )
    namespace = settings.platform.namespace
    try:
        with stack_api.of_stack(stack) as api:
            done = pod_exec.run(
                api, namespace=namespace, pod=POD, container=CONTAINER, command=COPY
            )
    except KubeApiError as error:
        raise click.ClickException(printable(error)) from None
    if done.status:
        said = done.errors.strip().rpartition("\n")[2] or f"status {done.status}"
        raise click.ClickException(
            f"{namespace}/{POD}: the chain cannot be read: {printable(said)}"
        )
    return done.output


def _keep(path: Path, content: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise click.ClickException(
            f"--keep {path}: {error.strerror}; give a new file in a folder that you "
            "can write"
        ) from None


def _verify(path: Path, anchor: str | None) -> int:
    asked = ["--anchor", anchor] if anchor else []
    run = subprocess.run(
        [sys.executable, "-m", "model_monitor.audit", "verify", str(path), *asked],
        env={**os.environ, "PYTHONPATH": str(CODE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    # The text may contain data that was read in a pod.
    click.echo(lines(run.stdout), nl=False, err=bool(run.returncode))
    return run.returncode
