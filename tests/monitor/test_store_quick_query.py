"""The quick query and the one that knows all reasons agree on every line."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_monitor.store import Limits, kinds
from model_monitor.store.database import database
from model_monitor.store.kinds import RecordKind
from model_monitor.store.lines import BadLine, Chunk, FileTroubleError, LinesFile
from model_monitor.store.quick_query import quotation_marks
from model_monitor.store.records import Records

from tests.support.monitor_records import LEFT_OUT, NOW, label, prediction, protected

LIMITS = Limits(chunk_bytes=2_000, line_bytes=3_000, names=6)
NAMES = ("a", "b", "é", "A", "0", "-", "x/y~", "new", "")
SCALARS = (
    *("0", "1", "-1", "1.0", "0.5", "-0.0", "1e-7", "1E+2", "123456789012345678"),
    *("12345678901234567890123", "1e308", "1e309", "-1e999", "9" * 400, "01", "1."),
    *("+1", "NaN", "Infinity", "-Infinity", "nan", "true", "false", "null", "True"),
    *('"x"', '""', '"5"', '"NaN"', '"a b"', '"é"', '"\\u00e9"', '"\\n"', '"\\""'),
    *('"\\u0000"', '"\\ud800"', '"a\\\\"', "'x'", '"{"', '"[1]"', '":"', '", "'),
)
NESTED = (
    *("[]", "[1,2]", "[0.5, null]", '["a"]', '[1,"a"]', "[[1]]", "[NaN]", "[1e999]"),
    *("{}", '{"a":1}', '{"a":{"b":1}}', '{"a":"x"}', "[1,]", "{,}", "[", "{"),
)
VALUES = st.sampled_from([*SCALARS, *NESTED])
TIMES = (
    *("2026-11-29T13:30:09Z", "2026-11-29T13:30:09.123456Z", "2026-11-29 13:30:09"),
    *("2026-11-29T13:30:09+02:00", "2126-11-29T13:30:09Z", "1970-01-01T00:00:00Z"),
)
SPACES = st.sampled_from(["", "", "", " ", "\t", "\r"])
ODD_LINES = (
    *(b"", b" ", b"{}", b"[]", b"null", b"5", b'"x"', b"bad", b"{", b'{"id":"x"}'),
    *(b"{} {}", b"\xff\xfe", b'{"id":"\xff"}', b"\xef\xbb\xbf{}", b"\x00", b"\r"),
)

Members = list[tuple[str, str]]


def usual(kind: RecordKind) -> Members:
    record = {
        "predictions": prediction(),
        "protected": protected(),
        "labels": label(),
    }[kind.table]
    return [(key, json.dumps(value)) for key, value in record.items()]


@st.composite
def names_object(draw: st.DrawFn) -> str:
    members = draw(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4))
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in members) + "}"


@st.composite
def new_value(draw: st.DrawFn, key: str, kind: RecordKind) -> str:
    """A value that the field may have, or not."""
    if key == kind.names:
        return draw(st.one_of(names_object(), VALUES))
    if "time" in key:
        return draw(st.one_of(st.sampled_from(TIMES).map(json.dumps), VALUES))
    if draw(st.integers(0, 30)) == 0:
        return json.dumps("x" * draw(st.sampled_from([250, 260, 4_000])))
    return draw(VALUES)


@st.composite
def lines(draw: st.DrawFn, kind: RecordKind) -> bytes:
    """A record as it should be, or changed in a few places."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(ODD_LINES))
    members = usual(kind)
    others = [*(field.name for field in kind.fields), "extra", "Id", "id "]
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(members) - 1))
        key, value = members[place]
        change = draw(st.sampled_from(["value", "leave out", "again", "other", "name"]))
        if change == "again":
            members.insert(0, (key, draw(VALUES)))
        elif change == "other":
            members.append((draw(st.sampled_from(others)), draw(VALUES)))
        elif change == "leave out":
            del members[place]
        elif change == "name":
            members[place] = draw(st.sampled_from(NAMES)), value
        else:
            members[place] = key, draw(new_value(key, kind))
    space = draw(SPACES)
    text = ",".join(f"{json.dumps(k)}{space}:{space}{v}" for k, v in members)
    end = draw(st.sampled_from(["}", "}", "}", "}", "} ", ",}", "", "}}", "} {}"]))
    return ("{" + text + end).encode(errors="surrogatepass").replace(b"\n", b" ")


Read = tuple[list[BadLine], list[tuple[Any, ...]], list[str], int]


def read(connection: Any, kind: RecordKind, content: bytes, *, is_usual: bool) -> Read:
    """Bad lines, good rows, names and the number of the good."""
    records = Records(connection, kind, LIMITS, NOW, is_usual=is_usual)
    bad: list[BadLine] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lines")
        path.write_bytes(content)
        with suppress(FileTroubleError):
            for chunk in LinesFile(path, LIMITS, is_gzip=False).chunks():
                if not is_usual:
                    assert not records._is_usual
                bad += records.add(chunk)
    found: list[tuple[Any, ...]] = []
    if content:
        columns = [f'cast("{it}" as varchar)' for it in kind.columns]
        places = range(1, len(records.names) + 1) if kind.names else ()
        columns += [f"leaves[{place}]" for place in places]
        columns += [f"cast(numbers[{place}] as varchar)" for place in places]
        found = connection.execute(f"select {', '.join(columns)} from rows").fetchall()
    result = bad, found, records.names, records.count
    records.drop()
    return result


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with database(tmp_path_factory.mktemp("quick"), 256) as opened:
        yield opened


@pytest.mark.parametrize(
    "kind",
    [kinds.predictions(), kinds.protected(), kinds.labels()],
    ids=lambda it: it.table,
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_both_ways_take_and_refuse_the_same_lines(
    kind: RecordKind, connection: Any, data: st.DataObject
) -> None:
    some = data.draw(st.lists(lines(kind), min_size=1, max_size=12))
    content = b"\n".join(some)
    quick = read(connection, kind, content, is_usual=True)
    assert quick == read(connection, kind, content, is_usual=False)
    assert quick[3] == len(quick[1])
    assert quick[3] + len(quick[0]) == sum(1 for it in some if it)


USUAL = {
    "numbers": prediction(features={"a": 1, "b": 0.5, "c": -3}),
    "texts and nulls": prediction(features={"a": "x", "b": None, "c": True}),
    "names that are not there": prediction(features={"a": 1}),
    "no features": prediction(features={}),
    "no decision": prediction(decision=LEFT_OUT, score=None),
    "several scores": prediction(decision="dog", score=[0.5, 0.25, 0.25]),
    "outputs": prediction(
        decision=LEFT_OUT, score=LEFT_OUT, outputs={"mask": [1, 2], "kind": "x"}
    ),
    "letters": prediction(id="schön", decision="ß", features={"é": "ü"}),
    "refused": prediction(
        status=422,
        code="bad_input",
        features=LEFT_OUT,
        decision=LEFT_OUT,
        score=LEFT_OUT,
    ),
}


def doubted(connection: Any, kind: RecordKind, records: list[dict[str, Any]]) -> int:
    """Lines that the quick query does not take."""
    text = "\n".join(json.dumps(it, ensure_ascii=False) for it in records)
    reader = Records(connection, kind, Limits(), NOW)
    rest: list[Chunk] = []
    whole = reader._read_all
    reader._read_all = lambda chunk, table: (  # type: ignore[method-assign]
        rest.append(chunk) or whole(chunk, table)
    )
    assert not reader.add(Chunk(1, text))
    reader.drop()
    return sum(1 for chunk in rest for line in chunk.text.split("\n") if line)


@pytest.mark.parametrize("name", USUAL)
def test_usual_predictions_are_read_quickly(name: str, connection: Any) -> None:
    records = [USUAL[name]] * 3
    if name not in ("no features", "refused"):
        records.append(prediction(features=USUAL["texts and nulls"]["features"]))
    assert doubted(connection, kinds.predictions(), records) == 0


def test_usual_labels_and_attributes_are_read_quickly(connection: Any) -> None:
    labels = [label(), label(row=LEFT_OUT), label(label="x"), label(label=None)]
    assert doubted(connection, kinds.labels(), labels) == 0
    attributes = [protected(), protected(attributes={"SEX": None})]
    assert doubted(connection, kinds.protected(), attributes) == 0


@pytest.mark.parametrize("last", [[], [b""], [b"", b""], [b'"']])
def test_quotation_marks_of_lines(last: list[bytes]) -> None:
    lines = [b'{"a":"b"}', b"", b'"\\""', b'"' * 70_000, b'""', *last]
    expected = [4, 0, -2, -2, 2, *(it.count(b'"') for it in last)]
    assert quotation_marks(b"\n".join(lines)).tolist() == expected
    assert quotation_marks(b"\n".join(last)).tolist() == (expected[5:] or [0])


def test_one_bad_line_leaves_the_others_to_the_quick_query(connection: Any) -> None:
    reader = Records(connection, kinds.predictions(), Limits(), NOW)
    records = [json.dumps(prediction(id=str(n))) for n in range(9)]
    records[4] = '{"id": "4", "id": "5"}'
    (bad,) = reader.add(Chunk(1, "\n".join(records)))
    assert (bad.line, bad.reason) == (5, "missing_field row")
    ids = connection.execute("select id from rows").fetchall()
    assert [it for (it,) in ids] == [str(n) for n in range(9) if n != 4]
    assert reader._is_usual
    reader.drop()
