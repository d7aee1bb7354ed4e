"""What is attested about an image: how it was built, and what is in it.

In-toto statements with SLSA's predicate (https://slsa.dev/spec/v1.1/provenance) and
CycloneDX's. The machine that builds also signs, so this is build level 1 of SLSA: it
says what was done, and whoever has the key could say anything.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slipway import sbom
from slipway.images.records import Record
from slipway.images.table import Image
from slipway.ledger.dsse import STATEMENT_TYPE
from toolchain import downloads, paths

PROVENANCE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://slipway.dev/image-build/v1"
BUILDER = "https://slipway.dev/operators-machine"
Object = dict[str, Any]


def statement(subject: Mapping[str, Any], kind: str, predicate: Object) -> Object:
    """An in-toto statement about one image."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [subject],
        "predicateType": kind,
        "predicate": predicate,
    }


def subject(repository: str, digest: str) -> Object:
    """An image as a statement names it; `digest` is sha256:..."""
    return {
        "name": repository,
        "digest": {"sha256": digest.removeprefix("sha256:")},
    }


def predicate(image: Image, record: Record, builder: str, document: str) -> Object:
    """Return how the image was built; `document` is its bill of materials."""
    commit, changed = revision()
    source = [{"uri": "git", "digest": {"gitCommit": commit}}] if commit else []
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"image": image.name, "base": image.base},
            "internalParameters": {
                "architecture": downloads.architecture(),
                "builder": builder,
                "key": record.key,
                "changedAfterCommit": changed,
            },
            "resolvedDependencies": [*source, *_dependencies(document)],
        },
        "runDetails": {"builder": {"id": BUILDER}},
    }


def revision() -> tuple[str, bool]:
    """The checkout's commit, and whether files differ from it.

    Empty without git, and for a copy in a checkout of something else.
    """
    top = _git("rev-parse", "--show-toplevel").strip()
    if not top or Path(top).resolve() != paths.ROOT.resolve():
        return "", False
    commit = _git("rev-parse", "HEAD").strip()
    return commit, bool(_git("status", "--porcelain").strip()) if commit else False


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=paths.ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout


def _dependencies(document: str) -> list[Object]:
    """Return the inputs that have an address and a sha256."""
    found = []
    for part in sbom.parts(document):
        for digest in part.get("hashes", []):
            if "purl" in part:
                sha256 = {"sha256": digest["content"]}
                found.append({"uri": part["purl"], "digest": sha256})
    return found


def bill(document: str) -> Object:
    """A bill of materials as the predicate of a statement."""
    found: Object = json.loads(document)
    return found
