"""A rollout in memory, a ledger in a folder, and `slipway rollout record` between."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from rollout.objects import ENTRY_KEY, Names
from rollout.protocol import give, tick
from rollout.status import OrderKind

from slipway.cli import cli
from slipway.ledger import chain, keys
from slipway.ledger.entry import Entry
from slipway.ledger.ledger import Ledger, Word
from slipway.ledger.store import FolderStore
from slipway.rollouts import ledger_command
from tests.support.ledgers import subject
from tests.support.rollouts import GOOD, LITTLE, SETTINGS, World

MODEL, SERVER = "income", "models.lab/models/m"
NOON = 1_800_000_000
"""In 2027: decisions are younger than what a test enters by hand."""
WORD = Word("alice", "tests are green")


class Rollout:
    """A rollout in memory, a ledger in a folder, and the command between them."""

    def __init__(self, root: Path, now: int = NOON) -> None:
        self.world = World(settings=replace(SETTINGS, shadow_percent=20), now=now)
        self.root = root
        self.changed: dict[str, Any] = {}
        self.names = Names("models", "m")

    @property
    def ledger(self) -> Ledger:
        return Ledger(FolderStore(self.root), keys.load_private(keys.default_key()))

    def step(self, counts: Any = GOOD) -> None:
        """One tick; the step that follows a decision has few counts."""
        looks = iter([counts])
        self.world.counts = lambda: {"errors": next(looks, LITTLE)}
        self.world.run(tick())

    def order(self, kind: OrderKind, **more: Any) -> None:
        self.world.run(give(kind, who="ann", why="lunch", **more))
        self.step(LITTLE)

    def record(self) -> Any:
        status = self.world.status
        found = [
            self.names.entry(copy.deepcopy(it)) for it in self.world.ledger.values()
        ]
        for one in found:
            entry = json.loads(one["data"][ENTRY_KEY])
            if entry["id"] in self.changed:
                entry |= self.changed[entry["id"]]
                one["data"][ENTRY_KEY] = json.dumps(entry)
        return status, found

    def run(self, *words: str, status: int = 0) -> str:
        command = ["rollout", "record", "m", "--ledger", str(self.root), *words]
        done = CliRunner().invoke(cli, command)
        assert done.exit_code == status, done.output
        return done.output

    @property
    def entries(self) -> tuple[Entry, ...]:
        key = keys.load_trusted([keys.public_file(keys.default_key())])
        found = chain.read(FolderStore(self.root), MODEL, trusted=key)
        assert found.broken is None
        return found.entries

    def places(self) -> list[tuple[str, str]]:
        """Revision and state of each entry after those of the set-up."""
        found = [(it.details["revision"], it.details["state"]) for it in self.entries]
        return found[4:]

    def states(self) -> dict[str, str]:
        found = chain.read(FolderStore(self.root), MODEL).history.revisions
        return {name: it.state for name, it in found.items()}


def begun(root: Path, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """Both revisions are staged, nothing has been decided, and the command sees it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(root / "state"))
    keys.make(keys.default_key())
    found = Rollout(root / "ledger")
    for number, name in enumerate("ab"):
        found.ledger.register(MODEL, name, subject(number), WORD)
        found.ledger.stage(MODEL, name, WORD)

    @contextmanager
    def opened(*_: Any) -> Iterator[Any]:
        yield SimpleNamespace(record=found.record, names=found.names)

    args = SimpleNamespace(served=lambda _: MODEL)
    settings = SimpleNamespace(models={"m": args}, ledger=None)
    monkeypatch.setattr(ledger_command, "opened", opened)
    monkeypatch.setattr(ledger_command.stack_settings, "load", lambda *_: settings)
    return found


def through(found: Rollout) -> None:
    """Copies, 5 %, 25 %, all."""
    for _ in range(3):
        found.step()
    found.step()
