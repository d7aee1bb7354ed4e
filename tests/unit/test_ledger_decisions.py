"""Entries that are copied from a rollout's decisions, in the ledger's chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from slipway.cli import cli
from slipway.ledger import chain
from slipway.ledger.entry import Entry
from tests.support import ledgers
from tests.support.ledgers import MODEL, TRUSTED, WORD
from toolchain.errors import WrongInputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return ledgers.filled(tmp_path / "ledger")


def test_a_retired_revision_comes_back_by_a_rollouts_decision_alone(
    folder: Path,
) -> None:
    """The ledger says what was used, also what nobody may plan."""
    ledger = ledgers.ledger(folder.parent)
    ledger.move(MODEL, "r1", "retired", WORD)
    decision = {"id": "m-1-2", "sha256": "0" * 64, "time": "", "by": "ann"}
    with pytest.raises(WrongInputError, match="does not come back"):
        ledger.move(MODEL, "r1", "serving", WORD)
    with pytest.raises(WrongInputError, match="does not come back"):
        ledger.move(MODEL, "r1", "staged", WORD, decision=decision)
    ledger.move(MODEL, "r1", "serving", WORD, decision=decision)
    found = chain.read(ledger.store, MODEL, trusted=TRUSTED)
    assert (found.broken, found.history.revisions["r1"].state) == (None, "serving")
    shown = CliRunner().invoke(
        cli, ["ledger", "history", MODEL, "--ledger", str(folder.parent)]
    )
    assert "serving_started by alice, which was retired, decided " in shown.output


@pytest.mark.parametrize("decision", [None, {}, {"id": "m-1-2"}, "m-1-2"])
def test_without_a_whole_decision_a_retired_revision_breaks_the_chain(
    folder: Path, decision: Any
) -> None:
    ledger = ledgers.ledger(folder.parent)
    ledger.move(MODEL, "r1", "retired", WORD)
    found = ledger.read(MODEL)
    retired = found.history.revisions["r1"]
    details = {
        "model": MODEL,
        "revision": "r1",
        "state": "serving",
        "registered": retired.registered,
        "reason": "why not",
        "decision": decision,
    }
    entry = Entry.after(
        found.last, actor="eve", action="serving_started", details=details
    )
    with pytest.raises(ValueError, match="does not come back"):
        found.history.after(entry)
