"""`slipway bench`: the load that a replica sustains, and the right size of replicas."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from slipway.bench import open_loop, recommend, sizing, usage
from slipway.bench.capacity import (
    HEADROOM,
    LATE_SHARE,
    Capacity,
    Limits,
    Step,
    judge,
    search,
)
from slipway.bench.subject import (
    Asking,
    ReplicasChangedError,
    Subject,
    SubjectError,
    of_stack,
    of_url,
)

MISFIT, INTERRUPTED = 3, 130
MOST_RATE = 20_000.0


@click.group(name="bench")
def command() -> None:
    """Measure running models: capacity of a replica, right sizes of replicas."""


@command.command("model")
@click.argument("subject", metavar="URL|STACK/MODEL")
@click.option(
    "--p99-ms", default=250.0, show_default=True, type=click.FloatRange(min=0.1)
)
@click.option(
    "--body",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a request; default: a generated row of the model's shape.",
)
@click.option(
    "--seconds",
    default=120.0,
    show_default=True,
    type=click.FloatRange(5, 3600),
    help="Time limit of the search.",
)
@click.option(
    "--step-seconds", default=5.0, show_default=True, type=click.FloatRange(1, 300)
)
@click.option(
    "--max-rate",
    default=2000.0,
    show_default=True,
    type=click.FloatRange(1, MOST_RATE),
    help="Maximum request rate of the test.",
)
@click.option(
    "--first-rate", default=10.0, show_default=True, type=click.FloatRange(min=0.1)
)
@click.option(
    "--gateway", default="", help="Address of the gateway; default: the lab's."
)
@click.option("--metrics", default="", help="Address of a URL's own /metrics page.")
@click.option(
    "--replicas",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Number of replicas behind the URL.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME:VALUE",
    help="Header of each request, such as a key; repeatable.",
)
@click.option("--yes", is_flag=True, help="Do not ask before load on another host.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def model_command(
    *,
    subject: str,
    p99_ms: float,
    body: Path | None,
    seconds: float,
    step_seconds: float,
    max_rate: float,
    first_rate: float,
    gateway: str,
    metrics: str,
    replicas: int,
    headers: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """Find the highest rate at which p99 stays low and no request fails.

    Rates are doubled, then the gap is halved. Requests start on schedule even if others
    are still waiting (an open loop), so waits are included. The last run uses 70 % of
    that rate; then the lines for the stack file are printed.

    This overloads the server on purpose, and its predictions are logged like any
    others: do not run it against a server of real users by accident. Fix the number of
    replicas (min_replicas = max_replicas) while it runs, and run it on a different
    machine from the server. Exit status: 0 found, 1 nothing found, 130 interrupted
    (what was found so far is shown).
    """
    console = Console(stderr=as_json)
    try:
        asking = Asking(body, dict(map(_header, headers)))
        target = click.get_current_context().with_resource(
            _subject(subject, gateway, asking, metrics, replicas)
        )
    except SubjectError as error:
        raise click.ClickException(str(error)) from error
    if not target.is_loopback and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"{target.url} is on another host: give --yes")
        click.confirm(f"Overload {target.url} on purpose?", abort=True)
    limits = Limits(
        p99_seconds=p99_ms / 1000,
        step_seconds=step_seconds,
        total_seconds=seconds,
        first_rate=min(first_rate, max_rate),
        highest_rate=max_rate,
    )
    console.print(
        f"POST {target.url}, {len(target.body)} bytes, {target.replicas} replica(s); "
        f"p99 under {p99_ms:g} ms; up to {seconds:g} s",
        highlight=False,
    )
    found, interrupted = Capacity(), False
    try:
        search(lambda rate, s: measure(target, rate, s, limits, console), limits, found)
    except KeyboardInterrupt:
        interrupted, found.ended = True, "it was interrupted"
    except ReplicasChangedError as error:
        found.ended = str(error)
    if as_json:
        click.echo(json.dumps(as_data(target, found), indent=2))
    else:
        _print(console, target, found)
    if interrupted:
        sys.exit(INTERRUPTED)
    if found.best is None:
        sys.exit(1)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        # Not shown: it may be a key without its name.
        raise SubjectError("not a valid header: give --header 'NAME: VALUE'")
    return name.strip(), value.strip()


def _subject(
    text: str, gateway: str, asking: Asking, metrics: str, replicas: int
) -> Subject:
    if "://" in text or "/" not in text:
        return of_url(text, asking, metrics, replicas)
    stack, _, name = text.partition("/")
    if not gateway:
        from lab.settings import LabSettings

        if not stack.endswith(".lab"):
            raise SubjectError(
                f"the gateway's address for {stack} is not known: give --gateway URL"
            )
        port = LabSettings.from_environment().ports()["gateway"]
        gateway = f"http://127.0.0.1:{port}"
    return of_stack(stack, name, gateway, asking)


def measure(
    target: Subject, rate: float, seconds: float, limits: Limits, console: Console
) -> Step:
    """Do one open-loop run, and measure the replicas' resource use."""
    bounds = open_loop.Bounds(
        timeout_seconds=max(2.0, 8 * limits.p99_seconds),
        late_seconds=LATE_SHARE * limits.p99_seconds,
    )
    before, start = target.readings(), time.monotonic()
    report = open_loop.run(
        open_loop.Target(target.url, (target.body,), target.headers),
        open_loop.constant(rate, seconds),
        bounds,
    )
    target.check()
    after = target.readings()
    used = usage.between(before, after, time.monotonic() - start)
    problem = judge(report, limits.p99_seconds)
    step = Step(rate, report, used, problem)
    console.print(
        f"  {rate:8.1f}/s  {problem or report.invalid or 'sustained'}",
        highlight=False,
        soft_wrap=True,
    )
    return step


def as_data(target: Subject, found: Capacity) -> dict[str, Any]:
    """Return the whole result in its JSON form."""
    best = found.best
    per_replica = recommend.rate_per_replica(found, target.replicas)
    return {
        "url": target.url,
        "replicas": target.replicas,
        "steps": [step.as_data() for step in found.steps],
        "ended_early": found.ended,
        "highest_rate": best.rate if best else None,
        "held_at": found.held.as_data() if found.held else None,
        "requests_per_second_per_replica": per_replica,
        "settings": recommend.recommendation(found, target.replicas),
    }


def _print(console: Console, target: Subject, found: Capacity) -> None:
    table = Table(
        "requests/s", "p50 ms", "p99 ms", "good/s", "CPU cores", "in flight", ""
    )
    for step in sorted(
        [*found.steps, *filter(None, [found.held])], key=lambda s: s.rate
    ):
        table.add_row(*_row(step))
    console.print(table)
    if found.ended:
        console.print(f"Ended early: {found.ended}; the result is a lower bound.")
    settings = recommend.recommendation(found, target.replicas)
    if not settings:
        console.print(
            "No recommendation: no rate was sustained, or this machine was too busy "
            "to measure it. Run it from a machine with a core to spare."
        )
        return
    per_replica = recommend.rate_per_replica(found, target.replicas) or 0.0
    console.print(
        f"A replica sustains {per_replica / HEADROOM:.0f} requests/s; hold it at "
        f"{per_replica:.0f} ({HEADROOM:.0%}). For models.<name> of the stack file:\n",
        highlight=False,
    )
    console.print(recommend.snippet(settings), highlight=False, markup=False)
    if "resources" not in settings:
        console.print("CPU and memory could not be read: give --metrics.")


def _row(step: Step) -> tuple[str, ...]:
    def milliseconds(share: float) -> str:
        value = step.report.percentile(share)
        return "-" if math.isnan(value) else f"{1000 * value:.1f}"

    used = step.used
    return (
        f"{step.rate:.1f}",
        milliseconds(0.5),
        milliseconds(0.99),
        f"{step.report.goodput:.1f}",
        f"{used.cpu_cores:.2f}" if used else "-",
        f"{used.inflight:.2f}" if used else "-",
        step.problem or ("generator late" if step.report.invalid else "sustained"),
    )


def prometheus_of(stack: str, given: str) -> str:
    """Return the address of a stack's Prometheus: the given one, or the lab's."""
    if given:
        return given
    from lab.settings import LabSettings

    if not stack.endswith(".lab"):
        raise click.UsageError(
            "the address of Prometheus is not known: give --prometheus URL"
        )
    return f"http://127.0.0.1:{LabSettings.from_environment().ports()['prometheus']}"


@command.command("sizing")
@click.argument("stack", metavar="STACK")
@click.option("--prometheus", default="", help="Address of Prometheus [lab's].")
@click.option(
    "--hours", default=168, show_default=True, type=click.IntRange(1, 24 * 365)
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def sizing_command(stack: str, prometheus: str, hours: int, as_json: bool) -> None:
    """Compare the resource use of replicas in the last hours with their requests.

    Exit status: 0 all sizes fit, 3 some do not, 1 Prometheus could not be asked.
    """
    try:
        findings = sizing.of_stack(stack, prometheus_of(stack, prometheus), hours)
    except sizing.PrometheusError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps([one.as_data() for one in findings], indent=2))
    else:
        _print_sizes(Console(), findings)
    if any(one.verdict not in sizing.FITTING for one in findings):
        sys.exit(MISFIT)


def _print_sizes(console: Console, findings: list[sizing.Finding]) -> None:
    table = Table("model", "setting", "is", "used", "better", "")
    for one in findings:
        table.add_row(
            one.model,
            one.setting,
            str(one.current),
            "-" if one.used is None else f"{one.used:.0f}",
            "-" if one.better is None else str(one.better),
            one.verdict,
        )
    console.print(table)
