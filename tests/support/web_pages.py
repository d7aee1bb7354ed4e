"""Whether a page is well-formed and can be used without seeing it.

The console's pages are written so that they are XML as well: what is not closed or not
escaped is then an error of the parser. The rules are those of WCAG 2.2 that a program
can judge without a browser.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

DOCTYPE = "<!DOCTYPE html>\n"
SVG = "{http://www.w3.org/2000/svg}"
PHRASING = {"a", "strong", "code", "span", "time", "em"}
"""What may stand in a paragraph, a heading or a link."""
ONLY_PHRASING = {"p", "h1", "h2", "h3", "a", "summary", "caption", "span", "strong"}
NAMED = {"nav": "aria-label", "section": "aria-labelledby"}
NEVER = {"script", "style", "iframe", "object", "embed", "form", "input", "base", "img"}


def parsed(text: str) -> Element:
    """The page; raises ET.ParseError."""
    assert text.startswith(DOCTYPE)
    return ET.fromstring(text.removeprefix(DOCTYPE))


def words(element: Element) -> str:
    """All text inside, with single spaces."""
    return " ".join("".join(element.itertext()).split())


def cells(table: Element) -> list[list[str]]:
    """The text of each row's cells, the head first."""
    return [
        [words(cell) for cell in row if cell.tag in {"th", "td"}]
        for row in table.iter("tr")
    ]


def table(page: Element, caption: str) -> Element:
    """The only table whose caption begins so."""
    found = [
        it
        for it in page.iter("table")
        if words(it.find("caption") or it[0]).startswith(caption)
    ]
    assert len(found) == 1, f"{len(found)} tables: {caption}"
    return found[0]


def problems(text: str) -> list[str]:
    """What is wrong with a page; empty if nothing is."""
    page = parsed(text)
    return [
        *_document(page),
        *_headings(page),
        *_names(page),
        *_identities(page),
        *_tables(page),
        *_pictures(page),
        *_content(page),
        *_safety(page),
    ]


def _document(page: Element) -> Iterator[str]:
    if page.get("lang") != "en":
        yield "no language"
    if not words(next(page.iter("title"))):
        yield "no title"
    if len(list(page.iter("main"))) != 1:
        yield "not just one main"
    skip = next(page.iter("a"))
    main = next(page.iter("main"))
    if skip.get("href") != f"#{main.get('id')}":
        yield "the first link does not lead to the content"
    if main.get("tabindex") != "-1":
        yield "the content cannot take the focus"


def _headings(page: Element) -> Iterator[str]:
    levels = [int(it.tag[1]) for it in page.iter() if re.fullmatch("h[1-6]", it.tag)]
    if levels.count(1) != 1 or levels[:1] != [1]:
        yield f"headings {levels}: not one of level 1, as the first"
    for left, right in pairwise(levels):
        if right > left + 1:
            yield f"a heading of level {right} follows one of level {left}"
    for it in page.iter():
        if re.fullmatch("h[1-6]", it.tag) and not words(it):
            yield "an empty heading"


def _names(page: Element) -> Iterator[str]:
    for it in page.iter():
        if it.tag == "a" and (not words(it) or not it.get("href")):
            yield f"a link without words or without a target: {it.attrib}"
        if it.tag == "summary" and not words(it):
            yield "a summary without words"
        if it.tag == "details" and (not len(it) or it[0].tag != "summary"):
            yield "details without a summary"
        if it.tag in NAMED and not it.get(NAMED[it.tag]):
            yield f"{it.tag} without {NAMED[it.tag]}"
        if it.get("role") == "region" and not it.get("aria-label"):
            yield "a region without a name"
        if it.get("role") == "region" and it.get("tabindex") != "0":
            yield "a region that scrolls and cannot take the focus"


def _identities(page: Element) -> Iterator[str]:
    found = Counter(it.get("id") for it in page.iter() if it.get("id") is not None)
    yield from (
        f"id {name!r} stands there {n} times" for name, n in found.items() if n > 1
    )
    if "" in found:
        yield "an empty id"
    for it in page.iter():
        for name in (it.get("aria-labelledby") or "").split():
            if name not in found:
                yield f"aria-labelledby={name}: no such id"
        target = it.get("href") or ""
        if target.startswith("#") and target[1:] not in found:
            yield f"{target}: no such id"


def _tables(page: Element) -> Iterator[str]:
    for it in page.iter("table"):
        if it[0].tag != "caption" or not words(it[0]):
            yield "a table without a caption"
            continue
        name = words(it[0])
        heads = [cell.get("scope") for cell in it.findall("thead/tr/*")]
        if not heads or set(heads) != {"col"}:
            yield f"{name}: columns without scope"
        for row in it.findall("tbody/tr"):
            if row[0].tag != "th" or row[0].get("scope") != "row":
                yield f"{name}: a row without a head"
            if sum(int(cell.get("colspan", "1")) for cell in row) != len(heads):
                yield f"{name}: a row with another number of cells"
        if it.get("class") == "stack":
            yield from _stacked(it, name)


def _stacked(found: Element, name: str) -> Iterator[str]:
    """Yield what is missing where the style sheet takes a table's display."""
    heads = [words(cell) for cell in found.findall("thead/tr/th")]
    roles = {"thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "td": "cell"}
    for it in found.iter():
        if it.tag in roles and it.get("role") != roles[it.tag]:
            yield f"{name}: {it.tag} without its role"
    for row in found.findall("tbody/tr"):
        labels = [cell.get("data-label") for cell in row.findall("td")]
        if labels != heads[1:]:
            yield f"{name}: labels {labels} are not the heads"


def _pictures(page: Element) -> Iterator[str]:
    for it in page.iter(f"{SVG}svg"):
        title, described = it.find(f"{SVG}title"), it.find(f"{SVG}desc")
        if it.get("role") != "img" or title is None or described is None:
            yield "a picture without role, title or description"
            continue
        if not words(title) or not words(described):
            yield "a picture with an empty title or description"
        wanted = f"{title.get('id')} {described.get('id')}"
        if it.get("aria-labelledby") != wanted:
            yield f"{words(title)}: not labelled by title and description"
        values = " ".join(value for part in it.iter() for value in part.attrib.values())
        if re.search(r"\b(nan|inf)\b", values):
            yield f"{words(title)}: a place that is not a number"


def _content(page: Element) -> Iterator[str]:
    for it in page.iter():
        inside = {child.tag for child in it}
        if it.tag in ONLY_PHRASING and not inside <= PHRASING:
            yield f"{it.tag} holds {sorted(inside - PHRASING)}"
        if it.tag in {"ul", "ol"} and inside != {"li"}:
            yield f"{it.tag} holds {sorted(inside)}"
        if it.tag == "a" and len(list(it.iter("a"))) > 1:
            yield "a link in a link"


def _safety(page: Element) -> Iterator[str]:
    for it in page.iter():
        if it.tag in NEVER:
            yield f"an element {it.tag}"
        for name, value in it.attrib.items():
            if name.startswith("on") or name in {"style", "srcdoc"}:
                yield f"an attribute {name}"
            if name in {"href", "src"} and not re.match(r"(/(?!/)|#|https?://)", value):
                yield f"{name}={value}"
