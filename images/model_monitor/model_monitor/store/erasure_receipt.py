"""The receipt of an erasure, and the journal from which it is computed."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from model_monitor.store.store import Store


@dataclass(frozen=True)
class Change:
    """A file as it is before it loses rows."""

    path: str
    """Below the store."""
    rows: int
    """Rows that it will lose."""
    before: str
    """SHA-256 of the file."""


class ErasureJournal(Protocol):
    """Keeps what an erasure does, for a run after a kill."""

    request: str
    """The request that it carries out, for the audit chain."""

    @property
    def begun(self) -> str:
        """When the first run began, RFC 3339."""

    @property
    def settled(self) -> list[dict[str, Any]]:
        """Files of the receipt when a run last failed, as JSON has them."""

    @property
    def changes(self) -> list[Change]:
        """All that were noted since then, the earliest first."""

    @property
    def receipt(self) -> dict[str, Any] | None:
        """The receipt, once all files are done."""

    def changing(self, change: Change) -> None:
        """Note a change; it is made when this returns."""

    def settle(self, files: list[dict[str, Any]]) -> None:
        """Note which changes were made: others may change these files from now on."""

    def finished(self, receipt: dict[str, Any]) -> None:
        """Note the receipt."""


@dataclass(frozen=True)
class ErasedFile:
    """One file that lost rows."""

    path: str
    """Below the store."""
    rows: int
    """Rows that it lost."""
    before: str
    after: str
    """SHA-256 of the file; after is "" if nothing was left and the file deleted."""


@dataclass
class ErasureReceipt:
    """The result of an erasure. It never contains the value, nor an id."""

    time: str
    field: str
    value_hash: str
    """HMAC-SHA256 of the value: who has the key can show that it is the one."""
    files: list[ErasedFile] = dataclasses.field(default_factory=list)
    unread: list[str] = dataclasses.field(default_factory=list)
    """Landed files that could not be read, and so not searched."""
    unsearched: list[str] = dataclasses.field(default_factory=list)
    """Quarantined files that can be read in part or not at all: look at them."""
    complete: bool = True
    """False of an erasure that was given up: rows of the subject may be left."""

    @property
    def rows(self) -> dict[str, int]:
        """Return rows erased by table: the first folder of the path."""
        found: Counter[str] = Counter()
        for file in self.files:
            found[file.path.partition("/")[0]] += file.rows
        return dict(sorted(found.items()))

    def add(self, store: Store, path: Path, rows: int, before: str) -> None:
        """Put a changed file on the receipt, once if it was changed before."""
        after = digest_of(path) if path.exists() else ""
        relative = path.relative_to(store.root).as_posix()
        for place, known in enumerate(self.files):
            if known.path == relative:
                rows, before = rows + known.rows, known.before
                del self.files[place]
                break
        self.files.append(ErasedFile(relative, rows, before, after))

    def resume(self, store: Store, journal: ErasureJournal) -> None:
        """Put the files on the receipt that earlier runs changed."""
        self.files = [ErasedFile(**it) for it in journal.settled]
        for change in _made(store, journal.changes):
            self.add(store, store.root / change.path, change.rows, change.before)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "rows": self.rows}

    @classmethod
    def of_json(cls, raw: dict[str, Any]) -> ErasureReceipt:
        files = [ErasedFile(**it) for it in raw["files"]]
        others = {key: raw[key] for key in raw if key not in ("files", "rows")}
        return cls(**others, files=files)


def _made(store: Store, changes: Sequence[Change]) -> Iterator[Change]:
    """Yield the changes of a journal that were made before a kill or an error.

    Of the last one of a file, the file tells; an earlier one was made if the next of
    the same file has another digest to begin with.
    """
    following: dict[str, str] = {}
    made = []
    for change in reversed(changes):
        path = store.root / change.path
        now = following.get(change.path)
        if now is None:
            now = digest_of(path) if path.exists() else ""
        if now != change.before:
            made.append(change)
        following[change.path] = change.before
    yield from reversed(made)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
