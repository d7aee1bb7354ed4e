"""Add to the ledger: a writer that lost a race reads and decides again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from slipway.ledger import chain
from slipway.ledger.entry import Entry
from slipway.ledger.envelope import seal
from slipway.ledger.lifecycle import (
    ACTIONS,
    CANARY,
    REGISTERED,
    SERVING,
    SHADOW,
    STAGED,
    decision_of,
)
from slipway.ledger.store import ENTRY_BYTES, Store, TakenError
from toolchain.errors import OperatorError, WrongInputError

ATTEMPTS = 20
"""Each lost one means that another writer has added an entry meanwhile."""


@dataclass(frozen=True)
class Word:
    """Author, reason and evidence of an entry."""

    actor: str
    reason: str = ""
    approvals: Sequence[str] = ()
    evidence: Sequence[dict[str, str]] = ()

    def details(self) -> dict[str, Any]:
        return {
            "reason": self.reason,
            "approvals": list(self.approvals),
            "evidence": list(self.evidence),
        }


@dataclass(frozen=True)
class Done:
    """The entry, and whether this call has added it."""

    entry: Entry
    is_new: bool


@dataclass(frozen=True)
class _Change:
    action: str
    details: dict[str, Any]
    subject: dict[str, Any]


@dataclass(frozen=True)
class Ledger:
    """Adds signed entries to the chains of a store.

    Every call may be repeated: what is so already is found and not written twice.
    """

    store: Store
    key: Ed25519PrivateKey

    def register(
        self, model: str, revision: str, subject: dict[str, Any], word: Word
    ) -> Done:
        """Bind a revision's name to its digests for ever."""

        def decide(known: chain.Chain) -> Entry | _Change:
            found = known.history.revisions.get(revision)
            if found is None:
                return _Change(ACTIONS[REGISTERED], {"subject": subject}, subject)
            if found.subject == subject:
                return found.newest
            keys = sorted({*found.subject, *subject})
            other = [it for it in keys if found.subject.get(it) != subject.get(it)]
            raise WrongInputError(
                f"{model}: the revision {revision} is bound to other content (it "
                f"differs in {', '.join(other)}); register this one under a new name"
            )

        return self._add(model, revision, REGISTERED, decide, word)

    def stage(self, model: str, revision: str, word: Word) -> Done:
        """Stage a revision, and leave one as it is that is already further."""
        return self.move(
            model, revision, STAGED, word, passed=(SHADOW, CANARY, SERVING)
        )

    def move(
        self,
        model: str,
        revision: str,
        state: str,
        word: Word,
        *,
        passed: Sequence[str] = (),
        decision: Mapping[str, str] | None = None,
    ) -> Done:
        """Bring a revision into another state; WrongInputError if it may not go.

        passed: states that are as good, in which it is left. decision: the decision of
        a rollout that the entry is copied from; once copied by any writer, it is left.
        """
        if not word.reason.strip():
            raise WrongInputError(f"{model}: there is no reason; say it with --why")

        def decide(known: chain.Chain) -> Entry | _Change:
            history = known.history
            copied = _copied(known, revision, state, decision)
            if copied:
                return copied
            found = history.revisions.get(revision)
            if found and (found.state == state or found.state in passed):
                return found.newest
            refusal = history.refusal(revision, state, decided=decision is not None)
            if refusal or found is None:
                raise WrongInputError(f"{model} {revision}: {refusal}")
            details: dict[str, Any] = {
                "registered": found.registered,
                "from": found.state,
            }
            if decision:
                details["decision"] = dict(decision)
            return _Change(history.action(revision, state), details, found.subject)

        return self._add(model, revision, state, decide, word)

    def read(self, model: str) -> chain.Chain:
        """Return a model's whole chain; OperatorError if it is broken."""
        found = chain.read(self.store, model)
        if found.broken:
            raise OperatorError(
                f"{found.broken}; nothing was added: keep the ledger as evidence, "
                "and restore it from a copy that `slipway ledger verify` accepts"
            )
        return found

    def _add(
        self,
        model: str,
        revision: str,
        state: str,
        decide: Callable[[chain.Chain], Entry | _Change],
        word: Word,
    ) -> Done:
        named = {"model": model, "revision": revision, "state": state}
        for _ in range(ATTEMPTS):
            found = self.read(model)
            change = decide(found)
            if isinstance(change, Entry):
                return Done(change, is_new=False)
            entry = Entry.after(
                found.last,
                actor=word.actor,
                action=change.action,
                details=named | change.details | word.details(),
            )
            content = seal(entry, change.subject, self.key)
            if len(content) > ENTRY_BYTES:
                raise WrongInputError(
                    f"{model} {revision}: the entry would have {len(content)} bytes, "
                    f"at most {ENTRY_BYTES}; put files that are not the model's "
                    "elsewhere"
                )
            try:
                self.store.create(model, entry.sequence, content)
            except TakenError:
                continue
            return Done(entry, is_new=True)
        raise OperatorError(
            f"{model}: other writers were quicker {ATTEMPTS} times; run it again"
        )


def _copied(
    known: chain.Chain,
    revision: str,
    state: str,
    decision: Mapping[str, str] | None,
) -> Entry | None:
    """The entry that another writer has copied from a decision meanwhile, if any."""
    if decision is None:
        return None
    for entry in reversed(known.entries):
        said, copied = entry.details, decision_of(entry.details)
        is_same = (
            copied is not None
            and copied["id"] == decision["id"]
            and copied.get("server") in (None, decision.get("server"))
        )
        if is_same and (said["revision"], said["state"]) == (revision, state):
            return entry
    return None
