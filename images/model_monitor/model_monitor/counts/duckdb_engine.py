"""The store's files of one cohort as relations, and the queries on them, by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from model_monitor.counts import column_bins
from model_monitor.counts.cohort import SHADOW
from model_monitor.counts.counts import Binned
from model_monitor.counts.parquet_files import ParquetFiles, read
from model_monitor.counts.reference import Variable
from model_monitor.counts.spare_rows import NOT_SPARE, Kept, find_spare
from model_monitor.labels.latest import LATEST_FIRST
from model_monitor.store.database import Connection, name, text

COLUMNS = {
    "id": "varchar",
    "row": "integer",
    "time": "timestamp",
    "code": "varchar",
    "latency_seconds": "double",
    "decision": "varchar",
    "decision_number": "double",
    "score": "double",
}
"""Columns that `predictions` always has, beside `segment`."""
_KEYS = ("id", "row")
"""Those of them that only labels and protected attributes are joined by."""
# A copied request has the id of its original, and is a prediction of its own.
_PREDICTIONS = Kept(
    f"""id, "row", code is null, arm = '{SHADOW}'""",
    '"time"',
    'id, "row", code, "time", arm',
)
_PROTECTED = Kept('id, "row"', '"time"', 'id, "row", "time"')
_LABELS = Kept(
    'id, "row"', LATEST_FIRST, 'id, "row", label_time, received, source, label'
)


class DuckDbEngine:
    """One cohort's files. Use: `open_labels`, `open_protected`, then each of `chunks`.

    Of duplicates of a prediction the earliest counts (time, then name of the file); a
    refused request and an answered one of the same id are two. Of several labels of a
    row the latest holds (label_time, received, source), and null withdraws it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.segments: list[tuple[str, str]] = []
        """Revision and arm, by number."""
        self._is_joined = False
        """Whether predictions are joined to anything by their keys."""
        self._has_spare = False
        """Whether `spare` has rows of the predictions."""
        self._part: Sequence[Path] = ()
        self._here: frozenset[str] = frozenset()
        """Columns of the part."""
        self._numbers: dict[tuple[str, str], int] = {}
        """Segments of the part."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(sql).fetchall())

    def run(self, sql: str) -> None:
        self._connection.execute(sql)

    def read_keys(self) -> None:
        """Let `predictions` have ids and rows, also without labels to join by them."""
        self._is_joined = True

    def keep(self, name: str, sql: str) -> None:
        self._connection.execute(f"create or replace temp table {name} as {sql}")

    def bins(
        self, columns: Mapping[str, Variable], others: Sequence[str]
    ) -> dict[str, list[tuple[int, Binned]]]:
        """Return the counts of usual columns by segment, in one pass over the files.

        The relation `predictions` then has the columns that are left out, and `others`.
        """
        usual = {
            column: variable
            for column, variable in columns.items()
            if column_bins.can_count(variable, column)
        }
        found: dict[str, list[tuple[int, Binned]]] = {column: [] for column in usual}
        source = self._predictions(["code", *usual])
        for segment, *row in self.rows(column_bins.query(usual, source)):
            for column, binned in column_bins.counted(usual, row).items():
                if binned is None:
                    found.pop(column, None)
                elif column in found:
                    found[column].append((segment, binned))
        left = [it for it in columns if it not in found and it not in COLUMNS]
        if left or others:
            self.keep("predictions", self._predictions([*COLUMNS, *left, *others]))
        return found

    def open_labels(self, paths: Sequence[Path]) -> str:
        """Make the relation `labels`; return the newest time of a label, RFC 3339."""
        columns = "id varchar, row integer, label varchar, label_number double"
        self._connection.execute(f"create or replace temp table labels ({columns})")
        if not paths:
            return ""
        self._is_joined = True
        files = ParquetFiles(self._connection, paths)
        rest = NOT_SPARE if find_spare(self._connection, files, _LABELS) else ""
        times = []
        for part in files.parts:
            self._connection.execute(
                "insert into labels select id, row, label, label_number "  # noqa: S608
                f"from {read(part)} as f {rest} where label is not null"
            )
            times += self.rows(f"select max(label_time) from {read(part)}")  # noqa: S608
        newest = max((time for (time,) in times if time), default=None)
        return newest.isoformat(timespec="microseconds") + "Z" if newest else ""

    def open_protected(self, paths: Sequence[Path], attributes: Sequence[str]) -> bool:
        """Make the relation `protected`; return whether there is any attribute."""
        files = ParquetFiles(self._connection, paths)
        if not any(f"a:{it}" in files.all_columns for it in attributes):
            return False
        self._is_joined = True
        kinds = ", ".join(f"{name(f'a:{it}')} varchar" for it in attributes)
        self._connection.execute(
            f"create or replace temp table protected (id varchar, row integer, {kinds})"
        )
        rest = NOT_SPARE if find_spare(self._connection, files, _PROTECTED) else ""
        for part in files.parts:
            here = files.columns_of(part)
            columns = ", ".join(
                name(f"a:{it}") if f"a:{it}" in here else "null" for it in attributes
            )
            self._connection.execute(
                f"insert into protected select id, row, {columns} "  # noqa: S608
                f"from {read(part)} as f {rest}"
            )
        return True

    def chunks(
        self, paths: Sequence[Path], features: Sequence[str]
    ) -> Iterator[frozenset[str]]:
        """Make the relation `predictions` of some files at a time, until all are done.

        Yields its columns each time: those of all files, whichever a part has. Those of
        features are in it only after `bins` has left them out.
        """
        files = ParquetFiles(self._connection, paths)
        if not paths:
            return
        self._has_spare = find_spare(self._connection, files, _PREDICTIONS)
        wanted = [f"{kind}:{it}" for it in features for kind in "xt"]
        asked = [column for column in wanted if column in files.all_columns]
        for part in files.parts:
            self._part, self._here = part, files.columns_of(part)
            found = self.rows(
                f"select distinct revision, arm from {read(part)} order by all"  # noqa: S608
            )
            self.segments += [it for it in found if it not in self.segments]
            self._numbers = {it: self.segments.index(it) for it in found}
            self.keep("predictions", self._predictions(COLUMNS))
            yield frozenset([*COLUMNS, *asked])

    def _predictions(self, columns: Sequence[str] | Mapping[str, str]) -> str:
        """Return the SQL of the part's predictions: `segment` and some columns."""
        chosen = []
        for column in columns:
            kind = COLUMNS.get(column) or ("double" if column[0] == "x" else "varchar")
            is_read = column in self._here and (self._is_joined or column not in _KEYS)
            value = f"f.{name(column)}" if is_read else "null"
            chosen.append(f"cast({value} as {kind}) as {name(column)}")
        return (
            f"select {self._segment()} as segment, {', '.join(chosen)} "  # noqa: S608
            f"from {read(self._part)} as f {NOT_SPARE if self._has_spare else ''}"
        )

    def _segment(self) -> str:
        """Return the SQL of a row's segment; of only one, nothing needs to be read."""
        if len(self._numbers) == 1:
            return str(*self._numbers.values())
        branches = " ".join(
            f"when f.revision = {text(revision)} and f.arm = {text(arm)} then {number}"
            for (revision, arm), number in self._numbers.items()
        )
        return f"case {branches} end"
