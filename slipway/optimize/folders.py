"""The model folder of a candidate, and what makes a revision of it."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from model_server.config import Config
from model_server.examples import FILE as EXAMPLES
from model_server.examples import read_examples
from model_server.manifest import ModelError, read_manifest
from model_server.model import Model, load_model
from model_server.model_files import GRAPH
from model_server.named_rows import joined
from model_server.onnx_files import external_files

from components import yaml_text
from slipway.ledger.subject import MANIFEST
from slipway.ledger.subject import read_manifest as read_content
from slipway.optimize.gate import Check
from slipway.optimize.recipes import EXAMPLE_TOLERANCE, Recipe, Source
from toolchain.digests import sha256_of

REFERENCE = "reference.json"
LIBRARIES = ("numpy", "onnx", "onnxruntime")
"""Distributions whose version can change a candidate's weights."""


def make(original: Path, folder: Path, recipe: Recipe, source: Source) -> None:
    """Write a candidate's folder; NotApplicableError if the recipe cannot be used."""
    folder.mkdir(parents=True)
    recipe.make(source, folder / GRAPH)
    left = {GRAPH, MANIFEST}
    if recipe.changes_answers:  # whose graph holds all its weights
        left |= set(_external(original))
    for file in sorted(it for it in original.rglob("*") if it.is_file()):
        name = file.relative_to(original).as_posix()
        if name not in left:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    content = read_content(original)
    kept = content.get("digests") or {}
    digests = {name: it for name, it in kept.items() if name not in left}
    weights = f"sha256:{sha256_of(folder / GRAPH)}"
    if "weights" in digests:
        digests["weights"] = weights
    _write(folder, content | {"digests": digests | {GRAPH: weights}})


def let_rows_depend(folder: Path) -> None:
    """Have a server run each request by itself."""
    _write(folder, read_content(folder) | {"rows": "dependent"})


def renew_examples(original: Path, folder: Path, config: Config) -> None:
    """Write the candidate's own answers into its examples, if the model has any.

    They still show a server a wrong file or a library that answers otherwise; that the
    answers are good is the gate's to say. ModelError if the candidate cannot be run.
    """
    examples = read_examples(original, read_manifest(original / MANIFEST))
    if examples is None:
        return
    model = load_model(folder, config.threads or 1)
    are_one = model.manifest.rows_are_dependent
    runs = [examples.rows] if are_one else [[row] for row in examples.rows]
    answers: dict[str, list[Any]] = {name: [] for name in examples.answers}
    for rows in runs:
        for name, values in _outputs(model, joined(rows)).items():
            if name in answers:
                answers[name] += values
    content = json.loads((folder / EXAMPLES).read_text())
    content |= {"outputs": answers, "tolerance": EXAMPLE_TOLERANCE}
    (folder / EXAMPLES).write_text(json.dumps(content) + "\n")


def weights(folder: Path) -> int:
    """Bytes of the graph and of the files with its weights."""
    return sum((folder / it).stat().st_size for it in {GRAPH, *_external(folder)})


def derive(
    folder: Path,
    original: Path,
    recipe: Recipe,
    *,
    checks: list[Check],
    data: str,
    metrics: Mapping[str, float],
) -> str:
    """Make a candidate's folder a revision of its own, and return the revision.

    It depends on the original's, the recipe, the weights and the libraries, and not on
    the measurements. `data` is the digest of the rows, `metrics` is what they showed.
    """
    content, parent = read_content(folder), read_content(original)["revision"]
    made_with = {name: version(name) for name in LIBRARIES}
    made_with["processor"] = platform.machine()
    parts = [parent, recipe.name, content["digests"][GRAPH], json.dumps(made_with)]
    revision = f"sha256:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"
    content["revision"] = revision
    if recipe.changes_answers:
        content["metrics"] = {"gate": dict(metrics)}
    content["derived_from"] = {
        "revision": parent,
        "recipe": recipe.name,
        "data": data,
        "made_with": made_with,
        "checks": [_check_report(it) for it in checks],
    }
    _write(folder, content)
    reference = folder / REFERENCE
    if reference.is_file():  # the training rows and their scores, as before
        content = json.loads(reference.read_text())
        content["revision"] = revision
        reference.write_text(json.dumps(content, indent=1) + "\n")
    return revision


def _check_report(check: Check) -> dict[str, Any]:
    found: dict[str, Any] = {
        "measure": check.measure,
        "part": check.part,
        "found": check.found,
        "manner": check.manner,
        "limit": check.limit,
    }
    if it := check.interval:
        for name in ("value", "lower", "upper"):
            found[name] = round(float(getattr(it, name)), 6)
    return {name: value for name, value in found.items() if value != ""}


def _external(folder: Path) -> Iterator[str]:
    """Paths of the files that the graph reads its weights from."""
    for location in external_files(folder / GRAPH):
        yield Path(location).as_posix()


def _outputs(model: Model, buffers: Any) -> dict[str, list[Any]]:
    try:
        arrays = model.run(buffers)
    except Exception as error:
        text = f"{model.manifest.name}: examples: the model refuses them: {error}"
        raise ModelError([text]) from error
    names = [it.name for it in model.manifest.outputs]
    return {name: _plain(it.tolist()) for name, it in zip(names, arrays, strict=True)}


def _plain(value: Any) -> Any:
    """A value as examples.json has it: null stands for what is not finite."""
    if isinstance(value, list):
        return [_plain(it) for it in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(folder: Path, content: Mapping[str, Any]) -> None:
    (folder / MANIFEST).write_text(yaml_text.written(dict(content)))
