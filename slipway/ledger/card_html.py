"""A model card as one HTML file, which loads nothing from elsewhere."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from slipway.ledger import card_page
from slipway.ledger.card import Card
from slipway.ledger.card_page import Section, Statement, Table, Text

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""A browser loads and runs nothing, whatever the statements contain."""
STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem;
  padding: 0 1rem; color: #1a1a1a; background: #fff; }
h2 { border-top: 1px solid #ccc; padding-top: 1rem; }
dt { font-weight: 600; margin-top: .6rem; }
dd { margin: 0 0 0 1.5rem; }
code, td { overflow-wrap: anywhere; }
table { border-collapse: collapse; margin-top: 1rem; }
th, td { border: 1px solid #ccc; padding: .3rem .6rem; text-align: left; }
"""


def text(card: Card) -> str:
    """The page; missing facts appear as "not stated"."""
    root = Element("html", lang="en")
    head = SubElement(root, "head")
    SubElement(head, "meta", charset="utf-8")
    SubElement(
        head, "meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}
    )
    SubElement(head, "meta", name="viewport", content="width=device-width")
    title = card_page.title(card)
    SubElement(head, "title").text = f"{title} {card.revision}"
    SubElement(head, "style").text = STYLE
    main = SubElement(SubElement(root, "body"), "main")
    SubElement(main, "h1").text = title
    _text(main, "p", Text("Revision ", card.revision), f", {card_page.state(card)}.")
    for section in card_page.sections(card):
        _section(main, section)
    indent(root)
    # The serializer escapes all texts but the style's.
    return "<!doctype html>\n" + tostring(root, "unicode", "html") + "\n"


def _section(main: Element, section: Section) -> None:
    place = SubElement(main, "section")
    SubElement(place, "h2").text = section.title
    statements = [it for it in section.blocks if isinstance(it, Statement)]
    if statements:
        found = SubElement(place, "dl")
        for it in statements:
            SubElement(found, "dt").text = it.title
            for one in it.texts:
                _text(found, "dd", one)
    for block in section.blocks:
        if isinstance(block, Table):
            _table(place, block)


def _table(place: Element, block: Table) -> None:
    table = SubElement(place, "table")
    for name, kind, rows in (
        ("thead", "th", (block.head,)),
        ("tbody", "td", block.rows),
    ):
        part = SubElement(table, name)
        for cells in rows:
            row = SubElement(part, "tr")
            for cell in cells:
                SubElement(row, kind).text = cell


def _text(place: Element, name: str, it: Text, after: str = "") -> None:
    found = SubElement(place, name)
    found.text = it.words
    if it.code:
        code = SubElement(found, "code")
        code.text, code.tail = it.code, after
