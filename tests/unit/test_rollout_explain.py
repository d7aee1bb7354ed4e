"""`python3 -m rollout.explain`: a verdict from its entry alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rollout import explain
from rollout.objects import Names
from rollout.protocol import tick

from tests.support.rollouts import BAD, World


@pytest.fixture
def entry() -> dict:
    world = World(counts=lambda: {"errors": BAD})
    world.run(tick())
    return [*world.ledger.values()][-1]


def test_it_shows_what_a_verdict_rests_on(
    entry: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "entry.json"
    file.write_text(json.dumps(Names("models", "m").entry(entry)))
    assert explain.main([str(file)]) == 0
    head, reason, errors, last = capsys.readouterr().out.splitlines()
    assert head == f"{entry['id']}: rollback, b from 5 % to 0 %"
    assert reason.startswith("reason: errors: the canary makes the bad ones")
    assert errors.startswith(
        "errors: rollback; canary 400 of 2000, stable 0 of 18000 bad in 2 intervals; "
        "worse by 20.00 points, "
    )
    assert last.startswith("computed again from the entry alone; digest ")


def test_an_entry_that_was_changed_is_found(
    entry: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "entry.json"
    file.write_text(json.dumps(entry | {"verdict": "promote"}))
    assert explain.main([str(file)]) == 1
    assert "  verdict: the entry says promote, its facts give rollback" in (
        capsys.readouterr().out.splitlines()
    )


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2}'])
def test_what_is_no_entry_is_reported(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "entry.json"
    file.write_text(text)
    assert explain.main([str(file)]) == 2
    assert "is no ledger entry" in capsys.readouterr().err
    assert explain.main([]) == 2
