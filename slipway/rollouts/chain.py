"""The records of a rollout's decisions, held against the head that its status keeps.

Each entry has the digest of the one before it (`previous`), and the status that of the
newest (`head`), so whoever changes or removes an entry breaks a link. A person who can
write the status too can write all of it anew; a head kept elsewhere shows that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout import record
from rollout.objects import ENTRY_KEY, Object
from rollout.status import Status

NAME = "rollout-entry-"
FORMS = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)
"""What an entry raises that no controller has written."""


@dataclass(frozen=True)
class Checked:
    """Decisions that are linked to a head, and the first thing that is wrong."""

    linked: int
    head: str
    """Digest of the newest decision; empty: there is none."""
    fault: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "decisions": self.linked,
            "head": self.head,
            "fault": self.fault or None,
            "verified": not self.fault,
        }


@dataclass(frozen=True)
class _Known:
    """An entry as the cluster has it."""

    id: str
    order: tuple[int, int]
    """When its rollout began, and its number."""
    digest: str
    previous: str


def in_order(entries: Iterable[record.Entry]) -> dict[str, record.Entry]:
    """Entries by their digests, in the order of their links, the oldest first.

    A clock that was set back changes no order. Chains without a link between them are
    in the order in which they began. KeyError or ValueError for what is no entry.
    """
    known = {record.digest(one): one for one in entries}
    places: dict[str, tuple[tuple[int, int], int]] = {}
    for newest in known:
        way, digest = [], newest
        while digest in known and digest not in places:
            way.append(digest)
            digest = known[digest].get("previous", "")
        for one in reversed(way):
            begun = (_order(str(known[one]["id"])), -1)
            first, place = places.get(known[one].get("previous", ""), begun)
            places[one] = (first, place + 1)
    return {it: known[it] for it in sorted(known, key=places.__getitem__)}


def check(
    config_maps: Iterable[Object], status: Status | None, kept: Sequence[str] = ()
) -> Checked:
    """Walk from the heads to the first entries, and look for entries beside the way.

    `status`: None if no rollout has begun. `kept`: heads that somebody kept elsewhere,
    also of chains that have ended. The entry of a decision that is being carried out
    may be there before the status has its digest. Decisions that wait for the ledger
    are read from the status.
    """
    known: dict[str, _Known] = {}
    head = status.head if status else ""
    intent, recent = (status.intent, status.recent) if status else (None, ())
    under_way = record.digest(intent.record) if intent else ""
    for waiting in status.pending if status else ():
        try:
            found = _entry(waiting)
        except FORMS as error:
            return Checked(0, head, f"an entry in the status is changed: {error!r}")
        known[found.digest] = found
    for config_map in config_maps:
        try:
            entry = _read(config_map)
        except FORMS as error:
            name = config_map["metadata"]["name"]
            return Checked(0, head, f"{name} is changed: {error!r}")
        if entry.digest != under_way:
            known[entry.digest] = entry
    linked: set[str] = set()
    for start in (head, *kept):
        newest = recent[0].id if recent and start == head else ""
        if fault := _walk(start, newest, known, linked):
            return Checked(len(linked), head, fault)
    return Checked(len(linked), head, _beside(known, linked))


def _read(config_map: Mapping[str, Any]) -> _Known:
    """Raise AttributeError to ValueError for what no controller has written."""
    entry = json.loads(config_map["data"][ENTRY_KEY])
    identity: str = entry["id"]
    if config_map["metadata"]["name"] != f"{NAME}{identity}":
        raise ValueError(f"it holds the entry {identity}")
    return _entry(entry)


def _entry(entry: dict[str, Any]) -> _Known:
    identity: str = entry["id"]
    return _Known(
        identity, _order(identity), record.digest(entry), str(entry["previous"])
    )


def _order(identity: str) -> tuple[int, int]:
    *_, begun, number = identity.split("-")
    return int(begun), int(number)


def _walk(head: str, newest: str, known: Mapping[str, _Known], linked: set[str]) -> str:
    """Follow the links from a head; return the first that leads nowhere, or nothing.

    `newest`: id of the decision that the head is of; empty: not known.
    """
    wanted, source = head, ""
    while wanted and wanted not in linked:
        entry = known.get(wanted)
        if entry is None:
            others = [it for digest, it in known.items() if digest not in linked]
            return _gone(wanted, source, newest, others)
        linked.add(wanted)
        wanted, source = entry.previous, entry.id
    return ""


def _gone(digest: str, source: str, newest: str, others: Iterable[_Known]) -> str:
    """Say whether the entry of that digest is changed or missing.

    Decisions are numbered without a gap, but for those that were called off.
    """
    by = f"{NAME}{source}" if source else "the head"
    after = _order(source) if source else (0, 0)
    for it in sorted(others, key=lambda it: it.order, reverse=True):
        is_next = it.order < after and it.order[1] == after[1] - 1
        if is_next or (not source and it.id == newest):
            return (
                f"{NAME}{it.id} is changed: its digest is {it.digest}, and {by} names "
                f"{digest}"
            )
    missing = f"the entry before {source}" if source else f"the entry {newest}".strip()
    return f"{missing} is missing: {by} names its digest {digest}"


def _beside(known: Mapping[str, _Known], linked: set[str]) -> str:
    """Name the newest entry to which no head leads; empty if there is none."""
    left = [it for digest, it in known.items() if digest not in linked]
    if not left:
        return ""
    newest = max(left, key=lambda it: it.order)
    return f"{NAME}{newest.id} is unlinked: no head leads to its digest {newest.digest}"
