"""Files of labels, read as the JSON lines of the contract whatever their form."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import duckdb

from model_monitor.store import kinds
from model_monitor.store.database import Connection, database, name, text
from model_monitor.store.limits import Limits
from model_monitor.store.lines import BadLine, Chunk, FileTroubleError, LinesFile
from model_monitor.store.scalars import is_number

_CHUNK_LINES = 50_000
_PARQUET_ROWS = 5_000_000
_JSON_WORDS = ("true", "false", "null")
_BYTES_OF_NO_UTF8 = re.compile("[\udc80-\udcff]")
_FIELDS = tuple(field.name for field in kinds.labels().fields)
_REQUIRED = {field.name for field in kinds.labels().fields if not field.is_optional}


class LabelSource(Protocol):
    """A file of labels as chunks of JSON lines."""

    @property
    def digest(self) -> str:
        """SHA-256 of what was read."""

    @property
    def count(self) -> int:
        """Lines read."""

    def chunks(self) -> Iterator[Chunk]:
        """Yield all lines; raise FileTroubleError where the file cannot be read on."""


def open_labels(path: Path, name: str, root: Path, limits: Limits) -> LabelSource:
    """Return the reader for a file of this name. root: of the store."""
    if name.endswith(".csv"):
        return CsvLabels(path, limits)
    if name.endswith(".parquet"):
        return ParquetLabels(path, root, limits)
    return LinesFile(path, limits, is_gzip=name.endswith(".gz"))


class CsvLabels:
    """Labels in a CSV file with a header (RFC 4180), a byte order mark or not.

    A label that is a JSON number, true, false or null is read as that, and any other as
    text. An empty one is refused: it may be a row without a label, not a withdrawal.
    A line is a record here; the header is the first.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path, self._limits = path, limits
        self.count = 1

    @property
    def digest(self) -> str:
        return _digest(self._path)

    def chunks(self) -> Iterator[Chunk]:
        if self._path.stat().st_size > self._limits.text_bytes:
            raise FileTroubleError("too_large", keeps_lines=False)
        with self._path.open(
            encoding="utf-8-sig", errors="surrogateescape", newline=""
        ) as file:
            records = csv.reader(file, strict=True)
            try:
                header = next(records, [])
                _check_names(header)
                yield from self._chunks(header, records)
            except csv.Error:
                raise FileTroubleError("damaged_csv", keeps_lines=False) from None

    def _chunks(
        self, header: list[str], records: Iterable[list[str]]
    ) -> Iterator[Chunk]:
        first, texts, bad = self.count + 1, list[str](), list[BadLine]()
        for record in records:
            self.count += 1
            content = ",".join(record)
            reason = ""
            if _BYTES_OF_NO_UTF8.search(content):
                reason = "not_utf8"
            elif record and len(record) != len(header):
                reason = "not_csv"
            if reason or not record:
                texts.append("")
            else:
                texts.append(_line(dict(zip(header, record, strict=True))))
            if reason:
                raw = content.encode(errors="surrogateescape")
                bad.append(BadLine(self.count, reason, raw))
            if len(texts) == _CHUNK_LINES:
                yield Chunk(first, "\n".join(texts), tuple(bad))
                first, texts, bad = self.count + 1, [], []
        if texts:
            yield Chunk(first, "\n".join(texts), tuple(bad))


class ParquetLabels:
    """Labels in a parquet file. Times may be texts or timestamps, taken as UTC."""

    def __init__(self, path: Path, root: Path, limits: Limits) -> None:
        self._path, self._root, self._limits = path, root, limits
        self.count = 0

    @property
    def digest(self) -> str:
        return _digest(self._path)

    def chunks(self) -> Iterator[Chunk]:
        if self._path.stat().st_size > self._limits.file_bytes:
            raise FileTroubleError("too_large", keeps_lines=False)
        memory = self._limits.memory_mib
        with database(self._root, memory, self._path.absolute()) as connection:
            try:
                yield from self._chunks(connection)
            except duckdb.Error:
                raise FileTroubleError("not_parquet", keeps_lines=False) from None

    def _chunks(self, connection: Connection) -> Iterator[Chunk]:
        file = text(str(self._path.absolute()))
        (rows,) = connection.execute(
            f"select sum(num_rows) from parquet_file_metadata({file})"  # noqa: S608
        ).fetchone()
        if rows > _PARQUET_ROWS:
            raise FileTroubleError("too_large", keeps_lines=False)
        read = f"read_parquet({file}, hive_partitioning = false)"
        described = connection.execute(
            f"describe select * from {read}"  # noqa: S608, our own expression
        ).fetchall()
        types = {column: kind for column, kind, *_ in described}
        _check_names(list(types))
        members = " || ".join(_member(column, types[column]) for column in types)
        # The comma of the first member that is there takes the brace's place.
        found = connection.execute(
            f"select '{{' || ltrim({members}, ',') || '}}' from {read}"  # noqa: S608
        )
        size = 0
        while batch := found.fetchmany(_CHUNK_LINES):
            texts = [line for (line,) in batch]
            size += sum(map(len, texts))
            if size > self._limits.text_bytes:
                raise FileTroubleError("too_large", keeps_lines=False)
            first, self.count = self.count + 1, self.count + len(texts)
            yield Chunk(first, "\n".join(texts))


def _line(record: dict[str, str]) -> str:
    """Return a record of a CSV file as a JSON line; what is empty is left out."""
    members = []
    for key, value in record.items():
        is_json = key in ("label", "row") and (value in _JSON_WORDS or is_number(value))
        if value:
            shown = value if is_json else json.dumps(value, ensure_ascii=False)
            members.append(f'"{key}":{shown}')
    return "{" + ",".join(members) + "}"


def _member(column: str, kind: str) -> str:
    """Return the SQL of a column as a member of a JSON object, after a comma.

    Null is left out, but for the label, where it says that one is withdrawn.
    """
    value = name(column)
    if kind.startswith(("TIMESTAMP", "DATE")):
        moment = f"make_timestamp(epoch_us({value}))"
        value = f"strftime({moment}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    absent = "',\"label\":null'" if column == "label" else "''"
    member = f"',\"{column}\":' || cast(to_json({value}) as varchar)"
    return f"coalesce({member}, {absent})"


def _check_names(found: list[str]) -> None:
    """Raise FileTroubleError unless these columns are those of the contract."""
    if len(set(found)) < len(found) or set(found) - set(_FIELDS):
        raise FileTroubleError("unknown_column", keeps_lines=False)
    if _REQUIRED - set(found):
        raise FileTroubleError("missing_column", keeps_lines=False)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
