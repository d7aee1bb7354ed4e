"""Parquet files of a cohort, some at a time: a reader is kept for each that is open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from model_monitor.store.database import Connection, text

CHUNK_ROWS = 250_000
"""Rows of one part, of which a relation may lie in memory."""
CHUNK_FILES = 200
"""Files of one part. DuckDB 1.5.6 keeps about 75 KB for each file that a query reads by
`union_by_name`."""


class ParquetFiles:
    """Data from the footers of some files, and the parts that queries read."""

    def __init__(self, connection: Connection, paths: Sequence[Path]) -> None:
        self.columns: dict[Path, frozenset[str]] = {}
        """By file; files with the same columns share one set."""
        self.rows = 0
        self.parts = list(self._parts(connection, paths))

    @property
    def all_columns(self) -> frozenset[str]:
        return frozenset().union(*set(self.columns.values()))

    def columns_of(self, part: Sequence[Path]) -> frozenset[str]:
        """Return the columns that any file of a part has."""
        return frozenset().union(*{self.columns[path] for path in part})

    def _parts(
        self, connection: Connection, paths: Sequence[Path]
    ) -> Iterator[list[Path]]:
        part: list[Path] = []
        rows = 0
        known: dict[frozenset[str], frozenset[str]] = {}
        for start in range(0, len(paths), CHUNK_FILES):
            some = paths[start : start + CHUNK_FILES]
            for path, (size, columns) in _footers(connection, some).items():
                self.columns[path] = known.setdefault(columns, columns)
                self.rows += size
                if part and (rows + size > CHUNK_ROWS or len(part) == CHUNK_FILES):
                    yield part
                    part, rows = [], 0
                part.append(path)
                rows += size
        if part:
            yield part


def read(files: Sequence[Path]) -> str:
    """Return the SQL of the rows of files, with `filename` and `file_row_number`."""
    return (
        f"read_parquet({_list(files)}, union_by_name = true, filename = true, "
        "file_row_number = true, hive_partitioning = false)"
    )


def _footers(
    connection: Connection, files: Sequence[Path]
) -> dict[Path, tuple[int, frozenset[str]]]:
    """Return the rows and columns of each file, in their order."""
    found = connection.execute(
        f"""
select file_name, m.num_rows, s.names
from parquet_file_metadata({_list(files)}) as m
join (
    select file_name, list(name) as names
    from parquet_schema({_list(files)}) group by file_name
) as s using (file_name)
"""  # noqa: S608, quoted by `text`
    ).fetchall()
    by_name = {name: (rows, frozenset(names)) for name, rows, names in found}
    return {path: by_name[str(path)] for path in files}


def _list(files: Sequence[Path]) -> str:
    return "[" + ", ".join(text(str(path)) for path in files) + "]"
