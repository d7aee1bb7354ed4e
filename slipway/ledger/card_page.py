"""A model card as a page in the order of Annex IV's items, in no format yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from slipway.ledger.card import NOT_STATED, Card
from slipway.ledger.card_fields import FIELDS, ITEMS, Field


@dataclass(frozen=True)
class Text:
    """One line of people's words, and what programs compare, such as a digest."""

    words: str = ""
    code: str = ""


@dataclass(frozen=True)
class Statement:
    """A fact and its title."""

    title: str
    texts: tuple[Text, ...]
    is_list: bool = False


@dataclass(frozen=True)
class Table:
    """Rows with as many cells as the head has."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """One item of Annex IV."""

    title: str
    blocks: tuple[Statement | Table, ...]


def title(card: Card) -> str:
    return f"Model card: {card.model}"


def state(card: Card) -> str:
    """The revision's state in the ledger."""
    return card.registered.state if card.registered else "not in the ledger"


def sections(card: Card) -> Iterator[Section]:
    """The items of Annex IV; missing facts appear as "not stated"."""
    for item, name in ITEMS.items():
        yield Section(f"{item}. {name}", tuple(_blocks(card, item)))


def _blocks(card: Card, item: int) -> Iterator[Statement | Table]:
    for field in FIELDS:
        if field.annex == item:
            yield _field(field, card.stated.get(field.name))
    if item == 1:
        yield from _files(card)
    if item == 2:
        yield from _origin(card)
    if item == 4:
        yield _figures(card)
    if item == 6:
        yield _entries(card)


def _one(name: str, words: object) -> Statement:
    return Statement(name, (Text(_line(words)),))


def _line(value: object) -> str:
    return " ".join(str(value).split())


def _field(field: Field, value: Any) -> Statement:
    if not isinstance(value, list):
        return _one(field.title, value or NOT_STATED)
    said = [
        "; ".join(f"{key}: {part}" for key, part in it.items())
        if isinstance(it, dict)
        else it
        for it in value
    ]
    return Statement(field.title, tuple(Text(_line(it)) for it in said), is_list=True)


def _files(card: Card) -> Iterator[Statement]:
    files = (
        Text(f"{_line(path)}: ", f"sha256:{sha256}")
        for path, sha256 in card.files.items()
    )
    yield Statement("Files", tuple(files), is_list=True)
    image = card.registered.subject.get("image") if card.registered else None
    yield Statement("Image", (Text(code=image) if image else Text(NOT_STATED),))


def _origin(card: Card) -> Iterator[Statement]:
    if origin := card.derivation:
        yield _one("Made from", f"{origin.get('revision')}, by {origin.get('recipe')}")
    yield _one("Rows of the reference", card.reference.get("rows", NOT_STATED))


def _figures(card: Card) -> Statement | Table:
    if not card.figures:
        return _one("Figures", NOT_STATED)
    rows = (
        (
            it.type,
            it.slice or "all",
            it.value,
            f"{it.lower} to {it.upper}" if it.lower else NOT_STATED,
        )
        for it in card.figures
    )
    return _table(("metric", "part of the data", "value", "interval"), rows)


def _entries(card: Card) -> Statement | Table:
    if not card.entries:
        return _one("Ledger", NOT_STATED)
    rows = (
        (
            it.sequence,
            it.time[:19] + "Z",
            it.action,
            it.actor,
            it.details.get("reason") or NOT_STATED,
        )
        for it in card.entries
    )
    return _table(("entry", "time", "action", "by", "reason"), rows)


def _table(head: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> Table:
    return Table(head, tuple(tuple(map(_line, row)) for row in rows))
