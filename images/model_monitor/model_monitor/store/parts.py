"""The parquet files of one landed file's records: one for each part."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from model_monitor.store import whole_files
from model_monitor.store.database import Connection, name, text
from model_monitor.store.kinds import RecordKind
from model_monitor.store.records import Records
from model_monitor.store.store import Part, Store

_PARQUET = "format parquet, compression zstd, compression_level 1"
_HOUR = "cast(epoch(date_trunc('hour', time)) as bigint) // 3600"
"""The number of an hour since 1970."""
_PARTS = 50
"""Partitions that one statement writes. Beyond 100, DuckDB 1.5.6 closes and reopens
files."""


def parts_of(connection: Connection) -> list[Part]:
    """Return the parts of all records, of which there must be one."""
    found = connection.execute(
        """select distinct strftime(time, '%Y-%m-%d'), strftime(time, '%H'), model,
            revision from rows order by all"""
    ).fetchall()
    return [Part(*row) for row in found]


def write_parts(
    store: Store,
    connection: Connection,
    kind: RecordKind,
    records: Records,
    landed: str,
) -> list[Path]:
    """Write all records of a file, at least one; return the paths, one for each part.

    Rows are in the order of the file's lines, so that the same lines give the same
    files.
    """
    facts = _facts(connection, records)
    models = Counter((part.model, part.revision) for part in facts)
    alike = defaultdict[tuple[str, ...], list[Part]](list)
    for part, found in facts.items():
        named = _named_columns(kind, records, found)
        alike[part.model, part.revision, *named].append(part)
    for (model, revision, *own), parts in alike.items():
        columns = [*map(name, kind.columns), *own]
        is_whole = len(parts) == models[model, revision] <= _PARTS
        for start in range(0, len(parts), _PARTS):
            some = {_hour(part): part for part in parts[start : start + _PARTS]}
            chosen = ["true"]
            if len(models) > 1:
                chosen += [f"model = {text(model)}", f"revision = {text(revision)}"]
            if not is_whole:
                chosen.append(f"{_HOUR} in ({', '.join(map(str, some))})")
            select = (
                f"select {', '.join(columns)}, {_HOUR} as hour "  # noqa: S608
                f"from rows where {' and '.join(chosen)}"
            )
            paths = {
                hour: store.part(kind.table, part, landed)
                for hour, part in some.items()
            }
            _write(connection, store.root / kind.table, select, paths)
    return [store.part(kind.table, part, landed) for part in facts]


def _write(
    connection: Connection, folder: Path, select: str, paths: Mapping[int, Path]
) -> None:
    """Write the rows of a query to the file of their `hour`, each whole.

    One statement for all: to plan one for each file would take most of the time.
    """
    with whole_files.temporary_folder(folder) as temporary:
        connection.execute(
            f"copy ({select}) to {text(str(temporary))} "
            f"({_PARQUET}, partition_by (hour), overwrite_or_ignore)"
        )
        for hour, path in paths.items():
            (written,) = (temporary / f"hour={hour}").iterdir()
            written.chmod(whole_files.FILE_MODE)
            whole_files.make_folder(path.parent)
            whole_files.put(written, path)


def _facts(connection: Connection, records: Records) -> dict[Part, Sequence[bool]]:
    """Return the parts and, for each name, whether it is there and has text."""
    facts = "".join(
        f", bool_or(leaves[{place}] is not null), "
        f"bool_or(ascii(leaves[{place}]) = 34 or ascii(leaves[{place}]) = 91)"
        for place in range(1, len(records.names) + 1)
    )
    rows = connection.execute(
        f"""
select strftime(hour, '%Y-%m-%d'), strftime(hour, '%H'), * exclude (hour)
from (
    select date_trunc('hour', time) as hour, model, revision{facts}
    from rows group by 1, 2, 3
) order by all
"""  # noqa: S608
    ).fetchall()
    return {Part(*row[:4]): row[4:] for row in rows}


def write_parquet(connection: Connection, select: str, path: Path) -> None:
    """Write the rows of a query to a parquet file, whole or not at all."""
    with whole_files.whole(path) as temporary:
        connection.execute(
            f"copy ({select}) to {text(str(temporary))} "
            f"({_PARQUET}, use_tmp_file false)"
        )
        temporary.chmod(whole_files.FILE_MODE)


def _hour(part: Part) -> int:
    """Return the number of a part's hour, as `_HOUR` gives it."""
    moment = dt.datetime.fromisoformat(f"{part.date}T{part.hour}:00:00+00:00")
    return int(moment.timestamp()) // 3600


def _named_columns(
    kind: RecordKind, records: Records, facts: Sequence[bool]
) -> Iterator[str]:
    """Yield the columns of the names that a part has.

    Those with a text or a list become text; the others numbers, if the kind has such.
    """
    for place, it in enumerate(records.names, 1):
        is_there, has_text = facts[2 * place - 2 : 2 * place]
        if not is_there:
            continue
        if has_text or not kind.number_prefix:
            value, column = f"scalar_text(leaves[{place}])", kind.text_prefix + it
        else:
            # Numbers were read already; what is left is true, false and null.
            value = (
                f"coalesce(numbers[{place}], case leaves[{place}] "
                "when 'true' then 1.0 when 'false' then 0.0 end)"
            )
            column = kind.number_prefix + it
        yield f"{value} as {name(column)}"
