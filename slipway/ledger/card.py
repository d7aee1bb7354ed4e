"""A model card, collected from a model folder and from the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from slipway.ledger import card_fields, chain, figures, subject
from slipway.ledger.entry import Entry
from slipway.ledger.figures import Figure
from slipway.ledger.lifecycle import REGISTERED, RETIRED, Revision
from slipway.ledger.store import Store, checked_name
from toolchain.errors import OperatorError, WrongInputError

REFERENCE = "reference.json"
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Card:
    """The known facts about one revision; unstated ones are missing."""

    model: str
    revision: str
    manifest: dict[str, Any]
    files: dict[str, str]
    """SHA-256 of the folder's files by path."""
    stated: dict[str, Any]
    """Values of card_fields.FIELDS by name."""
    figures: list[Figure]
    reference: dict[str, Any]
    """reference.json; empty without one."""
    entries: list[Entry]
    """Entries of this revision; empty if the ledger has none."""
    registered: Revision | None

    @property
    def derivation(self) -> dict[str, str]:
        """The revision that it was made from, and the recipe; empty if it was not."""
        return subject.derivation(self.manifest)

    def missing(self) -> list[str]:
        """Return the facts that production requires and nobody has stated."""
        found = list(card_fields.missing(self.stated))
        if not self.figures:
            found.append("metrics: not stated; write them in model.yaml or --figures")
        state = self.registered.state if self.registered else ""
        if state in ("", REGISTERED, RETIRED):
            found.append(
                f"{self.revision}: {state or 'not registered'} in the ledger, and "
                "production asks for staged or later; `slipway ledger stage`"
            )
        return found


def collect(
    folder: Path,
    store: Store,
    more: Sequence[Figure] = (),
    trusted: Mapping[str, Ed25519PublicKey] | None = None,
) -> Card:
    """The card of a model folder; WrongInputError lists what is wrong in model.yaml.

    trusted: keys that may sign the ledger; None leaves signatures unchecked. Raises
    OperatorError if the ledger is broken, signed by another key, or knows the revision
    with other files.
    """
    manifest = subject.read_manifest(folder)
    model = checked_name(str(manifest.get("name", "")))
    revision, content = subject.describe(subject.Given(model, folder=folder))
    stated, problems = card_fields.read(manifest)
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        path = folder / subject.MANIFEST
        raise WrongInputError(f"{path}: {len(problems)} problems:{lines}")
    registered, entries = _of_ledger(store, model, revision, trusted)
    files = {it["path"]: it["sha256"] for it in content["files"]}
    if registered:
        _compare(folder, files, registered)
    return Card(
        model=model,
        revision=revision,
        manifest=manifest,
        files=files,
        stated=stated,
        figures=[
            *figures.of_manifest(manifest.get("metrics")),
            *figures.of_derivation(manifest.get("derived_from")),
            *more,
        ],
        reference=_reference(folder / REFERENCE, revision),
        entries=entries,
        registered=registered,
    )


def _of_ledger(
    store: Store,
    model: str,
    revision: str,
    trusted: Mapping[str, Ed25519PublicKey] | None,
) -> tuple[Revision | None, list[Entry]]:
    found = chain.read(store, model, trusted=trusted)
    if found.broken:
        fix = "see `slipway ledger verify`"
        if found.broken.what == "key":
            fix = "if you do trust it, name its public half with --trust"
        raise OperatorError(f"{found.broken}; {fix}")
    entries = [it for it in found.entries if it.details["revision"] == revision]
    return found.history.revisions.get(revision), entries


def _compare(folder: Path, files: dict[str, str], registered: Revision) -> None:
    bound = {it["path"]: it["sha256"] for it in registered.subject.get("files", [])}
    # People may describe a model better later; what it serves has digests elsewhere.
    bound.pop(subject.MANIFEST, None)
    other = sorted(it for it in bound if files.get(it) != bound[it])
    if other:
        raise OperatorError(
            f"{folder}: {', '.join(other)} differ from what {registered.name} was "
            "registered with; give the folder that was registered"
        )


def _reference(path: Path, revision: str) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WrongInputError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(found, dict) or found.get("revision", revision) != revision:
        raise WrongInputError(f"{path}: is not of {revision}; write it again")
    return found
