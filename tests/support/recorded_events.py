"""Events of real runs of the engine, kept as files without what differs each time.

SLIPWAY_RENEW_GOLDEN=1 .venv/bin/python -m pytest tests/emulator/test_drift.py
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pulumi.automation.events import EngineEvent

from toolchain import paths

FOLDER = paths.ROOT / "tests" / "golden" / "engine_events"
RENEW = "SLIPWAY_RENEW_GOLDEN"
KEPT = ("resourcePreEvent", "resOutputsEvent")
Raw = dict[str, Any]
_CHANGING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"127\.0\.0\.1:\d+"), "HOST"),
    (re.compile(r"\b(acl|igw|rtb|sg|subnet|vpc)-[0-9a-f]{8,17}\b"), r"\1-ID"),
)


@contextmanager
def recording() -> Iterator[list[Raw]]:
    """The events of all runs of the block, as the engine writes them."""
    found: list[Raw] = []
    parse = EngineEvent.from_json

    def record(data: Raw) -> EngineEvent:
        found.append(data)
        return parse(data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EngineEvent, "from_json", record)
        yield found


def settled(events: list[Raw]) -> list[Raw]:
    """Steps alone, resource by resource, without identifiers and times."""
    text = json.dumps([{k: e[k] for k in KEPT if k in e} for e in events])
    for pattern, name in _CHANGING:
        text = pattern.sub(name, text)
    found = [event for event in json.loads(text) if event]
    return sorted(found, key=lambda event: _metadata(event)["urn"])


def _metadata(event: Raw) -> Raw:
    (content,) = event.values()
    metadata: Raw = content["metadata"]
    return metadata


def compare(name: str, events: list[Raw]) -> None:
    """AssertionError if the engine now writes others than those that are kept."""
    file = FOLDER / f"{name}.json"
    found = settled(events)
    if os.environ.get(RENEW):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(file.read_text()), "renew and read the difference"


def kept(name: str) -> list[EngineEvent]:
    """Events of the run that is kept by this name."""
    times = {"sequence": 0, "timestamp": 0}
    found = json.loads((FOLDER / f"{name}.json").read_text())
    return [EngineEvent.from_json(times | event) for event in found]
