"""Numbers, times and names as the pages show them; filters of the templates."""

from __future__ import annotations

import datetime as dt
import json

from model_console.figures import Figure
from model_console.shape import clean

NOTHING = "-"
DETAILS_LETTERS = 2000
TEXT_LETTERS = 1000
LATEST = 253_402_300_799
"""The last second that a date has (9999-12-31)."""
METRICS = {
    "auc": "AUC",
    "f1": "F1",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "brier": "Brier score",
    "macro_f1": "macro F1",
}


def number(value: float | None) -> str:
    """Return four digits after the point of shares, four in all of larger ones."""
    if value is None:
        return NOTHING
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.4g}"


def figure(value: Figure | None) -> str:
    """Return the value with its interval."""
    if value is None:
        return NOTHING
    if value.low is None or value.high is None:
        return number(value.value)
    return f"{number(value.value)} ({number(value.low)} to {number(value.high)})"


def percent(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1%}"


def count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def p_value(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def moment(text: str | None) -> str:
    """Return a time of RFC 3339 to the minute, in UTC; another text as it is."""
    if not text:
        return NOTHING
    try:
        found = dt.datetime.fromisoformat(text)
        if found.tzinfo is not None:
            found = found.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return text
    return f"{found:%Y-%m-%d %H:%M} UTC"


def date_of(seconds: int | None) -> str | None:
    """Return Unix seconds as a time of RFC 3339; None for what is not a date."""
    if seconds is None or not 0 <= seconds <= LATEST:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()


def signed(value: float | None) -> str:
    """Return a difference with its sign."""
    return NOTHING if value is None else f"{value:+.4f}"


def points(share: float | None) -> str:
    """Return a share of 1 in percentage points."""
    return "not known" if share is None else f"{share * 100:.2f}"


def short(text: str) -> str:
    """Return the beginning of a long text of another program."""
    return text if len(text) <= TEXT_LETTERS else f"{text[: TEXT_LETTERS - 1]}…"


def metric(name: str) -> str:
    return METRICS.get(name, name.replace("_", " "))


def details(value: object) -> str:
    """Return the details of an audit entry as text; of long ones the beginning."""
    try:
        text = clean(json.dumps(value, ensure_ascii=False, sort_keys=True))
    except RecursionError:
        return "nested too deeply to be shown"
    if len(text) <= DETAILS_LETTERS:
        return text
    return f"{text[:DETAILS_LETTERS]}… ({len(text):,} characters)"


FILTERS = {
    "number": number,
    "figure": figure,
    "percent": percent,
    "count": count,
    "p_value": p_value,
    "moment": moment,
    "date_of": date_of,
    "points": points,
    "signed": signed,
    "short": short,
    "metric": metric,
    "details": details,
}
