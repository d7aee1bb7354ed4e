"""Checks of a line, as SQL generated from its contract.

Each check is a condition with its reason: a code, and the field if one is wrong. The
first condition that holds is the line's reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from model_monitor.contracts import Field
from model_monitor.store.database import text
from model_monitor.store.kinds import RecordKind
from model_monitor.store.names import FOLDERS, QUOTED_CHARACTERS

NOT_EMPTY = ("id", "model", "revision")
"""Texts that name something; an empty one names nothing."""

_CLOCK = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?"
_UTC = rf"{_CLOCK}Z"
_WITH_OFFSET = rf"{_CLOCK}(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
"""RFC 3339, of people's programs: `utc_time` converts it."""

FIXES = {
    "not_utf8": "write UTF-8",
    "not_json": "write one JSON object on each line",
    "not_an_object": "write one JSON object on each line",
    "missing_field": "give every field that the contract does not call optional",
    "unknown_field": "leave it out, or update the monitor if a newer contract has it",
    "repeated_field": "give each field once",
    "empty": "give a text of at least one character",
    "wrong_type": "give the kind of value that the contract names",
    "not_finite": "write null for NaN and infinities",
    "too_long": "give a shorter text",
    "out_of_range": "give a number that the column holds",
    "bad_time": "write RFC 3339 with at most microseconds: "
    "2026-11-29T13:00:00.000000Z, or of a label 2026-11-29T15:00:00+02:00; without Z "
    "or an offset a time names no moment",
    "future_time": "set the clock of the machine that wrote it, or raise the tolerance",
    "too_old": "nothing: the retention of such days is over",
    "bad_names": "use each name once, at most as many as the limit, none that differs "
    "from another by case alone, none with control characters",
    "line_too_long": "log less for each row, or raise the limit",
    "not_csv": "give as many values as the header has names",
    "label_before_prediction": "give the time when the label became known, which is "
    "after the prediction; if it is right, compare the clocks of both sides",
    "no_prediction": "check id and row: the prediction never came, or its log was lost",
}
"""The fix for each reason."""


def reason(kind: RecordKind, text_characters: int) -> str:
    """Return the SQL of a line's reason, null if nothing is wrong with it.

    It reads `text`, `is_json`, `fields_count`, the leaves and times of `RecordKind`,
    `is_plain_NAME` of times, and the variables `latest` and `earliest`.
    """
    checks = [
        ("not is_json", "not_json"),
        ("fields_count = 0", "not_an_object"),
        *_presence(kind),
        *(
            check
            for field in kind.fields
            for check in _kind(field, text_characters, _time_form(kind))
        ),
        *((_is_text(f"leaf_{name}"), f"wrong_type {name}") for name in kind.numeric),
        *(
            (f"time_{name} > getvariable('latest')", f"future_time {name}")
            for name in kind.past
        ),
        *(
            (f"time_{name} < getvariable('earliest')", f"too_old {name}")
            for name in kind.recent
        ),
    ]
    cases = "\n".join(f"when {condition} then {text(why)}" for condition, why in checks)
    return f"case {cases} end"


def _presence(kind: RecordKind) -> Iterator[tuple[str, str]]:
    """Yield checks of which fields there are.

    A record with a field that is `only` of errors is an error.
    """
    marks = [f"leaf_{it.name} is not null" for it in kind.fields if it.only == "errors"]
    is_error = " or ".join(marks) or "false"
    for field in kind.fields:
        leaf = f"leaf_{field.name}"
        if field.only == "predictions":
            yield f"({is_error}) and {leaf} is not null", f"unknown_field {field.name}"
            if not field.is_optional:
                missing = f"not ({is_error}) and {leaf} is null"
                yield missing, f"missing_field {field.name}"
        elif not field.only and not field.is_optional:
            yield f"{leaf} is null", f"missing_field {field.name}"
    given = " + ".join(
        f"cast(leaf_{field.name} is not null as integer)" for field in kind.fields
    )
    is_repeated = "len(list_distinct(json_keys(text))) < fields_count"
    yield _both(f"fields_count > {given}", is_repeated), "repeated_field"
    yield f"fields_count > {given}", "unknown_field"


def _time_form(kind: RecordKind) -> str:
    """Return the pattern of times: those of labels may have an offset."""
    return _WITH_OFFSET if kind.table == "labels" else _UTC


def _kind(
    field: Field, text_characters: int, time_form: str
) -> Iterator[tuple[str, str]]:
    """Yield checks of a field's value. Null leaves, of missing fields, pass."""
    name, leaf = field.name, f"leaf_{field.name}"
    if field.kind in ("text", "time"):
        yield f"ascii({leaf}) <> 34", f"wrong_type {name}"
    if field.kind == "text":
        yield f"length({leaf}) > {text_characters + 2}", f"too_long {name}"
        if name in FOLDERS:
            yield _is_long_folder(leaf), f"too_long {name}"
        yield (
            _both(f"contains({leaf}, '\\')", _has_control(leaf)),
            f"wrong_type {name}",
        )
        if name in NOT_EMPTY:
            yield f"{leaf} = '\"\"'", f"empty {name}"
    elif field.kind == "time":
        is_time = f"regexp_full_match(json_text({leaf}), {text(time_form)})"
        yield (
            _both(
                f"{leaf} is not null and not is_plain_{name}",
                f"time_{name} is null or not {is_time}",
            ),
            f"bad_time {name}",
        )
    elif field.kind == "integer":
        yield f"not regexp_full_match({leaf}, '-?[0-9]+')", f"wrong_type {name}"
        in_range = f"coalesce(try_cast({leaf} as integer), -1)"
        yield f"{leaf} is not null and {in_range} < 0", f"out_of_range {name}"
    elif field.kind == "number":
        yield f"is_not_finite({leaf})", f"not_finite {name}"
        yield f"not is_number({leaf})", f"wrong_type {name}"
    elif field.kind == "names":
        yield f"ascii({leaf}) <> 123", f"wrong_type {name}"
    else:
        yield f"is_not_finite({leaf})", f"not_finite {name}"
        nested = _both(f"ascii({leaf}) = 91", f"is_nested({leaf})")
        yield f"ascii({leaf}) = 123", f"wrong_type {name}"
        yield nested, f"wrong_type {name}"


def _is_long_folder(leaf: str) -> str:
    """Return the condition of a text that is too long, quoted, for a folder's name.

    Quoting makes at most three characters of a byte.
    """
    quoted = f"length(url_encode(json_text({leaf})))"
    return _both(
        f"strlen({leaf}) > {QUOTED_CHARACTERS // 3}", f"{quoted} > {QUOTED_CHARACTERS}"
    )


def _both(cheap: str, dear: str) -> str:
    """Return the condition that both hold; the second is evaluated if the first does.

    For `and`, DuckDB 1.5.6 evaluates both for every row of a projection.
    """
    return f"case when {cheap} then {dear} end"


def _is_text(leaf: str) -> str:
    """Return the condition of a text, or of a list with one."""
    return f"ascii({leaf}) = 34 or (ascii({leaf}) = 91 and contains({leaf}, '\"'))"


def _has_control(leaf: str) -> str:
    return f"regexp_matches(json_text({leaf}), '[\\x00-\\x1f\\x7f]')"
