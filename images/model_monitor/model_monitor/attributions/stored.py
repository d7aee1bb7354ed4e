"""Attributions of days as files, as the job sent them (contracts/attributions.yaml).

attributions/model=M/revision=R/date=D.json
"""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from model_monitor.store import whole_files
from model_monitor.store.names import quoted
from model_monitor.store.retention import Retention
from model_monitor.store.store import Store

SCHEMA = 1
MOST_FEATURES = 10_000
MOST_WHOLE = 2**53
"""Beyond it a double holds not every whole number."""
LOSSES = ("brier", "error_rate", "mae")
_NUMBERS = ("value", "low", "high", "standard_error")
_LOSSES = ("loss", "loss_low", "loss_high")

Values = dict[str, Any]


class BadAttributionsError(ValueError):
    """The received attributions violate the contract."""


def folder(store: Store, model: str) -> Path:
    return store.root / "attributions" / f"model={quoted(model)}"


def path(store: Store, model: str, revision: str, day: str) -> Path:
    return folder(store, model) / f"revision={quoted(revision)}" / f"date={day}.json"


def write(store: Store, content: Values) -> None:
    """Keep the attributions of one day; those of the same day are replaced."""
    target = path(store, content["model"], content["revision"], content["date"])
    text = json.dumps(content, indent=1, allow_nan=False).encode() + b"\n"
    whole_files.write_whole(target, text)


def read(file: Path) -> Values | None:
    """Return a day's attributions; None without, or of another schema."""
    try:
        found = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if found.get("schema") == SCHEMA else None


def by_revision(store: Store, model: str) -> dict[str, list[Values]]:
    """Return the attributions of a model's revisions, the oldest day first."""
    found: dict[str, list[Values]] = {}
    for file in sorted(folder(store, model).glob("revision=*/date=*.json")):
        if content := read(file):
            revision = unquote(file.parent.name.removeprefix("revision="))
            found.setdefault(revision, []).append(content)
    return found


def mark(store: Store, model: str) -> tuple[tuple[str, int], ...]:
    """Return what changes whenever a file does."""
    return tuple(
        (file.as_posix(), file.stat().st_mtime_ns)
        for file in sorted(folder(store, model).glob("revision=*/date=*.json"))
    )


def models(store: Store) -> list[str]:
    """Return the models that have a folder, also those that left the configuration."""
    folders = (store.root / "attributions").glob("model=*")
    return sorted(unquote(it.name.removeprefix("model=")) for it in folders)


def forget(
    store: Store, model: str, retention: Retention, today: dt.date, first_kept: int
) -> None:
    """Delete days older than the results; a revision's first days with its last."""
    oldest = today - dt.timedelta(days=retention.figures_days)
    for revision in folder(store, model).glob("revision=*"):
        files = sorted(revision.glob("date=*.json"))
        days = [dt.date.fromisoformat(it.stem.removeprefix("date=")) for it in files]
        is_over = bool(days) and days[-1] < oldest
        for number, (file, day) in enumerate(zip(files, days, strict=True)):
            is_held = any(it.covers(day, model) for it in retention.holds)
            if day < oldest and (is_over or number >= first_kept) and not is_held:
                whole_files.remove(file)


def check(content: object, model: str, revision: str, day: str) -> Values:
    """Return attributions that were sent, as they are kept.

    Only fields of the contract are kept. Raises BadAttributionsError.
    """
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise BadAttributionsError(f"schema: it must be an object of schema {SCHEMA}")
    path_says = {"model": model, "revision": revision, "date": day}
    for name, expected in path_says.items():
        if content.get(name) != expected:
            raise BadAttributionsError(f"{name}: it must be {expected}, as in the path")
    features = content.get("features")
    if not isinstance(features, list) or not 0 < len(features) <= MOST_FEATURES:
        raise BadAttributionsError("features: it must be a list that is not empty")
    loss = content.get("loss")
    if loss is not None and loss not in LOSSES:
        raise BadAttributionsError(f"loss: it must be one of {', '.join(LOSSES)}")
    found: Values = {
        "schema": SCHEMA,
        **path_says,
        "rows": _whole(content, "rows"),
        "repetitions": _whole(content, "repetitions"),
        "outcome": _text(content, "outcome"),
        "filled": [_name(it) for it in content.get("filled", [])],
        "disagreement": _number(content, "disagreement", is_optional=True),
        "loss": loss,
        "labelled": _whole(content, "labelled"),
        "features": [_feature(it, has_loss=loss is not None) for it in features],
    }
    names = [it["feature"] for it in found["features"]]
    if len(set(names)) < len(names):
        raise BadAttributionsError("features: a feature is listed twice")
    return found


def _feature(raw: object, *, has_loss: bool) -> Values:
    if not isinstance(raw, dict):
        raise BadAttributionsError("features: each must be an object")
    found: Values = {"feature": _text(raw, "feature")}
    found |= {name: _number(raw, name) for name in _NUMBERS}
    return found | {name: _number(raw, name) if has_loss else None for name in _LOSSES}


def _text(raw: Values, name: str) -> str:
    return _name(raw.get(name), name)


def _name(value: object, name: str = "filled") -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise BadAttributionsError(f"{name}: it must be a text of 1 to 200 characters")
    return value


def _whole(raw: Values, name: str) -> int:
    value = raw.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        value = -1
    if not 0 <= value < MOST_WHOLE:
        raise BadAttributionsError(f"{name}: it must be a whole number from 0 on")
    return value


def _number(raw: Values, name: str, *, is_optional: bool = False) -> float | None:
    value = raw.get(name)
    if value is None and is_optional:
        return None
    found = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:  # A whole number beyond what a double holds.
            found = math.inf
    if not math.isfinite(found):
        raise BadAttributionsError(f"{name}: it must be a finite number")
    return found
