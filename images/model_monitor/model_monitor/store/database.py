"""DuckDB as this program uses it: in memory, one thread, no files but the store's."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import duckdb

from model_monitor.store.whole_files import TEMPORARY

Connection: TypeAlias = duckdb.DuckDBPyConnection

MACROS = """
-- What a JSON string says. `leaf` is JSON text throughout.
create macro json_text(leaf) as case
    when contains(leaf, '\\') then json_extract_string(leaf, '$')
    else substring(leaf, 2, length(leaf) - 2) end;

-- A time with an offset as a TIMESTAMP of UTC, null outside of the years 1 to 9999.
create macro moved_to_utc(value) as case
    when make_timestamp(epoch_us(try_cast(value as timestamptz)))
        between timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999'
    then make_timestamp(epoch_us(try_cast(value as timestamptz))) end;

-- A text as a TIMESTAMP of UTC, null where it is not a time of the years 1 to 9999.
-- The time ends with nothing or Z, which are UTC, or an offset: +02, +0200 or +02:00.
-- To cast a text with an offset to TIMESTAMP drops the offset (DuckDB 1.5.6); one
-- without, to TIMESTAMPTZ, takes the machine's zone.
create macro utc_time(value) as case
    when regexp_full_match(value, '[0-9/-]+([T ][0-9:.]+)?[Zz]?')
    then try_cast(rtrim(value, 'Zz') as timestamp)
    when regexp_full_match(value,
        '[0-9/-]+[T ][0-9:.]+' || '[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?')
    then moved_to_utc(regexp_replace(
        value, '([+-][0-9]{2}):?([0-9]{2})?$', '\\1:\\2') || case
            when regexp_matches(value, '[+-][0-9]{2}$') then '00' else '' end) end;

-- Whole numbers without a point; others as short as they can be read back.
create macro number_text(number) as case
    when number = trunc(number) and abs(number) < 9007199254740992
    then cast(cast(number as bigint) as varchar)
    else cast(number as varchar) end;

-- A scalar as canonical text; a list as its JSON text.
create macro scalar_text(leaf) as case
    when ascii(leaf) = 34 then json_text(leaf)
    when leaf = 'null' then null
    when ascii(leaf) = 91 or leaf = 'true' or leaf = 'false' then leaf
    when regexp_full_match(leaf, '-?[0-9]{1,18}')
    then cast(try_cast(leaf as bigint) as varchar)
    else number_text(try_cast(leaf as double)) end;

-- A scalar as a number; true is 1, false is 0, text and lists are null.
create macro scalar_number(leaf) as case
    when leaf = 'true' then 1.0::double
    when leaf = 'false' then 0.0::double
    when ascii(leaf) = 34 or ascii(leaf) = 91 or leaf = 'null' then null
    else try_cast(leaf as double) end;

-- Whether the text is that of a JSON number that a double holds.
create macro is_number(leaf) as
    ascii(leaf) between 45 and 57
    and isfinite(coalesce(try_cast(leaf as double), 'nan'::double));

-- Whether the text is that of NaN, an infinity or a number that no double holds.
create macro is_not_finite(leaf) as
    ascii(leaf) = 73 or ascii(leaf) = 78
    or (ascii(leaf) between 45 and 57 and not is_number(leaf));

-- Whether the JSON list has other values than numbers, texts, true, false and null.
create macro is_nested(leaf) as
    len(list_filter(
        cast(json_extract(leaf, '$[*]') as varchar[]),
        lambda x: ascii(x) = 91 or ascii(x) = 123 or is_not_finite(x))) > 0;

-- Quotation marks of a JSON text; 0 of null. Those of texts without any are not sought.
create macro quotes_in(leaf) as case
    when ascii(leaf) = 34 or ascii(leaf) = 91 or ascii(leaf) = 123
    then length(leaf) - length(replace(leaf, '"', '')) else 0 end;
"""
"""`ascii` gives the code point of the first character: 34 is a quotation mark, 45 to 57
are the minus and the digits, 73 is I, 78 is N, 91 is [ and 123 is {. DuckDB reads NaN
and Infinity as JSON, in any case, and writes them with N and I."""


MOST_IDLE = 4
"""Databases that are kept open until they are needed again, 2 MiB each."""


@dataclass(frozen=True)
class _Kind:
    """What a database may use; one of the same kind serves again."""

    root: Path
    memory_mib: int
    file: Path | None
    reads_records: bool


@dataclass(frozen=True)
class _Instance:
    """A database in memory, for one user at a time."""

    kind: _Kind
    connection: Connection
    spill: Path

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is left in it. It makes the spill folder only once."""
        tables = "select 1 from duckdb_tables() limit 1"
        is_clean = self.connection.execute(tables).fetchone() is None
        return is_clean and not self.spill.exists()


class _Idle:
    """Databases that wait for their next user, the one that waits longest first.

    To open one takes 30 ms of CPU time, most of it for functions that DuckDB has built
    in; a cycle of the monitor needs a dozen.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Instance] = []

    def take(self, kind: _Kind) -> _Instance | None:
        with self._lock:
            for place, found in enumerate(self._waiting):
                if found.kind == kind:
                    return self._waiting.pop(place)
        return None

    def put(self, instance: _Instance) -> None:
        with self._lock:
            self._waiting.append(instance)
            excess = self._waiting[:-MOST_IDLE]
            del self._waiting[:-MOST_IDLE]
        for one in excess:
            one.connection.close()

    def close(self) -> None:
        with self._lock:
            closed, self._waiting = self._waiting, []
        for one in closed:
            one.connection.close()


_idle = _Idle()
os.register_at_fork(before=_idle.close)


@contextmanager
def database(
    root: Path,
    memory_mib: int,
    file: Path | None = None,
    *,
    reads_records: bool = True,
) -> Iterator[Connection]:
    """Yield a connection to an empty database in memory that may use files of `root`.

    One thread: rows keep their order and files their bytes from run to run. file: one
    outside of `root` that may be used too. reads_records: whether it has `MACROS`.
    Whatever is to end with the block is temporary: tables, views and variables.
    """
    if file and file.is_relative_to(root) and ".." not in file.parts:
        file = None
    kind = _Kind(root, memory_mib, file, reads_records)
    instance = _idle.take(kind) or _opened(kind)
    try:
        connection = instance.connection.cursor()
        try:
            yield connection
        finally:
            connection.close()
    except BaseException:
        instance.connection.close()
        raise
    if instance.is_empty:
        _idle.put(instance)
    else:
        instance.connection.close()


def _opened(kind: _Kind) -> _Instance:
    spill = kind.root / f"{TEMPORARY}{uuid.uuid4().hex}"
    connection = duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": f"{kind.memory_mib}MiB",
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,
            # It keeps what was read of files, up to the limit, as the kernel does too.
            "enable_external_file_cache": False,
        }
    )
    try:
        connection.execute(f"set allowed_directories = [{text(str(kind.root))}]")
        if kind.file:
            connection.execute(f"set allowed_paths = [{text(str(kind.file))}]")
        connection.execute("set enable_external_access = false")
        if kind.reads_records:
            connection.execute(MACROS)
        connection.execute("set lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return _Instance(kind, connection, spill)


def name(value: str) -> str:
    """Return a name as SQL quotes it."""
    return '"' + value.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"
