"""Search of entries of an audit chain by their content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def entries(chain: Path, action: str) -> Iterator[dict[str, Any]]:
    """Yield the entries of an action, the oldest first; none of a chain not begun.

    A last line that a kill left unfinished is left out: the next entry cuts it off.
    """
    try:
        file = chain.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            if line.endswith(b"\n") and action.encode() in line:
                entry = json.loads(line)
                if entry["action"] == action:
                    yield entry


def has_entry(chain: Path, action: str, **details: Any) -> bool:
    """Tell whether there is an entry of the action with all these details."""
    return any(
        all(entry["details"].get(key) == value for key, value in details.items())
        for entry in entries(chain, action)
    )
