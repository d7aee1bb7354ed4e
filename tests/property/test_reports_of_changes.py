"""No value of a change can format the report on it, or mention anybody.

The judge is a Markdown parser: what the values say is found in code spans alone.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from components.security import rules
from slipway.drift import markdown as drift_markdown
from slipway.drift.report import DriftReport, StackDrift
from slipway.preview import comparison, judgement, markdown, report, verdict
from slipway.preview.report import Report, StackReport
from slipway.preview.sides import Side
from toolchain.errors import WrongInputError

MARK = "zqz"
"""In each value; no text of the reports has it."""
PIECES = (
    *("`", "``", "```", "|", "\n", "\r\n", "\n\n# ", "\n- ", "\n|---|\n", "\\", " "),
    *("<b>", "</details>", "<script>", "<!--", "&lt;", "@team", "#1", "https://x.yz"),
    *("**", "[a](b)", "![a](b)", "~~~", "    ", "\u2028", "\u202e", "\x1b[31m", MARK),
)
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=5).map(
    lambda some: MARK + "".join(some) + MARK
)
TEXT = st.one_of(HOSTILE, st.sampled_from(["", " ", "\n"]))
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OUR_HTML = re.compile(
    r"(<details><summary>(<code>[\w.-]*</code>: .*</summary>)?|</details>)"
)
OURS = {
    ("Report", "judge"): "base",
    ("Report", "level"): "nothing",
    ("Report", "verdict"): "",
    ("Report", "notes"): (),
    ("Bill", "note"): "",
    ("Bill", "prices"): (),
}
"""Fields without values of a change. Notes have a test of their own."""


PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(0, 9),
    float: st.floats(0, 9),
    bool: st.booleans(),
    type(None): st.none(),
}


def field(kind: Any, owner: str, name: str) -> st.SearchStrategy[Any]:
    """Anything that the field may be, with hostile text wherever it is text."""
    if (owner, name) in OURS:
        return st.just(OURS[owner, name])
    if name == "type":
        return HOSTILE.map(lambda text: "aws:a/b:" + text.replace(":", ""))
    # An annotation names evictions: no number of theirs need be one.
    return TEXT if owner == "Eviction" else value(kind)


def value(kind: Any) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(value, arguments))
    if origin is tuple:
        return st.lists(value(arguments[0]), max_size=2).map(tuple)
    return made(kind) if dataclasses.is_dataclass(kind) else PLAIN[kind]


def made(kind: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind, vars(report))
    names = (one.name for one in dataclasses.fields(kind))
    return st.builds(kind, **{n: field(hints[n], kind.__name__, n) for n in names})


def is_code(token: Token) -> bool:
    return token.type == "code_inline"


def outside(text: str) -> Iterator[str]:
    """What a reader would see formatted, and HTML that is not ours."""
    for block in PARSER.parse(text):
        for token in block.children or [block]:
            html = token.type.startswith("html")
            ours = OUR_HTML.fullmatch(token.content.strip()) if html else None
            if not ours and (html or MARK in token.content) and not is_code(token):
                yield token.content
            if token.type in ("link_open", "image", "fence", "code_block"):
                yield token.type


def test_the_parser_sees_what_is_outside() -> None:
    assert list(outside(f"a {MARK}"))
    assert list(outside("<b>a</b>"))
    assert not list(outside(f"a `{MARK}`"))


@settings(max_examples=60)
@given(made(Report))
def test_values_stand_in_code_spans(one: Report) -> None:
    found = verdict.with_verdict(one)
    text = markdown.text(found, 10_000_000)
    assert list(outside(text)) == []


@given(st.lists(made(StackReport).map(lambda one: one.items), max_size=3), HOSTILE)
def test_values_of_drift_do_too(items: Any, text: str) -> None:
    stacks = [StackDrift("models.dev", 9, some, text) for some in items]
    found = drift_markdown.text(DriftReport(tuple(stacks), (text,)), 10_000_000)
    assert list(outside(found)) == []


def unread(text: str) -> str:
    """The note on rules that cannot be read, for a reason that quotes them."""

    def load(_: Path) -> Any:
        raise WrongInputError(text)

    found = judgement.Judgement()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "load", load)
        patch.setattr(judgement, "_has_rules", lambda _: True)
        assert judgement._rules(Side(text, Path()), found) is None
    return found.notes[0]


@given(HOSTILE)
def test_notes_do_too(text: str) -> None:
    side = Side("base", Path("/nonexistent"))
    notes = [*comparison._notes(side, side, [StackReport(text, "base", ())])]
    notes.append(unread(text))
    assert all(MARK in note for note in notes)
    assert [one for note in notes for one in outside(f"- {note}")] == []
