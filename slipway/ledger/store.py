"""Storage of entries: one file per entry, which is only ever created."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from toolchain import whole_files
from toolchain.errors import OperatorError, WrongInputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""A model's name, which is a folder's as well."""
ENTRY_BYTES = 1 << 20
"""The largest file of an entry; more belongs into a file whose digest it gives."""
_ENTRY = re.compile(r"([0-9]{8})\.json")
_PART = re.compile(r"\.[0-9]{8}(\.json)?\.[0-9a-f]{16}\.part")


class TakenError(Exception):
    """Another writer has created the entry of this number."""


@dataclass(frozen=True)
class Stored:
    """A file of a model's ledger as it is stored."""

    name: str
    number: int
    """Return the entry's number; 0 if the name is not an entry's."""
    content: bytes
    fault: str = ""
    """Why it is not a version of an entry, if the store knows."""


class Store(Protocol):
    """Entries by model and number."""

    def models(self) -> list[str]:
        """Names of models that have a ledger."""

    def read(self, model: str) -> list[Stored]:
        """All that is stored of a model, by number: every version of every file."""

    def create(self, model: str, number: int, content: bytes) -> None:
        """Store an entry durably, or raise TakenError if the number is taken."""

    def place(self, model: str, name: str) -> str:
        """Return a file's location for people."""


def entry_number(name: str) -> int:
    """The number of the entry that a file of this name has; 0 if it has none."""
    match = _ENTRY.fullmatch(name)
    return int(match[1]) if match else 0


def checked_name(model: str) -> str:
    """The name; WrongInputError if no model can have it."""
    if not NAME.fullmatch(model):
        raise WrongInputError(
            f"{model!r} is not a model's name; use up to 63 letters, digits and . _ -, "
            "a letter or digit first"
        )
    return model


@dataclass(frozen=True)
class FolderStore:
    """A ledger in a folder: `<model>/<8 digits>.json`.

    An entry appears whole or not at all. It is written under a name of its own
    (O_EXCL), synchronised and then linked to its number, which fails if the number is
    taken; then the folder is synchronised. What a kill leaves is a hidden `.part`
    file, which no reader takes for an entry.
    """

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def models(self) -> list[str]:
        if not self.root.is_dir():
            return []
        with _readable_errors():
            found = [it.name for it in self.root.iterdir() if it.is_dir()]
        return sorted(name for name in found if NAME.fullmatch(name))

    def read(self, model: str) -> list[Stored]:
        folder = self.root / model
        if not folder.is_dir():
            return []
        with _readable_errors():
            names = [it.name for it in folder.iterdir()]
            found = [_stored(folder, it) for it in names if not _PART.fullmatch(it)]
        return sorted(found, key=lambda it: (it.number, it.name))

    def create(self, model: str, number: int, content: bytes) -> None:
        folder = self.root / model
        try:
            self._create(folder, number, content)
        except FileExistsError:
            raise TakenError from None
        except OSError as error:
            raise OperatorError(
                f"{folder}: entry {number} cannot be written ({error.strerror}); mend "
                "the disk or the rights (the file system must have hard links) and run "
                "the command again, which finds out whether the entry is there"
            ) from error

    def place(self, model: str, name: str) -> str:
        return str(self.root / model / name)

    def _create(self, folder: Path, number: int, content: bytes) -> None:
        new = [it for it in (folder, *folder.parents) if not it.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        whole_files.create(folder / f"{number:08}.json", content, 0o444)
        for made in new:
            whole_files.sync(made.parent)


@contextlib.contextmanager
def _readable_errors() -> Iterator[None]:
    """Turn an error of reading into text."""
    try:
        yield
    except OSError as error:
        raise OperatorError(
            f"{error.filename}: {error.strerror}; let the user of this command read "
            "the ledger"
        ) from None


def _stored(folder: Path, name: str) -> Stored:
    number = entry_number(name)
    if not number or not (folder / name).is_file():
        return Stored(name, 0, b"")
    with (folder / name).open("rb") as file:
        return Stored(name, number, file.read(ENTRY_BYTES + 1))
