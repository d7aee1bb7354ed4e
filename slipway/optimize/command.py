"""`slipway optimize`: faster forms of a model, each held to a gate."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from slipway.ledger.subject import read_manifest
from slipway.optimize.gpu_jobs import STEPS, stack_lines
from toolchain import whole_files
from toolchain.digests import sha256_of
from toolchain.errors import OperatorError, WrongInputError

if TYPE_CHECKING:
    from slipway.optimize.candidate import Bench, Original, Verdict
    from slipway.optimize.gate import Purpose

RECIPES = ("tree_masks", "dynamic_int8", "dynamic_int8_per_channel", "static_int8")
LEAST_PAIRS = 31


@click.command(name="optimize")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Labelled rows that the model was not trained on: .parquet, .csv or .npz.",
)
@click.option(
    "--label", default="label", show_default=True, help="Column with the labels."
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="NAME",
    help="A column whose values must each keep their accuracy, besides the protected "
    "features of model.yaml; may be given several times.",
)
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    type=click.Choice(RECIPES),
    help="Recipe to try; default: all. Repeatable.",
)
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["speed", "size"]),
    default="speed",
    show_default=True,
    help="Goal of the optimization.",
)
@click.option(
    "--max-accuracy-loss",
    default=0.002,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Maximum loss of accuracy, with 97.5 % confidence.",
)
@click.option(
    "--max-group-accuracy-loss",
    default=0.005,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Maximum loss of accuracy of each group, likewise.",
)
@click.option(
    "--pairs",
    default=LEAST_PAIRS,
    show_default=True,
    type=click.IntRange(LEAST_PAIRS, 10_000),
    help="Timings of both models in turn, for each batch size.",
)
@click.option(
    "--dependent-rows",
    is_flag=True,
    help="Try candidates whose answers depend on other rows of the request; a server "
    "then runs each request by itself.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="New model folder; default: NAME-RECIPE in the current folder.",
)
@click.option(
    "--gpu-job",
    type=click.Choice(sorted(STEPS)),
    help="Print a job that makes a TensorRT engine of the model, for a stack file of "
    "the layer jobs, and try nothing here.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    folder: Path,
    data: Path | None,
    label: str,
    groups: Sequence[str],
    recipes: Sequence[str],
    purpose: Purpose,
    max_accuracy_loss: float,
    max_group_accuracy_loss: float,
    pairs: int,
    dependent_rows: bool,
    out: Path | None,
    gpu_job: str | None,
    as_json: bool,
) -> None:
    """Try faster forms of the model in FOLDER and keep the best that passes.

    Each candidate is compared with the model on labelled rows: one by one, and in
    random batches. Accuracy, labels, scores, speed and memory have limits. The fastest
    candidate within all limits becomes a model folder with its own revision;
    `derived_from` in its model.yaml records its origin. Settings such as
    MODEL_SERVER_THREADS apply as in a server. Exit status: 0 a model was written, 1 no
    candidate passes, 2 the input is invalid.
    """
    if gpu_job:
        _print_gpu_job(folder, gpu_job)
        return
    if data is None:
        raise click.UsageError("give labelled rows: --data FILE")
    chosen = dict.fromkeys(recipes or RECIPES)
    targets = {it: out or _default_target(folder, it) for it in chosen}
    if there := next((it for it in targets.values() if it.exists()), None):
        raise WrongInputError(f"{there}: is there already; give another --out")
    _import_server()
    logging.disable(logging.CRITICAL)  # of the server and of onnxruntime's tools
    ctx.call_on_close(lambda: logging.disable(logging.NOTSET))
    from model_server.config import ConfigError, read

    from slipway.optimize import latency
    from slipway.optimize.candidate import Bench
    from slipway.optimize.gate import Limits

    try:
        config = read(os.environ)
    except ConfigError as error:
        raise WrongInputError("\n".join(error.problems)) from None
    limits = Limits(max_accuracy_loss, max_group_accuracy_loss)
    bench = Bench(config, limits, purpose, pairs, dependent_rows)
    if config.threads > 1:
        bench = replace(bench, stopwatch=latency.seconds)
    original = _original(folder, data, label, groups, bench)
    with tempfile.TemporaryDirectory() as parent:
        verdicts = _verdicts(original, list(chosen), Path(parent))
        written = None
        if best := _best(verdicts, purpose):
            target = targets[best.recipe.name]
            written = target, _keep(best, original, f"sha256:{sha256_of(data)}", target)
    if as_json:
        click.echo(json.dumps(_as_data(verdicts, written), indent=2))
    else:
        _print(Console(), verdicts)
    if written is None:
        click.echo("No candidate passes; nothing was written.", err=True)
        ctx.exit(1)
    click.echo(f"{written[0]}: revision {written[1]}", err=True)


def _default_target(folder: Path, recipe: str) -> Path:
    return Path(f"{read_manifest(folder).get('name', folder.name)}-{recipe}")


def _import_server() -> None:
    """Let this process import the model server, and what that imports."""
    from slipway.optimize import search_path

    search_path.extend()
    try:
        import model_server.preparation  # noqa: F401
        import onnxruntime.quantization  # noqa: F401
    except ModuleNotFoundError as error:
        raise OperatorError(
            f"{error.name} is not installed here; pip install 'slipway[local]' orjson"
        ) from None


def _print_gpu_job(folder: Path, recipe: str) -> None:
    click.echo(stack_lines(read_manifest(folder), recipe), nl=False)
    click.echo(
        "note: replace the images, the pool and the instance types. This job is "
        "rendered and was tried on no GPU; no gate has judged what it makes.",
        err=True,
    )


def _original(
    folder: Path, data: Path, label: str, groups: Sequence[str], bench: Bench
) -> Original:
    from model_server.manifest import ModelError
    from model_server.manifest import read_manifest as read_served

    from slipway.optimize import rows, scoring
    from slipway.optimize.candidate import Original

    try:
        manifest = read_served(folder / "model.yaml")
        scoring.outputs_of(manifest)
        found = rows.read(data, manifest, label, groups)
        least = rows.CALIBRATION_ROWS + bench.limits.rows
        if len(found.labels) < least:
            raise WrongInputError(
                f"{data}: has {len(found.labels):,} rows, and {least:,} are the least: "
                f"{rows.CALIBRATION_ROWS} calibrate, the others judge"
            )
        return Original(folder, found, bench)
    except ModelError as error:
        lines = "".join(f"\n  {problem}" for problem in error.problems)
        raise WrongInputError(f"{folder}: no server would serve it:{lines}") from None


def _verdicts(
    original: Original, recipes: Sequence[str], parent: Path
) -> list[Verdict]:
    from slipway.optimize import search_path
    from slipway.optimize.candidate import Verdict, examine
    from slipway.optimize.recipes import MASKS, has_trees
    from slipway.optimize.recipes import RECIPES as KNOWN

    found = []
    for name in recipes:
        click.echo(f"{name} ...", err=True)
        missing = ""
        if name == MASKS and has_trees(original.graph):
            missing = search_path.add_extension()
        if missing:
            found.append(Verdict(KNOWN[name], [], missing))
        else:
            found.append(examine(original, KNOWN[name], parent / name))
    return found


def _best(verdicts: Sequence[Verdict], purpose: str) -> Verdict | None:
    """The fastest that passes, or the smallest."""
    from slipway.optimize import folders

    passed = {it.folder: it for it in verdicts if it.passed and it.folder}
    if purpose == "size":
        smallest = min(passed, key=folders.weights, default=None)
        return passed[smallest] if smallest else None
    return max(passed.values(), key=lambda it: it.merit, default=None)


def _keep(best: Verdict, original: Original, data: str, target: Path) -> str:
    """Write the new model folder; its revision."""
    from slipway.optimize import folders

    assert best.folder is not None
    revision = folders.derive(
        best.folder,
        original.folder,
        best.recipe,
        checks=best.checks,
        data=data,
        metrics={
            "rows": len(original.rows.labels),
            "accuracy": round(best.accuracy, 4),
        },
    )
    with whole_files.made(target, replace=False) as part:
        shutil.copytree(best.folder, part)
    return revision


def _as_data(
    verdicts: Sequence[Verdict], written: tuple[Path, str] | None
) -> dict[str, Any]:
    return {
        "candidates": [
            {
                "recipe": it.recipe.name,
                "passed": it.passed,
                "not_applicable": it.inapplicable,
                "checks": [
                    {
                        "measure": check.measure,
                        "part": check.part,
                        "found": check.found,
                        "run": check.manner,
                        "limit": check.limit,
                        "passed": check.passed,
                    }
                    for check in it.checks
                ],
            }
            for it in verdicts
        ],
        "folder": str(written[0]) if written else None,
        "revision": written[1] if written else None,
    }


def _print(console: Console, verdicts: Sequence[Verdict]) -> None:
    for it in verdicts:
        word = "passes" if it.passed else "fails"
        if it.inapplicable:
            console.print(
                f"{it.recipe.name}: cannot be tried: {it.inapplicable}",
                highlight=False,
                markup=False,
            )
            continue
        console.print(
            f"{it.recipe.name} {word}: {it.recipe.summary}",
            highlight=False,
            markup=False,
        )
        table = Table("check", "of", "found", "run", "limit", "")
        for check in it.checks:
            mark = {True: "ok", False: "fails", None: ""}[check.passed]
            table.add_row(
                check.measure,
                check.part,
                check.found,
                check.manner,
                check.limit,
                mark,
            )
        console.print(table)
