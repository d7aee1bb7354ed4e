"""A model's chain, read from a store up to its first break."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from slipway.ledger.entry import FIRST_PREVIOUS, Entry, Head
from slipway.ledger.envelope import BrokenEntryError, opened, subjects
from slipway.ledger.lifecycle import History
from slipway.ledger.store import ENTRY_BYTES, Store, Stored


@dataclass(frozen=True)
class Break:
    """The first place where a chain is not as it was written."""

    place: str
    """The file, also of an entry that is missing."""
    what: str
    """version, name, size, form, key, signature, hash, sequence, previous, time,
    transition, subject or anchor."""
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}: {self.reason}"


@dataclass(frozen=True)
class Chain:
    """The intact part of a chain: all, or the entries before the break."""

    model: str
    entries: tuple[Entry, ...]
    history: History
    broken: Break | None = None

    @property
    def last(self) -> Entry | None:
        return self.entries[-1] if self.entries else None


def read(
    store: Store,
    model: str,
    *,
    trusted: Mapping[str, Ed25519PublicKey] | None = None,
    anchor: Head | None = None,
) -> Chain:
    """Read a model's chain; stop at the first break.

    trusted: keys that may sign; None leaves signatures unchecked, as a writer does who
    has not all keys. Without an anchor, entries cut off the end cannot be noticed.
    """
    chain = Chain(model, (), History(model))
    for stored in store.read(model):
        place = store.place(model, stored.name)
        try:
            entry = _entry(stored, chain.last, trusted, anchor)
            history = _history(stored, entry, chain.history)
        except BrokenEntryError as error:
            broken = Break(place, error.what, str(error))
            return Chain(model, chain.entries, chain.history, broken)
        chain = Chain(model, (*chain.entries, entry), history)
    return _anchored(store, chain, anchor)


def _entry(
    stored: Stored,
    last: Entry | None,
    trusted: Mapping[str, Ed25519PublicKey] | None,
    anchor: Head | None,
) -> Entry:
    number = last.sequence + 1 if last else 1
    _require(not stored.fault, "version", stored.fault)
    _require(stored.number > 0, "name", "the file is not one of the ledger")
    missing = f"entry {number} is missing; this is entry {stored.number}"
    _require(stored.number <= number, "sequence", missing)
    twice = f"entry {stored.number} is there in several versions"
    _require(stored.number == number, "sequence", twice)
    too_long = f"it is longer than {ENTRY_BYTES} bytes"
    _require(len(stored.content) <= ENTRY_BYTES, "size", too_long)
    entry, _ = opened(stored.content, trusted)
    changed = "the entry was changed after it was written"
    _require(entry.is_whole(), "hash", changed)
    other = f"entry {entry.sequence} stands where {number} belongs"
    _require(entry.sequence == number, "sequence", other)
    previous = last.hash if last else FIRST_PREVIOUS
    unlinked = "`previous` is not the hash of the entry before"
    _require(entry.previous == previous, "previous", unlinked)
    older = "the entry is older than the one before"
    _require(not last or entry.time >= last.time, "time", older)
    agrees = anchor is None or anchor.sequence != number or anchor == entry.head
    _require(agrees, "anchor", "the entry is not the one that the anchor names")
    return entry


def _history(stored: Stored, entry: Entry, history: History) -> History:
    try:
        found = history.after(entry)
    except ValueError as error:
        raise BrokenEntryError("transition", str(error)) from None
    _, said = opened(stored.content, None)
    revision = found.revisions[entry.details["revision"]]
    other = "the statement's subject is not what the revision was registered with"
    _require(said == subjects(revision.subject), "subject", other)
    return found


def _anchored(store: Store, chain: Chain, anchor: Head | None) -> Chain:
    number = chain.last.sequence if chain.last else 0
    if anchor is None or number >= anchor.sequence:
        return chain
    place = store.place(chain.model, f"{number + 1:08}.json")
    reason = (
        f"the chain ends before entry {anchor.sequence}, which the anchor names: its "
        "end was cut off"
    )
    broken = Break(place, "anchor", reason)
    return Chain(chain.model, chain.entries, chain.history, broken)


def _require(holds: bool, what: str, reason: str) -> None:
    if not holds:
        raise BrokenEntryError(what, reason)
