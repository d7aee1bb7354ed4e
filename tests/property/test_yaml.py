"""YAML means the same to us, to Pulumi's engine and to Kubernetes.

The judges are the libraries that these programs read with, run in Go.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from components.yaml_text import Dialect, YamlError, read, written
from components.yaml_text.writer import of_any_type
from tests.support.yaml_readers import Readers

EXAMPLES = 400

WORDS = [
    "0000-01-01",
    *("081111", "012345678901", "0777", "81111e1", "1e3", "1E+3", "1e400", "6.8e+5"),
    *("0o17", "0O17", "-0o17", "017", "089", "0x1F", "0b101", "1_000", "1__0", "1_"),
    *("0x", "0o9", "0b2", "0x1p3", "00", "+1", "-017", "_1", "685_230.15", ".5_1"),
    *("y", "Y", "n", "yes", "No", "ON", "off", "true", "True", "tRue", "FALSE"),
    *("~", "null", "Null", "nUll", "", ".inf", "-.Inf", "+.INF", ".nan", "inf", "NaN"),
    *("12:30", "190:20:30", "1:2.5", "0:0", "=", "<<", "-", ".", "+", "1.", "+.5"),
    *("2027-01-02", "2027-1-2", "2027-02-30", "2027-01-02T03:04:05Z", "20270102"),
    *("2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43", "2027-01-02 "),
    *("9223372036854775808", "18446744073709551615", "18446744073709551616"),
    *("-9223372036854775809", "0.1.2", "1,000", "1.36.3", "10.0.0.1", "1e", "e1"),
    *("a: b", "a #b", "#", "- a", "? a", "{a", "[a", "&a", "*a", "!a", "|", ">", "%a"),
    *("@a", "`a", "'", '"', "a'b", "---", "...", " a", "a ", "a\tb", "\ta", "\\"),
    *("a\nb", "a\n", "\na", "\n", "a\n\n", "a\n\nb", " a\nb", "a \nb", "a\n b"),
    *("a\r\nb", "\r", "a\x85b", "a\u2028b\n", "\ufeffa", "é", "\U0001f600", "\x00"),
    *("a\n---\nb", "a\n...\n", "# a\nb", "a:\nb", "a\n\tb\n", "\t\na", "{{ a }}"),
]
"""What some reader of YAML takes for something else than text, or trips over."""

number_like = st.text(alphabet="0123456789+-._eExXoObBaAfF:", min_size=1, max_size=12)
day_like = st.from_regex(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]{1,3})?(Z|[+-]0[0-9]:[0-5]0)?)?",
    fullmatch=True,
)
any_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
lines = st.text(alphabet="ab \t\n:#-'\"|>{}[]\\é\x85\u2028\r", max_size=20)
texts = st.one_of(st.sampled_from(WORDS), number_like, day_like, any_text, lines)


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    found = Readers()
    yield found
    found.close()


def judge(content: dict[str, str], readers: Readers) -> None:
    """Text stays text to every reader, as a key and as a value."""
    page = written(content)
    wanted = {key: ["text", value] for key, value in content.items()}
    assert readers.ask(page) == {"engine": wanted, "kubernetes": wanted}, page
    assert read(page, "page") == content
    assert read(page, "page", Dialect.KUBERNETES) == content
    assert yaml.safe_load(page) == content, page


@pytest.mark.programs
@pytest.mark.parametrize("word", WORDS)
def test_words_that_readers_disagree_about_stay_text(
    word: str, readers: Readers
) -> None:
    judge({"value": word, word: "key", "lines": f"{word}\n{word}"}, readers)


@pytest.mark.programs
@settings(max_examples=EXAMPLES)
@given(key=texts, value=texts)
def test_any_text_that_is_written_stays_text(
    key: str, value: str, readers: Readers
) -> None:
    judge({key: value}, readers)


def said(value: Any) -> list[str] | None:
    """A scalar of ours as the Go program describes it; None: it has no such type."""
    if isinstance(value, str):
        return ["text", value]
    if value is None:
        return ["<nil>", "<nil>"]
    if isinstance(value, bool):
        return ["bool", str(value).lower()]
    return None


def alike(ours: Any, theirs: list[str]) -> bool:
    """Whether both readings are one value; Kubernetes' numbers are all floats."""
    if (plain := said(ours)) is not None:
        return plain == theirs
    kind, value = theirs
    if isinstance(ours, datetime):
        moment = ours.astimezone(UTC)
        return kind == "time.Time" and _moment(value) == moment
    if isinstance(ours, date):
        return kind == "time.Time" and value == f"{ours} 00:00:00 +0000 UTC"
    numbers = ("int", "int64", "uint64", "float64")
    if kind not in numbers or (isinstance(ours, float) and kind != "float64"):
        return False
    if isinstance(ours, int) and kind != "float64":
        return value == str(ours)
    return float(value) == float(ours) or str(float(value)) == str(float(ours))


def _moment(text: str) -> datetime:
    day, time, offset, *_ = text.split(" ")
    whole, _, fraction = time.partition(".")
    found = datetime.fromisoformat(f"{day}T{whole}{offset[:3]}:{offset[3:]}")
    return found.replace(microsecond=int(fraction[:6].ljust(6, "0") or 0))


def compare(word: str, readers: Readers) -> None:
    """A bare word means to us what it means to the engine and to Kubernetes."""
    found = readers.ask(word)
    for dialect in Dialect:
        theirs = found[dialect.value]
        try:
            ours = read(word, "word", dialect)
        except YamlError:
            assert isinstance(theirs, dict), (dialect, word, theirs)
            continue
        if isinstance(ours, dict | list):  # `- a`, `a: b`: no word
            continue
        if word.startswith("0000-"):  # a year of Go's and of no day in Python
            continue
        unsayable = isinstance(ours, float) and not math.isfinite(ours)
        if dialect is Dialect.KUBERNETES and unsayable:
            assert "unsupported value" in theirs["error"]
            continue
        assert alike(ours, theirs), (dialect, word, ours, theirs)


BARE = [w for w in WORDS if w.strip() and w.isprintable() and w != "!a"]
"""A tag that nobody knows is refused here; Go's readers drop it."""


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda some: st.one_of(st.lists(some), st.dictionaries(texts, some)),
    max_leaves=8,
)


@given(content=values, sort_keys=st.booleans())
def test_the_short_way_writes_what_representers_write(
    content: Any, sort_keys: bool
) -> None:
    expected = of_any_type(content, sort_keys=sort_keys)
    assert written(content, sort_keys=sort_keys) == expected


@pytest.mark.parametrize(
    "content", [1.5, {1: "a"}, {"a": date(2027, 1, 2)}, ("a",), {"a": {True: 1}}]
)
def test_other_types_than_those_of_json_are_written(content: Any) -> None:
    assert written(content) == of_any_type(content)


@pytest.mark.programs
@pytest.mark.parametrize("word", BARE)
def test_bare_words_mean_what_the_engine_and_kubernetes_read(
    word: str, readers: Readers
) -> None:
    compare(word, readers)


@pytest.mark.programs
@settings(max_examples=EXAMPLES)
@given(word=st.one_of(number_like, day_like))
def test_numbers_and_days_mean_what_the_engine_and_kubernetes_read(
    word: str, readers: Readers
) -> None:
    compare(word, readers)


@pytest.mark.programs
@pytest.mark.parametrize(
    "text", ["a: 1\na: 2", "a: {b: 1, b: 2}", "a: 1\n'a': 2", "- {c: 1, c: 1}"]
)
def test_the_engine_refuses_what_we_refuse(text: str, readers: Readers) -> None:
    assert "already defined" in readers.ask(text)["engine"]["error"]
    with pytest.raises(YamlError, match="appears twice"):
        read(text, "text")
