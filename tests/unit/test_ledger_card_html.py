"""A model card as HTML: the statements of the other forms, and nothing that runs."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from slipway.cli import cli
from slipway.ledger import card_html, card_text
from slipway.ledger.card import Card, collect
from slipway.ledger.figures import Figure
from slipway.ledger.store import FolderStore
from slipway.ledger.subject import Given, describe
from tests.support import ledgers, model_cards
from tests.support.ledgers import MODEL, WORD
from tests.support.model_cards import FULL, LITTLE

HOSTILE = "<script src=//x>&lt;b&gt;</td>\"' `|` {x}"
VOID = ("meta",)


class Page(HTMLParser):
    """Elements in order, and the text of each with that of its children."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append((tag, []))

    def handle_endtag(self, tag: str) -> None:
        name, parts = self._open.pop()
        assert name == tag
        text = "".join(parts)
        self.texts.append((tag, " ".join(text.split())))
        if self._open:
            self._open[-1][1].append(text)

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1][1].append(data)

    def of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


@pytest.fixture
def card(tmp_path: Path) -> Card:
    """One of a staged revision that states all."""
    folder = model_cards.write(tmp_path / "model", FULL)
    name, subject = describe(
        Given(MODEL, folder=folder, image=ledgers.subject()["image"])
    )
    root = tmp_path / "ledger"
    ledgers.ledger(root).register(MODEL, name, subject, WORD)
    ledgers.ledger(root).stage(MODEL, name, WORD)
    return collect(folder, FolderStore(root))


def test_it_says_what_the_markdown_says(card: Card) -> None:
    page = Page(card_html.text(card))
    assert page.of("title") == ["Model card: employment r1"]
    assert page.of("h1") == ["Model card: employment"]
    assert page.of("p") == ["Revision r1, staged."]
    markdown = card_text.text(card)
    assert page.of("h2") == re.findall(r"(?m)^## (.*)$", markdown)
    assert page.of("dt") == re.findall(r"(?m)^- \*\*(.*?):\*\*", markdown)
    plain = re.sub(r"[\\`]", "", markdown)
    statements = re.findall(r"(?m)^(?:- \*\*.*?:\*\*|  -) (.+)$", plain)
    assert page.of("dd") == statements
    assert len(statements) > 25
    cells = [
        cell
        for line in re.findall(r"(?m)^\| (.*) \|$", plain)
        for cell in line.split(" | ")
    ]
    assert len(cells) > 9
    assert sorted(page.of("th") + page.of("td")) == sorted(cells)


def test_what_nobody_stated_is_not_made_up(tmp_path: Path) -> None:
    folder = model_cards.write(tmp_path / "model", LITTLE)
    page = Page(card_html.text(collect(folder, FolderStore(tmp_path / "ledger"))))
    assert "table" not in page.tags
    files = ("model.onnx: sha256:", "model.yaml: sha256:")
    said = [it for it in page.of("dd") if not it.startswith(files)]
    assert {*said} == {"not stated"}
    assert page.of("p") == ["Revision r1, not in the ledger."]


def test_no_statement_is_html(card: Card) -> None:
    (first, *rest) = card.entries
    entry = replace(first, details=first.details | {"reason": HOSTILE})
    hostile = replace(
        card,
        stated=card.stated | {"task": HOSTILE, "users": [HOSTILE, HOSTILE]},
        files={HOSTILE: "0" * 64},
        figures=[Figure(HOSTILE, HOSTILE, HOSTILE)],
        entries=[replace(entry, actor=HOSTILE), *rest],
    )
    before, after = Page(card_html.text(card)), Page(card_html.text(hostile))
    assert {*after.tags} == {*before.tags}
    assert "script" not in after.tags
    assert after.of("dd").count(HOSTILE) == 3
    assert f"{HOSTILE}: sha256:{'0' * 64}" in after.of("dd")
    assert after.of("td").count(HOSTILE) == 5


def test_it_loads_nothing(card: Card) -> None:
    text = card_html.text(card)
    page = Page(text)
    assert text.startswith("<!doctype html>\n")
    assert {name for name, _ in page.attributes} == {
        *("lang", "charset", "http-equiv", "content", "name")
    }
    assert ("content", card_html.POLICY) in page.attributes
    assert not re.search(r"url\(|@import|[<&]", card_html.STYLE)


def test_the_command_prints_it(tmp_path: Path) -> None:
    folder = model_cards.write(tmp_path / "model", FULL)
    words = ["ledger", "card", str(folder), "--ledger", str(tmp_path / "ledger")]
    done = CliRunner().invoke(cli, [*words, "--format", "html"])
    assert done.exit_code == 0, done.output
    assert done.stdout == card_html.text(
        collect(folder, FolderStore(tmp_path / "ledger"))
    )
