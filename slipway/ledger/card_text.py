"""A model card as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from slipway.ledger import card_page
from slipway.ledger.card import Card
from slipway.ledger.card_page import Statement, Table, Text

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def text(card: Card) -> str:
    """The page; missing facts appear as "not stated"."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: Card) -> Iterator[str]:
    yield f"# {card_page.title(card)}"
    yield ""
    yield f"Revision `{card.revision}`, {card_page.state(card)}."
    for section in card_page.sections(card):
        yield from ("", f"## {section.title}", "")
        for number, block in enumerate(section.blocks):
            if isinstance(block, Statement):
                yield from _statement(block)
                continue
            if number:  # Markdown would take it for a part of the list.
                yield ""
            yield from _table(block)


def _statement(block: Statement) -> Iterator[str]:
    if not block.is_list:
        yield f"- **{block.title}:** {_text(block.texts[0])}"
        return
    yield f"- **{block.title}:**"
    for it in block.texts:
        yield f"  - {_text(it)}"


def _table(block: Table) -> Iterator[str]:
    yield _row(block.head)
    yield "|" + "---|" * len(block.head)
    yield from (_row(tuple(map(_plain, row))) for row in block.rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(it: Text) -> str:
    return _plain(it.words) + (f"`{it.code}`" if it.code else "")


def _plain(words: str) -> str:
    """Nothing in it is Markdown."""
    return _SPECIAL.sub(r"\\\1", words)
