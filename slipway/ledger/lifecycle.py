"""States of a model's revision, the transitions between them, and their history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from slipway.ledger.entry import Entry

REGISTERED, STAGED, RETIRED = "registered", "staged", "retired"
SHADOW, CANARY, SERVING = "shadow", "canary", "serving"
TRANSITIONS: dict[str, tuple[str, ...]] = {
    REGISTERED: (STAGED, RETIRED),
    STAGED: (SHADOW, CANARY, SERVING, RETIRED),
    SHADOW: (CANARY, SERVING, STAGED, RETIRED),
    CANARY: (SERVING, STAGED),
    SERVING: (STAGED, RETIRED),
    RETIRED: (),
}
"""Allowed transitions from each state. The way back is always to `staged`: the revision
stays deployable, which a stack that still names it needs."""
USED_AGAIN = (SHADOW, CANARY, SERVING)
"""States into which a rollout's decision may bring a retired revision: nobody may plan
it, but it can have happened, and the ledger says what was used."""
STATES = tuple(TRANSITIONS)
ACTIONS = {
    REGISTERED: "revision_registered",
    STAGED: "revision_staged",
    SHADOW: "shadow_started",
    CANARY: "canary_started",
    SERVING: "serving_started",
    RETIRED: "revision_retired",
}
"""An entry's `action` when the revision enters a state."""
TAKEN_BACK = "revision_taken_back"
"""The same for `staged` from shadow, canary or serving."""
_FIXES = {
    REGISTERED: "stage it first: `slipway ledger stage`",
    CANARY: "take it back first: `slipway ledger move ... staged`",
    RETIRED: "register a new revision; a retired one does not come back",
}


@dataclass(frozen=True)
class Revision:
    """A revision as its entries leave it."""

    name: str
    state: str
    subject: dict[str, Any]
    """Registered data: image, files, digests; never changes."""
    registered: str
    """Hash of the entry that registered it."""
    newest: Entry
    """The entry that brought it into its state."""


@dataclass(frozen=True)
class History:
    """Revisions of one model by name, after some entries."""

    model: str
    revisions: dict[str, Revision] = field(default_factory=dict)

    def refusal(self, revision: str, state: str, *, decided: bool = False) -> str:
        """Why the revision may not come into a state, and the fix; empty if it may.

        decided: a rollout's decision has brought it there already.
        """
        found = self.revisions.get(revision)
        if found is None:
            known = ", ".join(self.revisions) or "none"
            return (
                f"{self.model} has no revision {revision} in the ledger (it has: "
                f"{known}); register it first: `slipway ledger register`"
            )
        allowed = TRANSITIONS[found.state]
        again = decided and found.state == RETIRED and state in USED_AGAIN
        if state in allowed or again:
            return ""
        fix = _FIXES.get(found.state, f"allowed are {', '.join(allowed)}")
        return f"{found.state} to {state} is not an allowed transition; {fix}"

    def after(self, entry: Entry) -> History:
        """The history with one more entry; ValueError if it may not stand there."""
        revision, state = _places(entry, self.model)
        if entry.action != self.action(revision, state):
            raise ValueError(f"`{entry.action}` does not bring {revision} into {state}")
        if state == REGISTERED:
            return self._registered(entry, revision)
        decided = decision_of(entry.details) is not None
        if reason := self.refusal(revision, state, decided=decided):
            raise ValueError(f"{revision}: {reason}")
        found = self.revisions[revision]
        if entry.details.get("registered") != found.registered:
            raise ValueError(f"{revision}: `registered` is another entry's hash")
        if not entry.details.get("reason"):
            raise ValueError(f"{revision}: there is no reason")
        return self._with(replace(found, state=state, newest=entry))

    def action(self, revision: str, state: str) -> str:
        """The action of an entry that brings the revision into a state."""
        found = self.revisions.get(revision)
        if state == STAGED and found and found.state != REGISTERED:
            return TAKEN_BACK
        return ACTIONS[state]

    def _registered(self, entry: Entry, revision: str) -> History:
        if revision in self.revisions:
            raise ValueError(f"{revision} is registered twice")
        subject = entry.details.get("subject")
        if not isinstance(subject, dict) or not _is_subject(subject):
            raise ValueError(f"{revision}: there is no subject with an image or files")
        return self._with(Revision(revision, REGISTERED, subject, entry.hash, entry))

    def _with(self, revision: Revision) -> History:
        return replace(self, revisions=self.revisions | {revision.name: revision})


def decision_of(details: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The rollout's decision that an entry was copied from; None of a person's own."""
    found = details.get("decision")
    is_whole = isinstance(found, dict) and {"id", "sha256"} <= found.keys()
    return found if is_whole else None


def _places(entry: Entry, model: str) -> tuple[str, str]:
    details = entry.details
    revision, state = details.get("revision"), details.get("state")
    if details.get("model") != model:
        raise ValueError(f"the entry is of the model {details.get('model')!r}")
    if not isinstance(revision, str) or state not in STATES:
        raise ValueError("the entry has no revision or no known state")
    return revision, str(state)


def _is_subject(given: dict[str, Any]) -> bool:
    image, files = given.get("image", ""), given.get("files", [])
    if not isinstance(image, str) or not isinstance(files, list):
        return False
    return bool(image or files) and all(
        isinstance(it, dict)
        and isinstance(it.get("path"), str)
        and isinstance(it.get("sha256"), str)
        for it in files
    )
