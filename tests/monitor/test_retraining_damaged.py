"""A damaged file of a request is told and left out; nothing else stops for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_monitor.config import Config
from model_monitor.retraining import stored
from model_monitor.retraining.collector import RetrainingCollector
from model_monitor.retraining.requests import RetrainingRequests
from model_monitor.store import Store

from tests.monitor.test_retraining_releases import MODEL, released

WRONG = (
    *(b"", b"{", b"\xff", b"null", b"[]", b"[" * 100_000, b'{"id": "a"}'),
    b'{"id": "a", "created": "now", "model": "m", "revision": "r", "causes": []}',
    b'{"id": "a", "created": "2026-11-29", "model": 7, "revision": "r", "causes": []}',
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def requests(store: Store) -> RetrainingRequests:
    return RetrainingRequests(Config(store.root, (MODEL,), clock="event"), store)


def samples(store: Store) -> dict[str, float]:
    families = RetrainingCollector(Config(store.root, (MODEL,)), store).collect()
    return {it.name: it.value for family in families for it in family.samples}


@pytest.mark.parametrize("content", WRONG)
def test_a_damaged_request_is_left_out(
    store: Store, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    found = released(now=60, labelled=30)
    requests(store).judged(found)
    (first,) = stored.read_all(store)
    first.path.write_bytes(content)
    assert samples(store) == {"monitor_retraining_files_damaged": 1}
    with caplog.at_level(logging.ERROR):
        requests(store).judged(found)
        requests(store).deliver()
    errors = [it for it in caplog.records if it.levelno == logging.ERROR]
    assert {it.__dict__["file"] for it in errors} == {first.path.name}
    # What it asked for is asked for again, and the damaged file is kept.
    (second,) = stored.read_all(store)
    assert second.id == f"{first.id}.2"
    assert first.path.read_bytes() == content
    assert samples(store) == {
        "monitor_retraining_files_damaged": 1,
        "model_retraining_requested": 1,
    }


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"absent_since": 1}'])
def test_a_damaged_state_is_written_anew(store: Store, content: bytes) -> None:
    found = released(now=60, labelled=30)
    requests(store).judged(found)
    (first,) = stored.read_all(store)
    state = first.path.with_name(f"{first.id}.state.json")
    state.write_bytes(content)
    requests(store).judged(found)
    (second,) = stored.read_all(store)
    assert second == first
    assert len(store.chain.read_bytes().splitlines()) == 1
