"""`slipway compare`: what a change does to stacks, without engine or cluster."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from toolchain import paths
from toolchain.errors import FAILED, OperatorError

CHANGES = 2
"""Exit status with --detailed-exitcode where the sides differ."""
LOCK = click.Path(exists=True, dir_okay=False, path_type=Path)


class Compare(click.Command):
    """Ends with 1 for each error, since 2 says that there are changes."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            vars(error)["exit_code"] = FAILED
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OperatorError as error:
            error.exit_status = FAILED
            raise


@click.command(name="compare", cls=Compare)
@click.argument("base")
@click.argument("head", required=False)
@click.option("--stack", "stacks", multiple=True, help="Only this stack; repeatable.")
@click.option(
    "--environment",
    "environments",
    multiple=True,
    help="Only stacks of this environment, such as prod; repeatable.",
)
@click.option(
    "--images",
    type=LOCK,
    metavar="FILE",
    help="images.lock of the head checkout, and of base without --base-images.",
)
@click.option(
    "--base-images", type=LOCK, metavar="FILE", help="images.lock of the base checkout."
)
@click.option(
    "--preview",
    "previews",
    multiple=True,
    type=LOCK,
    metavar="FILE",
    help="What `slipway preview STACK --json` of head wrote; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of Markdown.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write JSON, Markdown, SARIF and code hosts' forms into DIR too.",
)
@click.option(
    "--detailed-exitcode",
    is_flag=True,
    help="Exit with 0 if nothing changes, 2 if something does or is not judged, 1 on "
    "errors.",
)
def command(
    base: str,
    head: str | None,
    stacks: Sequence[str],
    environments: Sequence[str],
    *,
    images: Path | None,
    base_images: Path | None,
    previews: Sequence[Path],
    as_json: bool,
    out: Path | None,
    detailed_exitcode: bool,
) -> None:
    """Show how a change from BASE to HEAD affects stacks.

    Each is a checkout's folder or a git revision; HEAD defaults to this checkout. Each
    is rendered by its own code, in a process without your environment variables; this
    checkout's code compares them. No cluster or account is used. Encrypted values
    are not decrypted. The exit status is 0 with or without changes, and 1 on
    errors; with --detailed-exitcode, 2 means changes, or a stack that is not judged.
    """
    from slipway.preview import (
        comparison,
        engine_verdicts,
        markdown,
        verdict,
        views,
    )
    from slipway.preview.sides import side

    with tempfile.TemporaryDirectory(prefix="slipway-compare-") as folder:
        work = Path(folder)
        sides = side(base, work / "base"), side(head or str(paths.ROOT), work / "head")
        names = comparison.chosen(*sides, stacks, environments)
        locks = base_images or images, images
        seen = engine_verdicts.load(previews, names)
        report = comparison.compare(*sides, names, locks, work / "rendered")
    report = verdict.with_verdict(engine_verdicts.merged(report, seen))
    texts = json.dumps(report.as_json(), indent=2) + "\n", markdown.text(report)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in zip(("compare.json", "compare.md"), texts, strict=True):
            (out / name).write_text(text)
        for name, view in views.FILES.items():
            (out / name).write_text(view(report))
    click.echo(texts[0] if as_json else texts[1], nl=False)
    if detailed_exitcode and report.changed:
        raise click.exceptions.Exit(CHANGES)
