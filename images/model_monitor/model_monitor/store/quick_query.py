"""The SQL that reads the usual lines of a chunk: each is parsed once.

It finds the lines that are certainly valid, and no other: all others go through
`record_query`, which names the reason. A JSON text without a backslash has two
quotation marks for each key and each string. A good line has those of the fields and
names that were found and no more: so their number shows that no field is unknown or
repeated, and nobody needs to look at the keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

from model_monitor.contracts import Field
from model_monitor.store.checks import reason
from model_monitor.store.database import name
from model_monitor.store.kinds import RecordKind
from model_monitor.store.record_query import with_times

_BRACKETS = 1_000_000
"""Counted for a list or object among the names, so that no line has as many."""
_INDEX = re.compile(r"[0-9]+|-")
_COUNTED_BYTES = np.iinfo(np.uint16).max
_UNCOUNTED = -2
_QUOTE, _BACKSLASH, _LINE_FEED = b'"\\\n'


def pointer(key: str) -> str:
    """Return the JSON pointer (RFC 6901) of a member of an object."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def pointers(kind: RecordKind, names: Sequence[str]) -> list[str]:
    """Return the pointers that the query is given: fields, then names."""
    fields = [pointer(field.name) for field in _fields(kind, has_names=bool(names))]
    return [*fields, *(pointer(kind.names) + pointer(it) for it in names)]


def can_be_quick(names: Iterable[str]) -> bool:
    """Tell whether a pointer finds these names in objects alone, and not in lists."""
    return not any(_INDEX.fullmatch(it) for it in names)


def quotation_marks(content: bytes) -> np.ndarray:
    """Return the number of quotation marks of each line, int64 of shape (lines,).

    It is -2 where a line has a backslash, or so many bytes that they are not counted.
    Lines end with a line feed but the last.
    """
    if not content or content[-1] == _LINE_FEED:
        # An empty last line has no byte; this one is in its place.
        content += b" "
    found = np.frombuffer(content, np.uint8)
    ends = np.append(np.flatnonzero(found == _LINE_FEED), len(found))
    starts = np.concatenate(([0], ends[:-1] + 1))
    # Sums of another type than 16 bits take five times as long (NumPy 2.4).
    marks = (found == _QUOTE).view(np.uint8)
    quotes = np.add.reduceat(marks, starts, dtype=np.uint16).astype(np.int64)
    quotes[ends - starts > _COUNTED_BYTES] = _UNCOUNTED
    if _BACKSLASH in content:
        (places,) = np.nonzero(found == _BACKSLASH)
        quotes[np.searchsorted(ends, places)] = _UNCOUNTED
    return quotes


@cache
def quick_query(
    kind: RecordKind,
    table: str,
    text_characters: int,
    *,
    has_names: bool,
    may_be_no_json: bool,
) -> str:
    """Return the SQL that makes a table of a chunk's lines.

    Columns: `line`; `quotes`, how many quotation marks a good line has, -1 if the line
    is none, as far as it was read; those of the kind and, of a kind with names,
    `leaves` and `numbers` (see `Records`). Parameters: `before`, the number of lines
    before the chunk; `text`, its lines, of which empty ones are left out; `pointers`.
    may_be_no_json: without it, a line that is not JSON is an error of the statement.
    """
    columns = "".join(f", {sql} as {name(it)}" for it, sql in kind.columns.items())
    values = ", leaves, numbers" if kind.names else ""
    source = _read(kind, has_names=has_names, may_be_no_json=may_be_no_json)
    return f"""
create or replace temp table {table} as
select line, cast(coalesce(case when {reason(kind, text_characters)} is null
    then {_quotes(kind)} end, -1) as bigint) as quotes {columns}{values}
from ({source})
"""  # noqa: S608, names and expressions are our own


def _fields(kind: RecordKind, *, has_names: bool) -> list[Field]:
    """Return the fields that are read whole."""
    return [it for it in kind.fields if not (has_names and it.name == kind.names)]


def _read(kind: RecordKind, *, has_names: bool, may_be_no_json: bool) -> str:
    """Return the query of what `reason`, `_quotes` and the kind's columns read."""
    fields = _fields(kind, has_names=has_names)
    leaves = "".join(
        f", found[{place}] as leaf_{field.name}"
        for place, field in enumerate(fields, 1)
    )
    if kind.names:
        leaves += f", found[{len(fields) + 1}:] as leaves"
    numbers = ", try_cast(leaves as double[]) as numbers" if kind.names else ""
    # Of an object with one of the names no more is known than its first character.
    opened = ", case when list_count(leaves) > 0 then '{' end as leaf_" + kind.names
    is_json = "json_valid(text)" if may_be_no_json else "true"
    source = f"""
select line, text, is_json, 1 as fields_count, list_count(found) as keys{leaves}
from (
    select line, text, is_json,
        cast(json_extract(case when is_json then text end, $pointers) as varchar[])
            as found
    from (
        select *, {is_json} as is_json
        from (
            select $before + generate_subscripts(texts, 1) as line,
                unnest(texts) as text
            from (select string_split($text, chr(10)) as texts)
        )
        where text <> ''
    )
)
"""  # noqa: S608, names and expressions are our own
    return f"""
select *{numbers}{opened if has_names else ""}
from ({with_times(kind, source)})
"""  # noqa: S608, names and expressions are our own


def _quotes(kind: RecordKind) -> str:
    """Return the SQL of the quotation marks of a line without a backslash."""
    counts = ["2 * keys"]
    for field in kind.fields:
        leaf = f"leaf_{field.name}"
        if field.name == kind.names:
            continue
        if field.kind in ("text", "time"):
            counts.append(f"2 * cast({leaf} is not null as integer)")
        elif field.kind in ("names", "value"):
            counts.append(f"quotes_in({leaf})")
    if kind.names:
        counts += [_of_names(kind)]
    return " + ".join(counts)


def _of_names(kind: RecordKind) -> str:
    """Return the SQL of the quotation marks of names' values, and of their field.

    Null if a number is not finite.
    """
    # If the field itself was read, no name is known: it must be an empty object.
    return f"""case
    when not isfinite(list_sum(numbers)) then null
    when len(leaves) = 0 then case when leaf_{kind.names} <> '{{}}' then null else 0 end
    when list_count(leaves) = 0 then 0
    when list_count(numbers) = list_count(leaves) then 2
    else 2 + list_sum(list_transform(leaves, lambda x: case ascii(x)
        when 34 then 2 when 91 then {_BRACKETS} when 123 then {_BRACKETS} else 0 end))
    end"""
