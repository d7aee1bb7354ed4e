"""`slipway resize`: gives running replicas the sizes that `bench sizing` recommends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from components.serving.args.parts import Part, parts
from components.serving.models_settings import ModelsSettings
from components.yaml_text import written
from slipway import stack_settings
from slipway.bench import sizing
from slipway.bench.command import prometheus_of
from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.engine import stack_api
from slipway.printable import printable
from slipway.resize import plan, replica
from slipway.resize.plan import CHANGEABLE, Change
from slipway.resize.replica import ResizeError, Watch
from toolchain.errors import OperatorError


def sizes(
    _context: object, _option: object, texts: Sequence[str]
) -> dict[str, int] | None:
    """SETTING=NUMBER as a mapping; None if there are none."""
    found = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in CHANGEABLE or not number.isdecimal():
            raise click.BadParameter(
                f"{text!r} is not SETTING=NUMBER; settings are {', '.join(CHANGEABLE)}"
            )
        found[name] = int(number)
    return found or None


@click.command(name="resize")
@click.argument("model", metavar="MODEL")
@click.option("--stack", default="models.lab", show_default=True, metavar="STACK")
@click.option("--prometheus", default="", help="Address of Prometheus [lab's].")
@click.option(
    "--hours", default=168, show_default=True, type=click.IntRange(1, 24 * 365)
)
@click.option(
    "--set",
    "given",
    multiple=True,
    callback=sizes,
    metavar="SETTING=NUMBER",
    help="Size to set instead of one from Prometheus; repeatable.",
)
@click.option(
    "--revision", default="", help="Only this revision of the model; default: all."
)
@click.option(
    "--seconds",
    default=60.0,
    show_default=True,
    type=click.FloatRange(1, 3600),
    help="Timeout for one replica.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def command(
    model: str,
    *,
    stack: str,
    prometheus: str,
    hours: int,
    given: dict[str, int] | None,
    revision: str,
    seconds: float,
    yes: bool,
) -> None:
    """Resize the running replicas of MODEL, a model server of the stack, in place.

    The sizes are those that `slipway bench sizing` recommends, or those of --set.
    Replicas are resized one after the other, without a restart and while they answer;
    each must be ready before the next. If a replica cannot be resized, its former size
    is restored and the others stay unchanged. New replicas have the sizes of the stack
    file: the lines for it are printed at the end, also if only an autoscaler prevents
    the resize. Exit status: 0 done, or all sizes fit, 1 refused or failed, 2 the
    settings or the command line are wrong.
    """
    settings = stack_settings.load(stack, ModelsSettings)
    chosen = _parts(settings, stack, model, revision)
    try:
        changes = _changes(chosen, stack, prometheus, hours, given)
    except sizing.PrometheusError as error:
        raise click.ClickException(str(error)) from None
    if not changes:
        click.echo(f"{model}: all sizes fit; nothing was changed.")
        return
    namespace = settings.platform.namespace
    try:
        with stack_api.of_stack(stack) as api:
            _refuse(api, namespace, changes, stack)
            _print_changes(changes)
            _confirm(yes)
            watch = Watch(seconds)
            for change in changes:
                _apply(api, namespace, change, watch)
    except KubeApiError as error:
        raise click.ClickException(printable(f"{stack}: {error}")) from None
    _print_stack_changes(changes, stack)


def _parts(
    settings: ModelsSettings, stack: str, model: str, revision: str
) -> list[Part]:
    if model not in settings.models:
        known = ", ".join(settings.models)
        raise click.ClickException(f"{stack} has no model {model}; it has {known}")
    found = parts(model, settings.models[model])
    if not revision:
        return list(found)
    chosen = [it for it in found if it.revision == revision]
    if not chosen:
        known = ", ".join(it.revision for it in found if it.revision) or "none"
        problem = f"{model} has no revision {revision}; it has {known}"
        raise click.ClickException(problem)
    return chosen


def _changes(
    chosen: Sequence[Part],
    stack: str,
    prometheus: str,
    hours: int,
    given: dict[str, int] | None,
) -> list[Change]:
    """The changes of parts whose sizes do not fit."""
    if given:
        found = [Change(it, given) for it in chosen]
    else:
        findings = sizing.of_stack(stack, prometheus_of(stack, prometheus), hours)
        found = [plan.of_findings(it, findings) for it in chosen]
    return [it for it in found if it.sizes]


def _refuse(
    api: KubeApi, namespace: str, changes: Sequence[Change], stack: str
) -> None:
    """OperatorError lists all obstacles; nothing is changed then.

    Sizes that only an autoscaler prevents are printed for the stack file.
    """
    problems, autoscalers = (
        [text for change in changes for text in found(api, namespace, change)]
        for found in (plan.problems, plan.autoscalers)
    )
    if autoscalers and not problems:
        _print_stack_changes(changes, stack)
    if problems or autoscalers:
        found = dict.fromkeys([*problems, *autoscalers])
        lines = "".join(f"\n  {printable(it)}" for it in found)
        raise OperatorError(f"nothing was resized:{lines}")


def _print_changes(changes: Sequence[Change]) -> None:
    for change in changes:
        now = change.part.args.resources.model_dump()
        for name, size in change.sizes.items():
            click.echo(f"{change.part.name}: {name} {now[name]} -> {size}")


def _confirm(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to confirm on: give --yes")
    click.confirm("Resize the running replicas?", abort=True)


def _apply(api: KubeApi, namespace: str, change: Change, watch: Watch) -> None:
    """One replica after the other; OperatorError at the first that fails."""
    pods = plan.replicas(api, namespace, change.part)
    for number, pod in enumerate(pods, 1):
        name = pod["metadata"]["name"]
        try:
            replica.resize(api, namespace, pod, change, watch)
        except ResizeError as error:
            done = f"{number - 1} of {len(pods)} have the new size"
            failure = OperatorError(printable(f"{error}; {done}"))
            failure.exit_status = error.exit_status
            raise failure from None
        click.echo(printable(f"{name} has its new size ({number} of {len(pods)})"))


def _print_stack_changes(changes: Sequence[Change], stack: str) -> None:
    """Print the stack file's changes, which keep the sizes for new replicas."""
    lines: dict[str, dict[str, Any]] = {}
    for change in changes:
        resources = {"resources": change.resources}
        part = change.part
        known = lines.setdefault(part.server, {})
        if part.revision:
            known.setdefault("revisions", {})[part.revision] = resources
        else:
            known.update(resources)
    click.echo(
        f"\nNew replicas have the sizes of the stack file. For slipway:models of "
        f"{stack}; `slipway up {stack}` then replaces the replicas one by one:\n"
    )
    click.echo(written(lines), nl=False)
