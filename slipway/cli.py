"""The operator's command: stacks brought up, previewed, refreshed, destroyed, rendered.

Exit status: 0 done, 1 the engine failed, 2 the settings or the command line are wrong
(nothing was touched), 130 interrupted.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from slipway.commands import ELSEWHERE
from toolchain.errors import OperatorError

if TYPE_CHECKING:
    from slipway.engine.results import StackResult


class Slipway(click.Group):
    """Loads groups of other modules when they are used, and turns errors into text."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = [n for n, e in ELSEWHERE.items() if importlib.util.find_spec(e.module)]
        return sorted([*super().list_commands(ctx), *found])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = ELSEWHERE.get(cmd_name)
        if known is None or importlib.util.find_spec(known.module) is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(known.module).command
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List the commands as click does, without loading those of other modules."""
        listed = {name: self._listed(ctx, name) for name in self.list_commands(ctx)}
        limit = formatter.width - 6 - max(map(len, listed))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(limit)) for name, one in listed.items()]
            )

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[CompletionItem]:
        """Complete a command's name as click does, without loading any."""
        found = [
            CompletionItem(name, help=self._listed(ctx, name).get_short_help_str())
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def _listed(self, ctx: click.Context, name: str) -> click.Command:
        if name in ELSEWHERE:
            return click.Command(name, help=ELSEWHERE[name].about)
        found = super().get_command(ctx, name)
        assert found is not None
        return found

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OperatorError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_status)


stacks_argument = click.argument("stacks", nargs=-1, required=True, metavar="STACK...")


@click.group(cls=Slipway, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """GPU-aware, quality-gated model serving as code.

    A STACK is <layer>.<environment>, such as platform.lab or models.lab; its settings
    are in stacks/config/Pulumi.<stack>.yaml. Several stacks are processed in the given
    order. State is on this machine unless PULUMI_BACKEND_URL is set.
    """


@cli.command()
@stacks_argument
@click.option(
    "--refresh",
    is_flag=True,
    help="Read the real resources first, and revert changes by others.",
)
def up(stacks: Sequence[str], refresh: bool) -> None:
    """Create and update what the stacks declare.

    All settings are checked before the first change. The first failure stops the run;
    the next run continues from there.
    """
    from slipway.engine.engine import Engine

    _run(Engine, stacks, "up", refresh=refresh)


@cli.command()
@stacks_argument
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON, for `slipway compare --preview`.",
)
def preview(stacks: Sequence[str], *, as_json: bool) -> None:
    """Show what `up` would change; changes nothing."""
    from slipway.engine import summary
    from slipway.engine.engine import Engine

    results = _run(Engine, stacks, "preview", quiet=as_json)
    if as_json:
        click.echo(summary.previews(results), nl=False)


@cli.command()
@stacks_argument
def refresh(stacks: Sequence[str]) -> None:
    """Update the state from the real resources."""
    from slipway.engine.engine import Engine

    _run(Engine, stacks, "refresh")


@cli.command()
@stacks_argument
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--delete-volumes",
    is_flag=True,
    help="Delete volumes of claims that a cluster left behind, with their data.",
)
def destroy(stacks: Sequence[str], yes: bool, delete_volumes: bool) -> None:
    """Delete all resources of the stacks, the last one first.

    Before that, a cluster is emptied of what its controllers created (nodes, load
    balancers, volumes). Afterwards, resources that still have its tags are listed, with
    exit status 1.
    """
    from slipway.teardown.destroyer import Destroyer

    in_order = list(reversed(stacks))
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to confirm on: give --yes")
        click.confirm(f"Delete all resources of {', '.join(in_order)}?", abort=True)
    _run(lambda: Destroyer(delete_volumes=delete_volumes), in_order, "destroy")


@cli.command()
@stacks_argument
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write one file per object into DIR/<stack>/ instead of standard output.",
    metavar="DIR",
)
@click.option(
    "--secrets",
    is_flag=True,
    help="Write objects with secret values too, in plain text.",
)
@click.option(
    "--program",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Run your own Pulumi program instead of the layer's.",
    metavar="FILE",
)
def render(
    stacks: Sequence[str], out: Path | None, program: Path | None, *, secrets: bool
) -> None:
    """Print the stacks' manifests, ready for kubectl apply; deploys nothing.

    Needs no cluster and no cloud account; the charts of a platform stack are fetched
    once. Cloud resources are listed in DIR/<stack>.cloud.json. Objects with secret
    values, such as keys, are left out and listed; with --secrets they are written in
    plain text, to files that only you can read.
    """
    from slipway.rendering import program_file
    from slipway.rendering.render import render as render_stack

    run = program_file.of(program) if program else None
    rendered = [render_stack(stack, program=run) for stack in stacks]
    for one in rendered:
        if out is None:
            click.echo("---\n".join(one.files(secrets=secrets).values()), nl=False)
        else:
            one.write(out, secrets=secrets)
        click.echo(
            f"{one.stack}: {len(one.objects)} Kubernetes objects, "
            f"{len(one.cloud)} cloud resources" + (f" in {out}" if out else ""),
            err=True,
        )
        for name in one.written_by_others:
            click.echo(
                f"warning: {name} has the weights with which its rollout or "
                "experiment begins. Applying it again sets a running one back, and "
                "nothing checks whether a removed revision still gets requests: have "
                "your tool ignore spec.rules",
                err=True,
            )
        done = "in plain text" if secrets else "and was left out (--secrets)"
        for name in (*one.secrets, *sorted(one.secret_cloud)):
            if name not in one.sealed:
                click.echo(f"warning: {name} holds secret values {done}", err=True)
        for name in one.sealed:
            click.echo(
                f"warning: {name} holds values that only the engine can decrypt, and "
                "was left out: create it with `slipway up`, or with your secret "
                "manager",
                err=True,
            )


@cli.command()
@click.argument("layer", metavar="LAYER")
def schema(layer: str) -> None:
    """Print the JSON Schema of the stack files of a LAYER.

    The layers are cluster, platform, models and jobs.
    Editors complete and check stack files with it. The files in stacks/config name it
    in their first line.
    """
    from slipway import stack_schema
    from stacks import layers

    if layer not in layers.LAYERS:
        known = ", ".join(layers.LAYERS)
        raise click.BadParameter(f"{layer!r} is not a layer; the layers are {known}")
    click.echo(stack_schema.text(layer), nl=False)


@cli.command()
def version() -> None:
    """Show versions of Slipway and of the engine that it would use."""
    from slipway.engine import pulumi_cli

    for name, text in pulumi_cli.versions().items():
        click.echo(f"{name:20} {text}")


def _run(
    engine: Callable[[], Any],
    stacks: Iterable[str],
    verb: str,
    *,
    quiet: bool = False,
    **options: bool,
) -> list[StackResult]:
    """Run the verb on each stack in turn; end with a summary, unless quiet."""
    from slipway.engine import summary

    names = list(dict.fromkeys(stacks))
    runner = engine()
    if verb in ("up", "preview"):
        check_all(runner.check, names)
        if len(names) > 1:
            check_all(runner.check_existing, names)
    results: list[StackResult] = []
    try:
        for name in names:
            result = getattr(runner, verb)(name, **options)
            results.append(result)
            if not quiet:
                summary.details(result)
    finally:
        not_reached = names[len(results) + 1 :]
        failed = names[len(results) : len(results) + 1]
        if not quiet and (len(names) > 1 or results):
            summary.table(verb, results, failed, not_reached)
    return results


def check_all(check: Callable[[str], object], names: Iterable[str]) -> None:
    """Check all stacks before the first one is changed."""
    from components.settings import SettingsError

    wrong: list[SettingsError] = []
    for name in names:
        try:
            check(name)
        except SettingsError as error:
            wrong.append(error)
    for other in wrong[:-1]:
        click.echo(f"error: {other}", err=True)
    if wrong:
        raise wrong[-1]


def main() -> None:
    """Entry of the `slipway` command."""
    cli(prog_name="slipway")


if __name__ == "__main__":
    main()
