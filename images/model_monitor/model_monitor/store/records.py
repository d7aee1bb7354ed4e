"""The records of one file in DuckDB: read, checked against their contract, typed.

The database does what is done for each row: at first by a quick query, which tells the
lines that are surely good, then for the others by one that knows all that can be wrong.
A bad line is returned with its reason; none is skipped.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import duckdb

from model_monitor.store.database import Connection, name
from model_monitor.store.kinds import RecordKind
from model_monitor.store.limits import Limits
from model_monitor.store.lines import BadLine, Chunk
from model_monitor.store.quick_query import (
    can_be_quick,
    pointer,
    pointers,
    quick_query,
    quotation_marks,
)
from model_monitor.store.record_query import SURPLUS, query

_VALUES = ("leaves", "numbers")
_NAME_CHARACTERS = 256
_SAMPLE_LINES = 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Records:
    """The good records of one file, in the view `rows`, by the order of their lines.

    Its columns are those of the kind and, of a kind with names, `leaves` VARCHAR[] and
    `numbers` DOUBLE[] by the order of `names`: the JSON text of the value, null where
    the record has no such name, and the value where it is a number.
    """

    def __init__(
        self,
        connection: Connection,
        kind: RecordKind,
        limits: Limits,
        now: dt.datetime,
        *,
        is_usual: bool = True,
    ) -> None:
        """is_usual: whether the first chunk is read by the quick query at first."""
        self._connection, self._kind, self._limits = connection, kind, limits
        self.names: list[str] = []
        self.count = 0
        """Rows so far."""
        self._chunks = 0
        self._is_usual = is_usual
        """Whether most lines of the last chunk were read the quick way."""
        columns = [name(it) for it in kind.columns]
        self._columns = ", ".join([*columns, *_VALUES] if kind.names else columns)
        today = now.astimezone(dt.UTC).replace(tzinfo=None)
        latest = today + dt.timedelta(seconds=limits.clock_tolerance_seconds)
        earliest = dt.datetime.combine(
            today.date() - dt.timedelta(days=limits.retention_days), dt.time()
        )
        for variable, moment in (("latest", latest), ("earliest", earliest)):
            connection.execute(f"set variable {variable} = timestamp '{moment}'")

    def add(self, chunk: Chunk) -> list[BadLine]:
        """Take the good lines of a chunk and return the bad ones, by line."""
        table = f"chunk_{self._chunks}"
        if self._kind.names and not self.names:
            self._learn(_names_in_some(chunk.text, self._kind.names))
        if self._is_usual and can_be_quick(self.names):
            rest = self._read_quickly(chunk, table)
            bad = self._add_rest(rest, table) if rest is not None else []
        else:
            bad = self._read_all(chunk, table)
        self._chunks += 1
        self._show()
        ((lines,),) = self._connection.execute(
            f"select count(*) from {table}"  # noqa: S608, our own name
        ).fetchall()
        self.count += lines
        return sorted([*bad, *chunk.bad], key=lambda it: it.line)

    def drop(self) -> None:
        """Forget all records: the database is as it was."""
        self._connection.execute("drop view if exists rows")
        for table in [*(f"chunk_{it}" for it in range(self._chunks + 1)), "rest"]:
            self._connection.execute(f"drop table if exists {table}")

    def _show(self) -> None:
        """Make the view `rows`."""
        # Tables of the two queries differ in what else they have.
        tables = " union all ".join(
            f"select {self._columns} from chunk_{number}"  # noqa: S608, our own names
            for number in range(self._chunks)
        )
        self._connection.execute(f"create or replace temp view rows as {tables}")

    def _read_quickly(self, chunk: Chunk, table: str) -> Chunk | None:
        """Make the table of the lines that are surely good; return the others.

        None: there are no others.
        """
        values = {
            "before": chunk.first_line - 1,
            "text": chunk.text,
            "pointers": pointers(self._kind, self.names),
        }
        self._execute(
            lambda **options: quick_query(
                *(self._kind, table, self._limits.text_characters),
                has_names=bool(self.names),
                **options,
            ),
            values,
        )
        found = self._connection.execute(
            f"select line, quotes from {table}"  # noqa: S608, our own name
        ).fetchnumpy()
        places = found["line"] - chunk.first_line
        quotes = quotation_marks(chunk.text.encode())
        doubted = places[found["quotes"] != quotes[places]]
        self._is_usual = 2 * len(doubted) <= len(places)
        if not len(doubted):
            return None
        # Texts of places without a doubt are empty: nobody reads them.
        texts = chunk.text.split("\n")
        rest = [""] * len(texts)
        for place in doubted.tolist():
            rest[place] = texts[place]
        return Chunk(chunk.first_line, "\n".join(rest))

    def _add_rest(self, rest: Chunk, table: str) -> list[BadLine]:
        """Put the good ones of doubted lines in their places; return the bad ones."""
        bad = self._read_all(rest, "rest")
        lines = [
            str(number)
            for number, line in enumerate(rest.text.split("\n"), rest.first_line)
            if line
        ]
        # One text, not a list: see `_read`.
        self._connection.execute(
            f"""
create or replace temp table {table} as
select line, {self._columns} from {table} where line not in (
    select cast(unnest(string_split($doubted, ',')) as bigint))
union all select line, {self._columns} from rest
order by line
""",  # noqa: S608, our own names
            {"doubted": ",".join(lines)},
        )
        self._connection.execute("drop table rest")
        return bad

    def _read_all(self, chunk: Chunk, table: str) -> list[BadLine]:
        """Look at each line for all that can be wrong; return the bad ones.

        The table has the good ones.
        """
        self._read(chunk, table)
        # Names that were not known are read with the others, once they are.
        while self._kind.names and self._learn(self._unknown_names(table)):
            self._read(chunk, table)
        rows = self._connection.execute(
            f"select line, reason, text from {table} "  # noqa: S608, our own name
            "where reason is not null"
        ).fetchall()
        self._connection.execute(
            f"delete from {table} where reason is not null"  # noqa: S608, our own name
        )
        return [BadLine(line, why, text.encode()) for line, why, text in rows]

    def _read(self, chunk: Chunk, table: str) -> None:
        # One long text: of a list, DuckDB's Python client would look at each element,
        # and for pandas in vain each time (1.5.6: 10 microseconds a line).
        values: dict[str, Any] = {
            "before": chunk.first_line - 1,
            "text": chunk.text,
        }
        if self._kind.names:
            values["pointers"] = [pointer(it) for it in self.names]
        self._execute(
            lambda **options: query(
                *(self._kind, table, self._limits.text_characters), **options
            ),
            values,
        )

    def _execute(self, sql: Callable[..., str], values: Mapping[str, Any]) -> None:
        try:
            self._connection.execute(sql(may_be_no_json=False), values)
        except duckdb.InvalidInputException:
            # A line is not JSON: look at each before it is read.
            self._connection.execute(sql(may_be_no_json=True), values)

    def _unknown_names(self, table: str) -> list[str]:
        """Return the names in the lines that have more than the known ones.

        Those of most lines come first, so that no odd line takes their places.
        """
        rows = self._connection.execute(
            f"""
select name, count(*) as lines
from (
    select unnest(names) as name
    from (
        select json_keys(text, $pointer) as names from {table}
        where reason = '{SURPLUS} {self._kind.names}'
    )
    where len(names) <= $most
)
group by name order by lines desc, name
""",  # noqa: S608, our own names
            {"pointer": pointer(self._kind.names), "most": self._limits.names},
        ).fetchall()
        return [it for it, _ in rows]

    def _learn(self, names: Iterable[str]) -> bool:
        """Take names in, as far as the bounds allow; tell if any is new."""
        # Columns of DuckDB differ by more than the case of their letters.
        known = {it.casefold() for it in self.names}
        count = len(self.names)
        for it in names:
            if it.casefold() in known or len(self.names) == self._limits.names:
                continue
            if it and len(it) <= _NAME_CHARACTERS and not _CONTROL.search(it):
                known.add(it.casefold())
                self.names.append(it)
        return len(self.names) > count


def _names_in_some(text: str, field: str) -> list[str]:
    """Return the names in the first lines, the most frequent first."""
    found: Counter[str] = Counter()
    for line in text.split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES]:
        with suppress(ValueError, RecursionError):
            record = json.loads(line)
            if isinstance(record, dict) and isinstance(record.get(field), dict):
                found.update({*record[field]})
    return sorted(found, key=lambda it: (-found[it], it))
