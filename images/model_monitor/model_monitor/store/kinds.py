"""The kinds of records, and the columns that their files have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from model_monitor import contracts
from model_monitor.contracts import Field
from model_monitor.store import names


@dataclass(frozen=True, eq=False)
class RecordKind:
    """Fields as they come, and how they become columns.

    `columns` maps each column to its SQL expression. It reads `leaf_NAME`, the JSON
    text of a field or null where it is missing, and `time_NAME`, a time as TIMESTAMP.
    """

    table: str
    """Folder of the store: "predictions", "protected" or "labels"."""
    fields: tuple[Field, ...]
    columns: Mapping[str, str]
    names: str = ""
    """The field of names and values, if it has one."""
    number_prefix: str = ""
    """Column prefix of a name that has only numbers; "" makes all of them text."""
    text_prefix: str = ""
    past: tuple[str, ...] = ()
    """Times that must not lie in the future."""
    recent: tuple[str, ...] = ()
    """Times that must lie within the retention."""
    numeric: tuple[str, ...] = ()
    """Values that must not be text."""


_COMMON = {
    "id": "json_text(leaf_id)",
    "row": "try_cast(leaf_row as integer)",
    "time": "time_time",
    "model": "json_text(leaf_model)",
}
_PREDICTIONS = {
    **_COMMON,
    "version": "json_text(leaf_version)",
    "revision": "json_text(leaf_revision)",
    "arm": "json_text(leaf_arm)",
    "status": "try_cast(leaf_status as integer)",
    "code": "json_text(leaf_code)",
    "unit": "json_text(leaf_unit)",
    "latency_seconds": "try_cast(leaf_latency_seconds as double)",
    "decision": "scalar_text(leaf_decision)",
    "decision_number": "scalar_number(leaf_decision)",
    "score": "scalar_number(leaf_score)",
    "scores": """case when ascii(leaf_score) = 91 then
        list_transform(cast(json_extract(leaf_score, '$[*]') as varchar[]),
            lambda x: scalar_number(x)) end""",
    "outputs": "leaf_outputs",
}
_LABELS = {
    "id": "json_text(leaf_id)",
    "row": "try_cast(coalesce(leaf_row, '0') as integer)",
    "label": "scalar_text(leaf_label)",
    "label_number": "scalar_number(leaf_label)",
    "label_time": "time_label_time",
    "source": "json_text(leaf_source)",
    "prediction_time": "time_prediction_time",
}
_HINT = Field("prediction_time", "time", is_optional=True)


@cache
def predictions() -> RecordKind:
    return RecordKind(
        table="predictions",
        fields=contracts.prediction_fields(),
        columns=_PREDICTIONS,
        names="features",
        number_prefix="x:",
        text_prefix="t:",
        past=("time",),
        recent=("time",),
        numeric=("score",),
    )


@cache
def protected() -> RecordKind:
    return RecordKind(
        table="protected",
        fields=contracts.protected_fields(),
        columns={**_COMMON, "revision": "json_text(leaf_revision)"},
        names="attributes",
        text_prefix="a:",
        past=("time",),
        recent=("time",),
    )


@cache
def labels() -> RecordKind:
    fields = contracts.label_fields()
    if all(field.name != _HINT.name for field in fields):
        fields = (*fields, _HINT)
    return RecordKind(
        table="labels", fields=fields, columns=_LABELS, past=("label_time",)
    )


def of_landed(name: str) -> RecordKind:
    """Return the kind of the records in a landed file of this name."""
    return protected() if name.startswith(names.PROTECTED) else predictions()
