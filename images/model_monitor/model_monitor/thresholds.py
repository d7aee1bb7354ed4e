"""Records every model's limits in the audit chain: an entry whenever they change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from model_monitor.audit import Chain, search
from model_monitor.config import Model

ACTION = "thresholds_changed"


def note(chain: Path, models: Iterable[Model]) -> list[str]:
    """Add an entry for each model whose limits are not those of its last entry.

    Returns these models' names. The chain alone is what is compared with, so that a
    change while no monitor ran is noticed by the next one. Raises ChainError.
    """
    last = _last(chain)
    changed = []
    for model in models:
        limits = _plain(asdict(model))
        if last.get(model.name) != limits:
            Chain(chain).append(ACTION, {"model": model.name, "limits": limits})
            changed.append(model.name)
    return changed


def _last(chain: Path) -> dict[str, Any]:
    """Return the limits of each model's last entry."""
    return {
        entry["details"]["model"]: entry["details"]["limits"]
        for entry in search.entries(chain, ACTION)
    }


def _plain(value: Any) -> Any:
    """Return settings as the chain can hold them: numbers with a point are texts."""
    if isinstance(value, dict):
        return {key: _plain(it) for key, it in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(it) for it in value]
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float | Path | dt.date):
        return str(value)
    return value
