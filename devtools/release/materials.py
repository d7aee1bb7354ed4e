"""A CycloneDX bill of materials of an installed Slipway.

`cyclonedx-py` of the project CycloneDX describes the environment that the tests ran in;
packages that only developers need are then removed. The `.lock` files have the hashes
of every distribution's files.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from devtools.release.packages import REQUIREMENTS
from toolchain import commands, own_venv
from toolchain.errors import OperatorError

CHECK = Path(__file__).with_name("bill_check.py")
SECONDS = 300.0
EXTRA = "local"
Object = dict[str, Any]


def write(pyproject: Path, version: str, out: Path) -> Path:
    """Writes slipway-VERSION.cdx.json into `out`; the same environment, same bytes."""
    target = out / f"slipway-{version}.cdx.json"
    commands.run(
        [str(own_venv.python(REQUIREMENTS)), "-m", "cyclonedx_py", "environment"]
        + ["--pyproject", str(pyproject), "--mc-type", "application"]
        + ["--output-reproducible", "--spec-version", "1.7", "--no-validate"]
        + ["--output-file", str(target), sys.executable],
        timeout_seconds=SECONDS,
    )
    asked = asked_for(pyproject)
    bill = shipped(json.loads(target.read_text()), asked, needed(asked))
    target.write_text(json.dumps(bill, indent=1) + "\n")
    check(target)
    return target


def check(bill: Path) -> None:
    """OperatorError if a bill is not as CycloneDX's schema has it: what is shipped."""
    python = own_venv.python(REQUIREMENTS)
    said = commands.run([python, "-I", CHECK, bill], timeout_seconds=SECONDS)
    if error := json.loads(said)[str(bill)]:
        raise OperatorError(f"{bill}: not valid by CycloneDX's schema: {error}")


def asked_for(pyproject: Path) -> list[str]:
    """Names of the distributions that the project requires, including its extra."""
    project = tomllib.loads(pyproject.read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"][EXTRA]]
    return sorted({canonicalize_name(Requirement(line).name) for line in lines})


def needed(names: Iterable[str]) -> dict[str, list[str]]:
    """What the distributions need in turn, all by name, from this environment.

    OperatorError if one is not installed. `cyclonedx-py` counts what extras need that
    nobody asked for: by it, a dependency needs mypy. Here markers are evaluated.
    """
    found: dict[str, list[str]] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = _needs(name)
            todo += found[name]
    return found


def _needs(name: str) -> list[str]:
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        raise OperatorError(
            f"{name} is not in the environment, and the project needs it; run "
            "`make environment`"
        ) from None
    asked = map(Requirement, lines)
    wanted = (it for it in asked if not it.marker or it.marker.evaluate({"extra": ""}))
    return sorted({canonicalize_name(it.name) for it in wanted})


def shipped(
    bom: Mapping[str, Any], asked: Sequence[str], needs: Mapping[str, Sequence[str]]
) -> Object:
    """The bill with what is needed, directly or not, and nothing else."""
    known: Object = {canonicalize_name(it["name"]): it for it in bom["components"]}
    kept = {name: known[name] for name in sorted(needs)}
    refs = {name: it["bom-ref"] for name, it in kept.items()}
    root = bom["metadata"]["component"]["bom-ref"]
    edges = [{"ref": root, "dependsOn": [refs[it] for it in asked]}]
    for name, ref in refs.items():
        edges.append({"ref": ref, "dependsOn": [refs[it] for it in needs[name]]})
    return {**bom, "components": list(kept.values()), "dependencies": edges}
