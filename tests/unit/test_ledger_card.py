"""Model cards: what stands in them, what is not stated, and what production asks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from slipway.cli import cli
from slipway.ledger import card_fields, card_text, cyclonedx, keys
from slipway.ledger.card import Card, collect
from slipway.ledger.store import FolderStore
from slipway.ledger.subject import Given, describe
from tests.support import ledgers, model_cards
from tests.support.ledgers import MODEL, WORD
from tests.support.model_cards import ABOUT, FIGURES, FULL, LITTLE
from toolchain import paths


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def folder(tmp_path: Path, root: Path) -> Path:
    """A folder that states all, whose revision is staged."""
    folder = model_cards.write(tmp_path / "model", FULL)
    image = ledgers.subject()["image"]
    name, subject = describe(Given(MODEL, folder=folder, image=image))
    ledgers.ledger(root).register(MODEL, name, subject, WORD)
    ledgers.ledger(root).stage(MODEL, name, WORD)
    return folder


def card_of(folder: Path, root: Path) -> Card:
    return collect(folder, FolderStore(root))


@pytest.fixture(autouse=True)
def own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The public half of the key that has signed the ledger, in the user's state."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return public(ledgers.KEY, keys.public_file(keys.default_key()))


def public(key: Ed25519PrivateKey, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    kind = PublicFormat.SubjectPublicKeyInfo
    file.write_bytes(key.public_key().public_bytes(Encoding.PEM, kind))
    return file


def run(folder: Path, root: Path, *words: object) -> Result:
    given = ["ledger", "card", str(folder), "--ledger", str(root), *map(str, words)]
    return CliRunner().invoke(cli, given)


def component(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["specVersion"] == "1.7"
    found: dict[str, Any] = document["metadata"]["component"]
    return found


def properties(found: dict[str, Any]) -> dict[str, str]:
    return {it["name"]: it["value"] for it in found["properties"]}


def test_a_card_that_states_all(folder: Path, root: Path, tmp_path: Path) -> None:
    more = tmp_path / "figures.json"
    more.write_text(json.dumps(FIGURES))
    found = component(run(folder, root, "--figures", more))
    card = found["modelCard"]
    assert (found["name"], found["version"]) == ("employment", "r1")
    assert card["modelParameters"]["approach"] == {"type": "supervised"}
    assert card["modelParameters"]["inputs"] == [{"format": "input FP32 [-1, 16]"}]
    (data,) = card["modelParameters"]["datasets"]
    assert data["name"] == "ACS PUMS 2015"
    assert [it["value"] for it in data["contents"]["properties"]] == [
        *("d" * 64, "68785", "2015")
    ]
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "accuracy", "value": "0.8312", "slice": "2015"},
        {"type": "rows", "value": "68785", "slice": "2015"},
        {
            "type": "accuracy",
            "value": "0.81",
            "slice": "women",
            "confidenceInterval": {"lowerBound": "0.8", "upperBound": "0.82"},
        },
    ]
    considered = card["considerations"]
    assert considered["technicalLimitations"] == ABOUT["limitations"]
    (risk,) = considered["ethicalConsiderations"]
    assert risk["mitigationStrategy"] == "access by role"
    assert considered["fairnessAssessments"][0]["groupAtRisk"] == "women"
    stated = properties(found)
    assert stated["slipway:about:oversight"] == ABOUT["oversight"]
    assert stated["slipway:ledger:state"] == "staged"
    assert stated["slipway:image"] == ledgers.subject()["image"]
    entries = [key for key in stated if key.startswith("slipway:ledger:entry:")]
    assert len(entries) == 2
    assert stated[entries[1]].endswith("revision_staged by alice: tests are green")


def test_what_nobody_stated_is_not_made_up(tmp_path: Path, root: Path) -> None:
    folder = model_cards.write(tmp_path / "model", LITTLE)
    found = component(run(folder, root))
    assert "modelCard" not in found
    stated = properties(found)
    said = {it for key, it in stated.items() if key.startswith("slipway:about:")}
    assert said == {"not stated"}
    page = card_text.text(card_of(folder, root))
    assert "Revision `r1`, not in the ledger." in page
    for field in card_fields.FIELDS:
        assert f"- **{field.title}:** not stated" in page
    assert "- **Figures:** not stated" in page


def test_every_statement_stands_in_both_forms(folder: Path, root: Path) -> None:
    card = card_of(folder, root)
    document, page = cyclonedx.text(card), card_text.text(card).replace("\\", "")
    assert set(card.stated) == {it.name for it in card_fields.FIELDS}
    for value in card.stated.values():
        parts = value if isinstance(value, list) else [value]
        texts = [
            text
            for part in parts
            for text in (part.values() if isinstance(part, dict) else [part])
        ]
        for text in texts:
            assert text in document
            assert text in page


def test_a_model_that_was_made_from_another(tmp_path: Path, root: Path) -> None:
    checks = [
        {"measure": "speed", "part": "1 row", "found": "2 times", "value": 2.0}
        | {"lower": 1.8, "upper": 2.2},
        {"measure": "memory", "found": "1.01 times"},
    ]
    derived = {"revision": "r0", "recipe": "static_int8", "checks": checks}
    manifest = FULL | {"derived_from": derived}
    folder = model_cards.write(tmp_path / "model", manifest)
    found = component(run(folder, root))
    (ancestor,) = found["pedigree"]["ancestors"]
    assert (ancestor["name"], ancestor["version"]) == ("employment", "r0")
    assert "static_int8" in found["pedigree"]["notes"]
    figures = found["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert figures[-1] == {
        "type": "change of speed",
        "value": "2.0",
        "slice": "1 row",
        "confidenceInterval": {"lowerBound": "1.8", "upperBound": "2.2"},
    }
    page = card_text.text(card_of(folder, root)).replace("\\", "")
    assert "- **Made from:** r0, by static_int8" in page


def test_a_model_that_was_trained_has_no_ancestor(folder: Path, root: Path) -> None:
    assert "pedigree" not in component(run(folder, root))
    assert "Made from" not in card_text.text(card_of(folder, root))


def test_the_same_card_has_the_same_bytes(folder: Path, root: Path) -> None:
    card = card_of(folder, root)
    assert cyclonedx.text(card) == cyclonedx.text(card_of(folder, root))


def test_text_is_no_markdown(folder: Path, root: Path) -> None:
    card = card_of(folder, root)
    stated = card.stated | {"task": "a\n# b <script> | [c](d)"}
    page = card_text.text(replace(card, stated=stated))
    assert r"- **Task:** a \# b \<script\> \| \[c\](d)" in page.splitlines()


def test_production_asks_for_all_at_once(folder: Path, root: Path) -> None:
    passed = run(folder, root, "--check", "prod")
    assert passed.exit_code == 0, passed.output
    assert passed.stdout == "employment r1: the card has all that prod asks for\n"
    little = model_cards.write(folder.parent / "little", LITTLE | {"revision": "r2"})
    failed = run(little, root, "--check", "prod")
    assert failed.exit_code == 1
    lines = failed.stderr.splitlines()
    required = [it for it in card_fields.FIELDS if it.required]
    assert lines[0] == f"error: {little}: the card lacks {len(required) + 2}:"
    assert [it.split(": ")[0].strip() for it in lines[1:]] == [
        *(it.path for it in required),
        *("metrics", "r2"),
    ]


def test_production_counts_only_what_a_trusted_key_has_signed(
    folder: Path, root: Path, own_key: Path, tmp_path: Path
) -> None:
    other = public(ledgers.STRANGER, tmp_path / "other.pub.pem")
    refused = run(folder, root, "--check", "prod", "--trust", other)
    assert refused.exit_code == 1
    assert "key: it is signed with the key " in refused.stderr
    assert "name its public half with --trust" in refused.stderr
    assert run(folder, root, "--trust", other).exit_code == 1
    both = ("--trust", other, "--trust", own_key)
    assert run(folder, root, "--check", "prod", *both).exit_code == 0
    own_key.unlink()
    assert "(trusted: none)" in run(folder, root, "--check", "prod").stderr
    assert run(folder, root).exit_code == 0


def test_without_entries_no_key_is_needed(
    tmp_path: Path, root: Path, own_key: Path
) -> None:
    own_key.unlink()
    folder = model_cards.write(tmp_path / "model", FULL)
    assert "r1: not registered" in run(folder, root, "--check", "prod").stderr


@pytest.mark.parametrize("name", [it.name for it in card_fields.FIELDS if it.required])
def test_production_asks_for_each(name: str, folder: Path, root: Path) -> None:
    card = card_of(folder, root)
    stated = {key: it for key, it in card.stated.items() if key != name}
    (said,) = replace(card, stated=stated).missing()
    assert re.match(rf"(about\.)?{name}: not stated, and item \d of Annex IV", said)


def test_production_asks_for_a_staged_revision(folder: Path, root: Path) -> None:
    ledgers.ledger(root).move(MODEL, "r1", "retired", WORD)
    (said,) = card_of(folder, root).missing()
    assert said.startswith("r1: retired in the ledger, and production asks for staged")


def test_wrong_statements_are_reported_together(tmp_path: Path, root: Path) -> None:
    about = {
        "users": "planners",
        "approach": "guessing",
        "task": 3,
        "ethical_considerations": [{"name": "a", "cost": "b"}],
        "fairness": ["women"],
        "own notes": {"of": "any kind"},
    }
    folder = model_cards.write(tmp_path / "model", {**LITTLE, "about": about})
    result = run(folder, root)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert lines[0] == f"error: {folder}/model.yaml: 5 problems:"
    assert sorted(it.split(": ")[0].strip() for it in lines[1:]) == [
        *("about.approach", "about.ethical_considerations", "about.fairness"),
        *("about.task", "about.users"),
    ]
    assert "  about.users: 'planners' is not a list of texts" in lines
    model_cards.write(folder, {**LITTLE, "about": "nothing"})
    assert "about: 'nothing' is not a mapping" in run(folder, root).stderr


def test_white_space_states_nothing() -> None:
    about = {"provider": " ", "task": "\n", "oversight": " A planner \n", "users": []}
    found = card_fields.read({"description": "\t", "about": about})
    assert found == ({"oversight": "A planner"}, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("users", [""]),
        ("limitations", ["young people", " "]),
        ("ethical_considerations", [{"name": "misuse", "mitigation": " "}]),
        ("fairness", [{"group": ""}]),
    ],
)
def test_a_list_has_no_empty_texts(name: str, value: list[Any]) -> None:
    stated, (problem,) = card_fields.read({"about": {name: value}})
    assert stated == {}
    assert problem == (
        f"about.{name}: {value!r} has an empty text; remove it or fill it in"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("{}", "must be a list of figures"),
        ('[{"type": "a"}]', "is not an object with type, value"),
        ('[{"type": "a", "value": "1"}]', "0.value: '1' is not a number"),
        ('[{"type": 1, "value": 1}]', "0.type: 1 is not text"),
        ('[{"type": "a", "value": 1, "lower": 0}]', "has both, lower and upper"),
    ],
)
def test_wrong_figures(given: str, said: str, folder: Path, root: Path) -> None:
    more = folder.parent / "figures.json"
    more.write_text(given)
    result = run(folder, root, "--figures", more)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_folder_that_is_not_what_was_registered(folder: Path, root: Path) -> None:
    model_cards.write(folder, FULL | {"description": "better words"})
    assert run(folder, root).exit_code == 0
    (folder / "model.onnx").write_bytes(b"another graph")
    result = run(folder, root)
    assert result.exit_code == 1
    assert f"{folder}: model.onnx differ from what r1 was registered" in result.stderr
    (folder / "reference.json").write_text('{"revision": "r0"}')
    assert "reference.json" in run(folder, root).stderr


def test_a_broken_ledger_has_no_card(folder: Path, root: Path) -> None:
    ledgers.rewrite(ledgers.file(root / MODEL, 1), b"{}\n")
    result = run(folder, root)
    assert result.exit_code == 1
    assert "00000001.json: form: " in result.stderr


def test_the_page_names_every_field() -> None:
    page = (paths.ROOT / "docs/how-to/model-ledger.md").read_text()
    for field in card_fields.FIELDS:
        required = "yes" if field.required else "no"
        assert f"| `{field.path}` | {field.annex} | {required} |" in page
