"""A model card as Markdown, in the order of Annex IV's items."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from slipway.ledger.card import NOT_STATED, Card
from slipway.ledger.card_fields import FIELDS, ITEMS, Field

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def text(card: Card) -> str:
    """The page; missing facts appear as "not stated"."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: Card) -> Iterator[str]:
    yield f"# Model card: {card.model}"
    yield ""
    yield f"Revision `{card.revision}`, {_state(card)}."
    for item, title in ITEMS.items():
        yield from ("", f"## {item}. {title}", "")
        yield from _item(card, item)


def _item(card: Card, item: int) -> Iterator[str]:
    for field in FIELDS:
        if field.annex == item:
            yield from _field(field, card.stated.get(field.name))
    if item == 1:
        yield from _files(card)
    if item == 2:
        yield from _origin(card)
    if item == 4:
        yield from _figures(card)
    if item == 6:
        yield from _entries(card)


def _state(card: Card) -> str:
    return card.registered.state if card.registered else "not in the ledger"


def _field(field: Field, value: Any) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"- **{field.title}:** {_plain(value or NOT_STATED)}"
        return
    yield f"- **{field.title}:**"
    for it in value:
        parts = it.items() if isinstance(it, dict) else [("", it)]
        said = "; ".join(f"{key}: {part}" if key else part for key, part in parts)
        yield f"  - {_plain(said)}"


def _files(card: Card) -> Iterator[str]:
    yield "- **Files:**"
    for path, sha256 in card.files.items():
        yield f"  - {_plain(path)}: `sha256:{sha256}`"
    image = card.registered.subject.get("image") if card.registered else None
    yield f"- **Image:** {f'`{image}`' if image else NOT_STATED}"


def _origin(card: Card) -> Iterator[str]:
    if origin := card.derivation:
        origin_text = f"{origin.get('revision')}, by {origin.get('recipe')}"
        yield f"- **Made from:** {_plain(origin_text)}"
    rows = card.reference.get("rows", NOT_STATED)
    yield f"- **Rows of the reference:** {_plain(rows)}"


def _figures(card: Card) -> Iterator[str]:
    if not card.figures:
        yield f"- **Figures:** {NOT_STATED}"
        return
    yield from (
        "",
        "| metric | part of the data | value | interval |",
        "|---|---|---|---|",
    )
    for it in card.figures:
        interval = f"{it.lower} to {it.upper}" if it.lower else NOT_STATED
        cells = (it.type, it.slice or "all", it.value, interval)
        yield "| " + " | ".join(map(_plain, cells)) + " |"


def _entries(card: Card) -> Iterator[str]:
    if not card.entries:
        yield f"- **Ledger:** {NOT_STATED}"
        return
    yield from ("| entry | time | action | by | reason |", "|---|---|---|---|---|")
    for it in card.entries:
        reason = it.details.get("reason") or NOT_STATED
        cells = (it.sequence, it.time[:19] + "Z", it.action, it.actor, reason)
        yield "| " + " | ".join(map(_plain, cells)) + " |"


def _plain(value: object) -> str:
    """One line in which nothing is Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))
