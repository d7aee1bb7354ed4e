"""The ledger's chain: what writers leave is valid, and what others change is found."""

from __future__ import annotations

import datetime as dt
import json
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_monitor.audit import canonical as of_monitor
from model_monitor.audit import verify

from slipway.ledger import chain, envelope, lifecycle
from slipway.ledger.canonical import canonical, digest
from slipway.ledger.entry import Entry, Head
from slipway.ledger.store import FolderStore, Stored
from tests.support import ledgers
from tests.support.contracts import contract
from tests.support.ledgers import KEY, MODEL, STRANGER, TRUSTED, WORD, file
from toolchain.errors import OperatorError, WrongInputError

CONTRACT = contract("model_ledger")
REVISIONS = ("r1", "r2")
FEW = settings(max_examples=60, deadline=None)
TAMPERED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda it: st.lists(it, max_size=3) | st.dictionaries(st.text(), it, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return ledgers.filled(tmp_path / "ledger")


def read(folder: Path, **options: Any) -> chain.Chain:
    store = FolderStore(folder.parent)
    return chain.read(store, folder.name, trusted=TRUSTED, **options)


def broken(folder: Path, **options: Any) -> tuple[str, str]:
    """The file and the kind of the first break."""
    found = read(folder, **options).broken
    assert found
    return Path(found.place).name, found.what


@FEW
@given(values)
def test_the_canonical_form_is_the_monitors(value: Any) -> None:
    try:
        expected = of_monitor.canonical(value)
    except TypeError:
        with pytest.raises(TypeError):
            canonical(value)
        return
    assert canonical(value) == expected
    assert digest(value) == of_monitor.digest(value)


@pytest.mark.parametrize("value", [1.5, {1: 2}, {"a": [0.1]}, (1,)])
def test_what_has_no_canonical_form(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical(value)


def test_the_contract_is_what_is_written(folder: Path) -> None:
    assert CONTRACT["states"] == lifecycle.ACTIONS
    assert CONTRACT["back"] == lifecycle.TAKEN_BACK
    transitions = {key: tuple(it) for key, it in CONTRACT["transitions"].items()}
    assert transitions == lifecycle.TRANSITIONS
    decided = {lifecycle.RETIRED: [*lifecycle.USED_AGAIN]}
    assert CONTRACT["transitions_of_decisions"] == decided
    raw = json.loads(file(folder, 1).read_text())
    assert raw["payloadType"] == CONTRACT["payload_type"]
    assert CONTRACT["statement_type"] == envelope.STATEMENT_TYPE
    assert CONTRACT["predicate_type"] == envelope.PREDICATE_TYPE
    used = {key for n in (1, 2) for key in ledgers.entry(file(folder, n)).details}
    # Decisions come from rollouts: tests/unit/test_rollout_to_ledger.py.
    assert used == set(CONTRACT["details"]) - {"decision"}


def test_the_signature_by_the_standards_alone(folder: Path) -> None:
    """DSSE's and in-toto's pages, written out without our code."""
    raw = json.loads(file(folder, 2).read_text())
    payload = b64decode(raw["payload"])
    kind = b"application/vnd.in-toto+json"
    signed = b" ".join(
        [b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload]
    )
    KEY.public_key().verify(b64decode(raw["signatures"][0]["sig"]), signed)
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [
        {"name": "registry.example.com/employment", "digest": {"sha256": "0" * 64}}
    ]


def test_the_monitors_verifier_accepts_the_chain(folder: Path, tmp_path: Path) -> None:
    lines = tmp_path / "chain.jsonl"
    found = read(folder)
    content = b"".join(canonical(it.content()) + b"\n" for it in found.entries)
    lines.write_bytes(content)
    verdict = verify(lines)
    assert verdict.is_intact
    assert verdict.entries == 4
    assert found.last
    assert verdict.head
    assert verdict.head.hash == found.last.hash


steps = st.lists(
    st.tuples(st.sampled_from(REVISIONS), st.sampled_from(lifecycle.STATES)),
    max_size=12,
)


@FEW
@given(steps)
def test_any_sequence_of_steps_leaves_a_valid_chain(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    """And the states are those of the table, whatever was refused."""
    folder = tmp_path_factory.mktemp("ledger") / MODEL
    ledger = ledgers.ledger(folder.parent)
    states: dict[str, str] = {}
    written = 0
    for revision, state in steps:
        now = states.get(revision)
        registers = state == "registered"
        may = registers or (now and state in CONTRACT["transitions"][now])
        is_so = now is not None and (registers or state == now)
        if may or is_so:
            if registers:
                done = ledger.register(MODEL, revision, ledgers.subject(), WORD)
            else:
                done = ledger.move(MODEL, revision, state, WORD)
            assert done.is_new is not is_so
            written += done.is_new
            states[revision] = state if not (registers and now) else str(now)
        else:
            with pytest.raises(WrongInputError):
                ledger.move(MODEL, revision, state, WORD)
        found = read(folder)
        assert found.broken is None
        assert len(found.entries) == written
        known = {name: it.state for name, it in found.history.revisions.items()}
        assert known == states


@TAMPERED
@given(st.integers(1, 4), st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_found_in_its_entry(
    folder: Path, number: int, where: int, change: int
) -> None:
    path = file(folder, number)
    original = path.read_bytes()
    content = bytearray(original)
    content[where % len(content)] ^= change
    ledgers.rewrite(path, bytes(content))
    try:
        found = read(folder)
        assert found.broken
        assert found.broken.place == str(path)
        assert len(found.entries) == number - 1
    finally:
        ledgers.rewrite(path, original)
    assert read(folder).broken is None


def test_another_text_of_the_same_signature(folder: Path) -> None:
    """The last letter of 64 bytes in base64 has four bits that say nothing."""
    raw = json.loads(file(folder, 4).read_text())
    (signed,) = raw["signatures"]
    letter = signed["sig"][-3]
    following = chr(ord(letter) + 1)
    signed["sig"] = f"{signed['sig'][:-3]}{following}=="
    assert b64decode(signed["sig"]) == b64decode(f"{signed['sig'][:-3]}{letter}==")
    ledgers.rewrite(file(folder, 4), canonical(raw) + b"\n")
    assert broken(folder) == ("00000004.json", "form")


def test_an_entry_with_another_word_in_it(folder: Path) -> None:
    """Signed anew by nobody: hash and chain were made to fit."""
    path = file(folder, 2)
    raw = json.loads(path.read_text())
    payload = b64decode(raw["payload"]).replace(b"alice", b"alicf")
    raw["payload"] = b64encode(payload).decode()
    ledgers.rewrite(path, canonical(raw) + b"\n")
    assert broken(folder) == ("00000002.json", "signature")


def test_a_chain_written_anew_with_another_key(folder: Path) -> None:
    entries = [ledgers.entry(file(folder, n)) for n in range(1, 5)]
    for entry in entries:
        content = envelope.seal(entry, ledgers.subject(), STRANGER)
        ledgers.rewrite(file(folder, entry.sequence), content)
    assert broken(folder) == ("00000001.json", "key")
    assert "is not trusted (trusted: " in str(read(folder).broken)


def test_the_strangers_key_under_a_trusted_name(folder: Path) -> None:
    entry = ledgers.entry(file(folder, 4))
    raw = json.loads(envelope.seal(entry, ledgers.subject(), STRANGER))
    raw["signatures"][0]["keyid"] = next(iter(TRUSTED))
    ledgers.rewrite(file(folder, 4), canonical(raw) + b"\n")
    assert broken(folder) == ("00000004.json", "signature")


def test_missing_and_foreign_files(folder: Path) -> None:
    second = file(folder, 2).read_bytes()
    file(folder, 2).unlink()
    assert broken(folder) == ("00000003.json", "sequence")
    assert "entry 2 is missing; this is entry 3" in str(read(folder).broken)
    ledgers.rewrite(file(folder, 2), file(folder, 3).read_bytes())
    assert broken(folder) == ("00000002.json", "sequence")
    ledgers.rewrite(file(folder, 2), second)
    (folder / "notes.txt").write_text("mine")
    assert broken(folder) == ("notes.txt", "name")
    (folder / "notes.txt").unlink()
    (folder / "00000005.json").mkdir()
    assert broken(folder) == ("00000005.json", "name")


def test_a_cut_tail_needs_the_anchor(folder: Path) -> None:
    last = read(folder).last
    assert last
    assert read(folder, anchor=last.head).broken is None
    file(folder, 4).unlink()
    assert read(folder).broken is None
    assert broken(folder, anchor=last.head) == ("00000004.json", "anchor")
    ledgers.ledger(folder.parent).move(
        MODEL, "r1", "serving", replace(WORD, reason="b")
    )
    assert broken(folder, anchor=last.head) == ("00000004.json", "anchor")
    other = Head(9, "0" * 64)
    assert "entry 9, which the anchor names" in str(read(folder, anchor=other).broken)


@pytest.mark.parametrize(
    ("changed", "what", "said"),
    [
        ({"state": "shadow"}, "transition", "serving to shadow is not an allowed"),
        ({"revision": "r2"}, "transition", "has no revision r2"),
        ({"model": "other"}, "transition", "is of the model 'other'"),
        ({"state": "gone"}, "transition", "no known state"),
        ({"reason": ""}, "transition", "there is no reason"),
        ({"registered": "0" * 64}, "transition", "another entry's hash"),
        ({"state": "registered"}, "transition", "is registered twice"),
        ({"revision": "r2", "state": "registered"}, "transition", "is no subject"),
        ({"action": "revision_staged"}, "transition", "does not bring r1 into"),
        ({"about": ledgers.subject(7)}, "subject", "is not what the revision was"),
    ],
)
def test_a_signed_entry_past_the_rules(
    folder: Path, changed: dict[str, Any], what: str, said: str
) -> None:
    first = ledgers.entry(file(folder, 1))
    details = {"model": MODEL, "revision": "r1", "state": "staged", "reason": "x"}
    given: dict[str, Any] = {
        "action": "",
        "about": ledgers.subject(),
        "registered": first.hash,
    }
    given |= details | changed
    about, action = given.pop("about"), given.pop("action")
    if not action:
        taken = given["state"] == "staged" and given["revision"] == "r1"
        known = lifecycle.ACTIONS.get(str(given["state"]), "")
        action = lifecycle.TAKEN_BACK if taken else known
    ledgers.add_past_the_rules(folder, action=action, details=given, about=about)
    assert broken(folder) == ("00000005.json", what)
    assert said in str(read(folder).broken)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"actor": "bob"}, "hash"),
        ({"previous": "0" * 64, "hash": ""}, "previous"),
        ({"time": "2001-01-01T00:00:00.000000Z", "hash": ""}, "time"),
        ({"sequence": 3, "hash": ""}, "sequence"),
    ],
)
def test_a_signed_entry_that_does_not_fit(
    folder: Path, changed: dict[str, Any], what: str
) -> None:
    """Whoever has the key cannot change one entry alone either."""
    entry = replace(ledgers.entry(file(folder, 4)), **changed)
    if not entry.hash:
        rest = {key: it for key, it in entry.content().items() if key != "hash"}
        entry = replace(entry, hash=digest(rest))
    content = envelope.seal(entry, ledgers.subject(), KEY)
    ledgers.rewrite(file(folder, 4), content)
    assert broken(folder) == ("00000004.json", what)


def test_an_entry_past_the_rules_is_otherwise_sound(folder: Path) -> None:
    """What the test above changes is what breaks there."""
    first = ledgers.entry(file(folder, 1))
    details = {"model": MODEL, "revision": "r1", "state": "staged", "reason": "x"}
    details["registered"] = first.hash
    ledgers.add_past_the_rules(folder, action=lifecycle.TAKEN_BACK, details=details)
    assert read(folder).broken is None


def test_a_second_version_of_an_entry_is_found(folder: Path) -> None:
    """As a bucket keeps one when the entry was deleted and created again."""

    class Versioned(FolderStore):
        def read(self, model: str) -> list[Stored]:
            found = super().read(model)
            return [*found[:2], found[1], *found[2:]]

    found = chain.read(Versioned(folder.parent), MODEL, trusted=TRUSTED)
    assert found.broken
    assert "entry 2 is there in several versions" in str(found.broken)


def test_nothing_is_added_to_a_broken_chain(folder: Path) -> None:
    ledgers.rewrite(file(folder, 3), b"{}\n")
    with pytest.raises(OperatorError, match=r"00000003\.json: form: .*nothing was"):
        ledgers.ledger(folder.parent).move(MODEL, "r1", "retired", WORD)
    assert not file(folder, 5).exists()


def test_a_name_is_bound_for_ever(folder: Path) -> None:
    ledger = ledgers.ledger(folder.parent)
    ledger.move(MODEL, "r1", "retired", WORD)
    with pytest.raises(WrongInputError, match=r"bound to other content .*in image"):
        ledger.register(MODEL, "r1", ledgers.subject(1), WORD)
    assert not ledger.register(MODEL, "r1", ledgers.subject(), WORD).is_new
    with pytest.raises(WrongInputError, match="a retired one does not come back"):
        ledger.move(MODEL, "r1", "staged", WORD)


def test_staging_leaves_what_is_further(folder: Path) -> None:
    ledger = ledgers.ledger(folder.parent)
    assert ledger.stage(MODEL, "r1", WORD).entry.details["state"] == "serving"
    back = ledger.move(MODEL, "r1", "staged", WORD).entry
    assert (back.action, back.details["from"]) == ("revision_taken_back", "serving")


def test_a_clock_set_back_makes_no_older_entry(folder: Path) -> None:
    last = ledgers.entry(file(folder, 4))
    past = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    made = Entry.after(last, actor="a", action="b", details={}, now=past)
    assert made.time == last.time
