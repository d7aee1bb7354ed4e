"""Matches versions of a model in MLflow with revisions of the ledger.

It uses tags of the model version. `slipway.digest` holds the digest that the revision
was registered with. `slipway.revision` holds its name, and decides if several revisions
were registered with one digest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from slipway.ledger.canonical import digest
from slipway.ledger.lifecycle import (
    CANARY,
    SERVING,
    SHADOW,
    STAGED,
    TAKEN_BACK,
    History,
    Revision,
)
from slipway.ledger.mlflow_server import Version
from slipway.printable import printable
from toolchain.errors import WrongInputError

DIGEST_TAG, REVISION_TAG = "slipway.digest", "slipway.revision"
ALIASES = {SERVING: "prod", CANARY: "canary", SHADOW: "shadow", STAGED: "staging"}
"""Aliases by state, unless others are given; the furthest state first."""
ALIAS = re.compile(r"(?!latest$|v\d+$)[A-Za-z0-9_-]{1,255}", re.IGNORECASE)
"""MLflow's rule: `latest` and v1, v2, ... are reserved in any case."""
REGISTERED_MODEL = re.compile(r"[^'\"/:\x00-\x1f\x7f]{1,256}")
"""MLflow refuses / and :; quotes would end the text of a search's filter."""


def content_digest(subject: Mapping[str, Any]) -> str:
    """What the tag holds: the image's digest; without one, that of the files.

    The latter is the SHA-256 of the canonical JSON of the entry's `files`.
    """
    if image := subject.get("image"):
        return str(image).rpartition("@")[2]
    return f"sha256:{digest(subject.get('files', []))}"


def tags(revision: Revision) -> dict[str, str]:
    """The tags of a version that is this revision."""
    return {DIGEST_TAG: content_digest(revision.subject), REVISION_TAG: revision.name}


def revision_of(history: History, version: Version) -> Revision | str:
    """The revision that a version is; or why it is none, and the fix."""
    model = history.model
    said = {key: printable(it) for key, it in version.tags.items()}
    link = f"slipway ledger mlflow link {model} REVISION {version.number}"
    if not said.get(DIGEST_TAG):
        return f"version {version.number} has no tag {DIGEST_TAG}; set it: {link}"
    known = [
        it
        for it in history.revisions.values()
        if content_digest(it.subject) == version.tags[DIGEST_TAG]
    ]
    if not known:
        return (
            f"the ledger has no revision of {model} with the digest "
            f"{said[DIGEST_TAG]} of version {version.number} (it has: "
            f"{', '.join(history.revisions) or 'none'}); register it first: `slipway "
            "ledger register`"
        )
    if said.get(REVISION_TAG):
        named = [it for it in known if it.name == version.tags[REVISION_TAG]]
        return named[0] if named else _misnamed(version.number, said, known)
    if len(known) > 1:
        return (
            f"version {version.number}: the revisions {_names(known)} have its digest; "
            f"say which it is: {link}"
        )
    return known[0]


def versions_of(
    revision: Revision, history: History, versions: Sequence[Version]
) -> list[str]:
    """Numbers of the versions that are this revision, the newest last."""
    found = [it.number for it in versions if revision_of(history, it) == revision]
    return sorted(found, key=lambda it: (len(it), it))


def in_state(history: History, state: str) -> list[Revision]:
    """Revisions in a state; an alias names the last, which entered it last.

    Of those in `staged`, one that was taken back does not count: it has been in use.
    """
    found = [
        it
        for it in history.revisions.values()
        if it.state == state and it.newest.action != TAKEN_BACK
    ]
    return sorted(found, key=lambda it: it.newest.sequence)


def chosen_aliases(given: Sequence[str]) -> dict[str, str]:
    """STATE=ALIAS texts as a mapping; all the default ones if there are none."""
    found: dict[str, str] = {}
    for text in given:
        state, _, alias = text.partition("=")
        if state not in ALIASES or not ALIAS.fullmatch(alias):
            raise WrongInputError(
                f"--alias: {text!r} is not STATE=ALIAS; states are "
                f"{', '.join(ALIASES)}, and an alias has letters, digits, _ and -, and "
                "is neither `latest` nor `v` with a number"
            )
        if state in found or alias in found.values():
            raise WrongInputError(
                f"--alias: {text!r} gives a state or an alias a second time; an alias "
                "names one version"
            )
        found[state] = alias
    return {it: found[it] for it in ALIASES if it in found} or dict(ALIASES)


def _misnamed(number: str, said: Mapping[str, str], known: Sequence[Revision]) -> str:
    return (
        f"version {number} has the tag {REVISION_TAG}={said[REVISION_TAG]}, and its "
        f"digest is that of {_names(known)}; correct the tags in MLflow"
    )


def _names(revisions: Sequence[Revision]) -> str:
    return ", ".join(it.name for it in revisions)
