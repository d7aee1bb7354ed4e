"""Maps the columns of a user's files to those of the log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from model_monitor.store.database import name, text

WHOLE_NUMBERS = {
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
}
"""DuckDB's types of whole numbers, beside DECIMAL(...,0)."""
NUMBERS = WHOLE_NUMBERS | {"FLOAT", "DOUBLE"}
"""All types of numbers, beside DECIMAL(...)."""


@dataclass(frozen=True)
class ColumnMapping:
    """Columns of a file of predictions and of one of labels; "" is one they lack."""

    id: str = "id"
    row: str = ""
    time: str = ""
    date: str = ""
    """The day of all rows (2026-11-01), where no column has the time."""
    decision: str = "decision"
    score: str = ""
    features: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    label: str = "label"
    label_time: str = ""
    """Without one, labels became known when they are imported."""
    revision: str = "backfill"
    arm: str = "stable"

    def of_predictions(self) -> dict[str, str]:
        """Return the columns that must be there, with the option that names each."""
        one = {
            "id": self.id,
            "row": self.row,
            "time": self.time,
            "decision": self.decision,
            "score": self.score,
        }
        several = {"features": self.features, "protected": self.protected}
        return {column: f"--{option}" for option, column in one.items() if column} | {
            column: f"--{option}"
            for option, columns in several.items()
            for column in columns
        }

    def of_labels(self) -> dict[str, str]:
        """Return the same of the file of labels."""
        one = {
            "id": self.id,
            "row": self.row,
            "label": self.label,
            "label-time": self.label_time,
        }
        return {column: f"--{option}" for option, column in one.items() if column}

    def digest(self, path: Path) -> str:
        """Return the digest of a file together with its mapping."""
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        content.update(json.dumps(asdict(self)).encode())
        return content.hexdigest()[:16]


@dataclass(frozen=True)
class Columns:
    """The columns of one file, by DuckDB's types, as SQL over the relation `source`."""

    mapping: ColumnMapping
    types: Mapping[str, str]

    def record(self, model: str) -> str:
        """Return what to select for predictions, attributes as `a:NAME` among it."""
        mapping = self.mapping
        columns = {
            "id": self.text(mapping.id),
            "row": self.row,
            "time": self.time,
            "model": text(model),
            "version": text(""),
            "revision": text(mapping.revision),
            "arm": text(mapping.arm),
            "status": "cast(200 as integer)",
            "code": "cast(null as varchar)",
            "latency_seconds": "cast(null as double)",
            "decision": "cast(null as varchar)",
            "decision_number": "cast(null as double)",
            "score": "cast(null as double)",
            "scores": "cast(null as double[])",
        }
        if mapping.decision:
            decision = f"try_cast({name(mapping.decision)} as double)"
            columns["decision"] = self.text(mapping.decision)
            columns["decision_number"] = self.number(mapping.decision) or decision
        if mapping.score:
            columns["score"] = f"cast({name(mapping.score)} as double)"
        for it in mapping.features:
            value = self.number(it)
            columns[f"t:{it}" if value is None else f"x:{it}"] = value or self.text(it)
        columns |= {f"a:{it}": self.text(it) for it in mapping.protected}
        return ", ".join(f"{value} as {name(key)}" for key, value in columns.items())

    def label(self, now: str, source: str) -> str:
        """Return what to select for labels; `now` is when all became known, if so."""
        mapping = self.mapping
        known = f"timestamp {text(now)}"
        if mapping.label_time:
            known = self._timestamp(mapping.label_time)
        return (
            f'{self.text(mapping.id)} as id, {self.row} as "row", '
            f"{self._label(mapping.label)} as label, "
            f"{known} as label_time, {text(source)} as source"
        )

    def _label(self, column: str) -> str:
        """Return a label as it is: a number stays one, as a regression needs it."""
        if self._is_whole(column):
            return name(column)
        if self._is_number(column):
            return f"cast({name(column)} as double)"
        return self.text(column)

    @property
    def row(self) -> str:
        row = name(self.mapping.row) if self.mapping.row else "0"
        return f"cast({row} as integer)"

    @property
    def time(self) -> str:
        if self.mapping.time:
            return self._timestamp(self.mapping.time)
        return f"timestamp {text(self.mapping.date)}"

    def number(self, column: str) -> str | None:
        """Return a column as numbers (true is 1, false is 0), None if it is of text."""
        if self._is_number(column) or self.types[column] == "BOOLEAN":
            return f"cast({name(column)} as double)"
        return None

    def text(self, column: str) -> str:
        """Return a column as canonical text: 1.0 is "1", truth values true or false.

        Whole numbers are kept digit by digit: ids may be beyond what a double holds.
        """
        if self._is_number(column) and not self._is_whole(column):
            return f"number_text(cast({name(column)} as double))"
        return f"cast({name(column)} as varchar)"

    def _is_number(self, column: str) -> bool:
        kind = self.types[column]
        return kind in NUMBERS or kind.startswith("DECIMAL")

    def _is_whole(self, column: str) -> bool:
        kind = self.types[column]
        return kind in WHOLE_NUMBERS or (
            kind.startswith("DECIMAL") and kind.endswith(",0)")
        )

    def _timestamp(self, column: str) -> str:
        if self.types[column] == "TIMESTAMP WITH TIME ZONE":
            return f"make_timestamp(epoch_us({name(column)}))"
        if self.types[column] == "VARCHAR":
            return f"utc_time({name(column)})"
        return f"try_cast({name(column)} as timestamp)"
