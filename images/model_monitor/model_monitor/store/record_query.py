"""The SQL that reads a chunk of lines: one statement, one pass."""

from __future__ import annotations

from functools import cache

from model_monitor.store.checks import reason
from model_monitor.store.database import name
from model_monitor.store.kinds import RecordKind

SURPLUS = "bad_names"
"""The reason of lines that have names beyond the known ones, or one of them twice."""

_PLAIN_TIME = "'\"%Y-%m-%dT%H:%M:%S.%fZ\"'"


@cache
def query(
    kind: RecordKind, table: str, text_characters: int, *, may_be_no_json: bool
) -> str:
    """Return the SQL that makes a table of a chunk's lines.

    Columns: `line`, `reason` (null: nothing is wrong), `text` where something is, those
    of the kind and, of a kind with names, `leaves` and `numbers` (see `Records`).
    Parameters: `before`, the number of lines before the chunk; `text`, its lines, of
    which empty ones are left out; of a kind with names `pointers`, theirs in JSON.
    may_be_no_json: without it, a line that is not JSON is an error of the statement.
    """
    columns = "".join(f", {sql} as {name(it)}" for it, sql in kind.columns.items())
    values = ", leaves, numbers" if kind.names else ""
    checked = _checked(kind, text_characters, may_be_no_json=may_be_no_json)
    source = _with_names(kind, checked) if kind.names else checked
    return f"""
create or replace temp table {table} as
select line, reason, case when reason is not null then text end as text
    {columns}{values}
from ({source})
"""  # noqa: S608, names and expressions are our own


def _checked(kind: RecordKind, text_characters: int, *, may_be_no_json: bool) -> str:
    """Return the query of `line`, `text`, leaves and times of fields, and `reason`."""
    leaves = ", ".join(
        f"fields[{place}] as leaf_{field.name}"
        for place, field in enumerate(kind.fields, 1)
    )
    pointers = ", ".join(f"'/{field.name}'" for field in kind.fields)
    is_json = "json_valid(text)" if may_be_no_json else "true"
    source = f"""
select line, text, is_json, fields_count, {leaves}
from (
    select *,
        cast(json_extract(json, [{pointers}]) as varchar[]) as fields,
        len(json_keys(json)) as fields_count
    from (
        select line, text, {is_json} as is_json,
            case when {is_json} then text end as json
        from (
            select $before + generate_subscripts(texts, 1) as line,
                unnest(texts) as text
            from (select string_split($text, chr(10)) as texts)
        )
        where text <> ''
    )
)
"""  # noqa: S608, names and expressions are our own
    return f"""
select *, {reason(kind, text_characters)} as reason
from (
    {with_times(kind, source)}
)
"""  # noqa: S608, names and expressions are our own


def with_times(kind: RecordKind, leaves: str) -> str:
    """Return the query of another one with `time_NAME` and `is_plain_NAME` of times.

    A time is plain as our servers write it, to the microsecond in UTC: what it is read
    as is written as the same text. That takes a quarter of the time of patterns.
    """
    names = [field.name for field in kind.fields if field.kind == "time"]
    read = "".join(
        f", try_cast(substring(leaf_{it}, 2, 26) as timestamp) as read_{it}"
        for it in names
    )
    compared = "".join(
        f", coalesce(strftime(read_{it}, {_PLAIN_TIME}) = leaf_{it}, false)"
        f" as is_plain_{it}"
        for it in names
    )
    times = "".join(
        f", case when is_plain_{it} then read_{it} "
        f"else utc_time(json_text(leaf_{it})) end as time_{it}"
        for it in names
    )
    return f"""
select *{times}
from (select *{compared} from (select *{read} from ({leaves})))
"""  # noqa: S608, names are our own


def _with_names(kind: RecordKind, checked: str) -> str:
    """Return the query of a checked one with `leaves`, `numbers` and their reasons."""
    field = kind.names
    # A sum of numbers is finite if each of them is, but for sums that overflow; what is
    # nested has a bracket. Only what looks bad is looked at value by value: `case` has
    # DuckDB 1.5.6 leave out what `and` would not.
    return f"""
select * replace (
    case
        when reason is not null or leaf_{field} is null then reason
        when names_count > list_count(leaves) then '{SURPLUS} {field}'
        when case when not isfinite(list_sum(numbers))
            then len(list_filter(leaves, lambda x: is_not_finite(x))) > 0 end
            then 'not_finite {field}'
        when case when contains(leaf_{field}, ':[') or contains(leaf_{field}, ':{{')
            then len(list_filter(leaves, lambda x: ascii(x) = 123
                or (case when ascii(x) = 91 then is_nested(x) end))) > 0 end
            then 'wrong_type {field}'
    end as reason)
from (
    select *, try_cast(leaves as double[]) as numbers
    from (
        select *, len(json_keys(json_names)) as names_count,
            cast(json_extract(json_names, $pointers) as varchar[]) as leaves
        from (
            select *, case when reason is null then leaf_{field} end as json_names
            from ({checked})
        )
    )
)
"""  # noqa: S608, names and expressions are our own
