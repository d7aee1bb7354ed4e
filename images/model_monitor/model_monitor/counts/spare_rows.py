"""Rows that another one stands for: duplicates of a prediction, labels that are past.

Only the hashes of keys are compared, in slices of bounded size, so that memory is that
of a slice however many rows there are. The rows whose hash occurs twice are then looked
at by their keys.
"""

from __future__ import annotations

from dataclasses import dataclass

from model_monitor.counts.parquet_files import ParquetFiles, read
from model_monitor.store.database import Connection

SLICE_ROWS = 1_000_000
"""Hashes that are grouped at a time."""
_HASHES = 1 << 64

NOT_SPARE = (
    "anti join spare as s "
    "on f.filename = s.filename and f.file_row_number = s.file_row_number"
)
"""Leaves the rows of `spare` out of `f`."""


@dataclass(frozen=True)
class Kept:
    """Deduplication of rows: of the rows that share `key`, the first is kept.

    `columns` are those that `key` and `order` read.
    """

    key: str
    order: str
    columns: str


def find_spare(connection: Connection, files: ParquetFiles, kept: Kept) -> bool:
    """Make the relation `spare` (filename, file_row_number); tell if it has a row.

    After `order`, the name of the file decides, then the place in it.
    """
    connection.execute(
        "create or replace temp table spare (filename varchar, file_row_number bigint)"
    )
    _find_twice(connection, files, kept.key)
    if connection.execute("select h from twice limit 1").fetchone() is None:
        return False
    _collect(connection, files, kept)
    connection.execute(
        f"""
insert into spare select filename, file_row_number from (
    select filename, file_row_number, row_number() over (
        partition by {kept.key}
        order by {kept.order}, parse_filename(filename), filename, file_row_number
    ) as turn
    from candidates
) where turn > 1
"""  # noqa: S608, texts of our own
    )
    connection.execute("drop table candidates")
    return True


def _find_twice(connection: Connection, files: ParquetFiles, key: str) -> None:
    """Make the relation `twice` of the hashes that more than one row has."""
    connection.execute("create or replace temp table twice (h ubigint)")
    hashes = [f"select hash({key}) as h from {read(part)}" for part in files.parts]  # noqa: S608
    if len(hashes) == 1:
        _add_repeated(connection, hashes[0])
        return
    connection.execute("create or replace temp table hashes (h ubigint)")
    for select in hashes:
        connection.execute(f"insert into hashes {select}")
    slices = -(-files.rows // SLICE_ROWS)
    width = -(-_HASHES // max(slices, 1))
    for number in range(slices):
        least, most = number * width, min((number + 1) * width, _HASHES) - 1
        some = f"select h from hashes where h between {least} and {most}"  # noqa: S608
        _add_repeated(connection, some)
    connection.execute("drop table hashes")


def _add_repeated(connection: Connection, hashes: str) -> None:
    """Add the hashes of a query that more than one row has.

    NumPy sorts them in a third of the time in which DuckDB 1.5.6 groups them.
    """
    found = connection.execute(hashes).fetchnumpy()["h"]
    found.sort()
    if (found[1:] == found[:-1]).any():
        connection.execute(
            f"insert into twice select h from ({hashes}) "  # noqa: S608
            "group by h having count(*) > 1"
        )


def _collect(connection: Connection, files: ParquetFiles, kept: Kept) -> None:
    """Make the relation `candidates`: the rows whose hash occurs twice."""
    for number, part in enumerate(files.parts):
        select = (
            f"select filename, file_row_number, {kept.columns} from {read(part)} "  # noqa: S608
            f"where hash({kept.key}) in (select h from twice)"
        )
        verb = "insert into candidates"
        if number == 0:
            verb = "create or replace temp table candidates as"
        connection.execute(f"{verb} {select}")
