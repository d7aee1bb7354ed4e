"""Ledgers of model versions in folders of a test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from slipway.ledger.entry import Entry
from slipway.ledger.envelope import opened, seal
from slipway.ledger.keys import key_id
from slipway.ledger.ledger import Ledger, Word
from slipway.ledger.store import FolderStore

MODEL = "employment"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
TRUSTED = {key_id(KEY.public_key()): KEY.public_key()}
WORD = Word("alice", "tests are green")


def subject(number: int = 0) -> dict[str, Any]:
    return {"image": f"registry.example.com/employment@sha256:{number:064x}"}


def ledger(root: Path) -> Ledger:
    return Ledger(FolderStore(root), KEY)


def filled(root: Path) -> Path:
    """A chain of four entries; returns the folder with their files."""
    found = ledger(root)
    found.register(MODEL, "r1", subject(), WORD)
    for state in ("staged", "canary", "serving"):
        found.move(MODEL, "r1", state, WORD)
    return root / MODEL


def file(folder: Path, number: int) -> Path:
    return folder / f"{number:08}.json"


def rewrite(path: Path, content: bytes) -> None:
    """As somebody does who may write the folder."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def entry(path: Path) -> Entry:
    return opened(path.read_bytes(), None)[0]


def add_past_the_rules(
    folder: Path, key: Ed25519PrivateKey = KEY, **given: Any
) -> None:
    """Add a well-formed, signed entry that the ledger's own code would not write."""
    files = sorted(folder.glob("*.json"))
    last = entry(files[-1]) if files else None
    about = given.pop("about", subject())
    made = Entry.after(last, actor="mallory", **given)
    rewrite(file(folder, made.sequence), seal(made, about, key))
