"""`slipway logs`: what a model's pods wrote, and one request followed by its id."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import click

from components.serving.models_settings import ModelsSettings
from slipway import stack_settings
from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.engine import stack_api
from slipway.logs import places
from slipway.logs.line import Line
from slipway.logs.reading import Span, follow, read
from slipway.logs.request import Trace
from slipway.printable import printable

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SINCE_SECONDS = 600
NEWEST = 100


def seconds(_context: object, _option: object, text: str | None) -> int | None:
    """A duration such as 90s, 10m, 2h or 7d, in seconds."""
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    if not found:
        raise click.BadParameter(
            f"{text!r} is not a duration: write a whole number and s, m, h or d, such "
            "as 10m"
        )
    return int(found[1]) * _UNITS[found[2]]


def identity(_context: object, _option: object, text: str | None) -> str | None:
    """A request id, as anybody may have sent it."""
    if text is not None and not re.fullmatch(r"[!-~]{1,1024}", text):
        raise click.BadParameter(
            f"{text!r} is not a request id: give 1 to 1024 printable ASCII characters "
            "without spaces"
        )
    return text


@click.command(name="logs")
@click.argument("model", metavar="MODEL")
@click.option("--stack", default="models.lab", show_default=True, metavar="STACK")
@click.option(
    "--request-id",
    callback=identity,
    metavar="ID",
    help="Follow this request from the gateway to its prediction record.",
)
@click.option(
    "--since",
    callback=seconds,
    metavar="TIME",
    help="How far back: 90s, 10m, 2h, 7d. Default with an id: 10m.",
)
@click.option(
    "--tail",
    type=click.IntRange(1, 100_000),
    default=NEWEST,
    show_default=True,
    help="Number of newest lines of each container; not with an id.",
)
@click.option(
    "--follow", "-f", "following", is_flag=True, help="Follow new lines until Ctrl-C."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    help="Maximum rows of a request's record.",
)
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    *,
    stack: str,
    request_id: str | None,
    since: int | None,
    tail: int,
    following: bool,
    as_json: bool,
    limit: int,
) -> None:
    """Show the logs of MODEL's pods, or follow one request by its id.

    MODEL is a model server of the stack, or a model that several of them serve. With
    --request-id, lines of the gateway and the servers and the record in the prediction
    log are shown in chronological order; features and protected attributes are not
    shown. Logs of terminated pods are lost. Exit status 1: the id was not found.
    """
    if request_id and following:
        raise click.UsageError("--follow and --request-id cannot be given together")
    settings = stack_settings.load(stack, ModelsSettings)
    wanted = places.servers(settings, model)
    if not wanted:
        known = ", ".join(settings.models)
        raise click.ClickException(f"{stack} has no model {model}; it has: {known}")
    show = printer(as_json=as_json)
    try:
        with stack_api.of_stack(stack) as api:
            if request_id:
                period = since or _SINCE_SECONDS
                trace = Trace(api, settings, wanted, period, limit)
                ctx.exit(_trace(trace, request_id, show))
            found = list(places.of_model(api, settings, wanted))
            if not found:
                namespace = settings.platform.namespace
                raise click.ClickException(f"{model} has no pods in {namespace}")
            if following:
                _follow(follow(api, found, Span(since, tail)), show)
            else:
                _show(api, found, Span(since, tail), show)
    except KubeApiError as error:
        raise click.ClickException(printable(error)) from None


def printer(*, as_json: bool) -> Callable[[Line], None]:
    """Prints a line in one of the two ways."""
    return lambda line: click.echo(line.to_json() if as_json else line.shown())


def _trace(trace: Trace, request_id: str, show: Callable[[Line], None]) -> int:
    found = trace.follow(request_id)
    for line in found.lines:
        show(line)
    for note in found.notes:
        _note(note)
    if not found.lines:
        click.echo(f"error: {request_id} was found nowhere", err=True)
    return 0 if found.lines else 1


def _show(
    api: KubeApi,
    found: list[places.Place],
    span: Span,
    show: Callable[[Line], None],
) -> None:
    said = read(api, found, span)
    for line in said.lines:
        show(line)
    for name, why in said.unread.items():
        _note(f"{name} cannot be read: {why}")


def _follow(lines: Iterable[Line | KubeApiError], show: Callable[[Line], None]) -> None:
    for line in lines:
        if isinstance(line, KubeApiError):
            _note(line)
        else:
            show(line)


def _note(text: object) -> None:
    click.echo(f"note: {printable(text)}", err=True)
