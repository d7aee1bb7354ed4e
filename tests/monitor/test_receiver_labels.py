"""Labels that are posted: checked at once, kept, and joined later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_monitor.labels import LabelJoin
from model_monitor.store import Store, ingest

from tests.monitor.test_receiver_uploads import Client, code
from tests.support.monitor_records import NOW, label, land, prediction, rows, text, tree


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def post(client: Client, *labels: Any, **headers: str) -> Any:
    return client.ask("POST", "/v1/labels", content=text(labels), headers=headers)


def old(**changes: Any) -> dict[str, Any]:
    """A label that no clock takes for one of the future."""
    return label(label_time="2026-01-01T00:00:00Z", **changes)


def test_labels_are_kept_and_joined(store: Store) -> None:
    client = Client(store)
    land(store, [prediction(time="2026-11-29T00:00:00Z")])
    ingest(store, now=lambda: NOW)
    answer = post(client, label(label_time="2026-11-29T00:01:00Z"), old(id="b"))
    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["refused"], told["repeated"]) == (2, 0, False)
    result = LabelJoin(store).run(NOW)
    assert (result.joined, result.pending) == (1, 1)
    assert client.count("monitor_labels_total", result="accepted") == 2


def test_bad_lines_are_reported_by_number_and_reason(store: Store) -> None:
    client = Client(store)
    answer = post(client, old(), b"x", old(row="1"), old(id="b"))
    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["refused"]) == (2, 2)
    assert told["reasons"] == {"not_json": 1, "wrong_type": 1}
    assert [
        {key: line[key] for key in line if key != "fix"} for line in told["lines"]
    ] == [
        {"line": 2, "reason": "not_json"},
        {"line": 3, "reason": "wrong_type", "field": "row"},
    ]
    assert len(rows(store.pending)) == 2
    assert list(store.quarantine.iterdir()) == []
    assert client.count("monitor_labels_total", result="refused") == 2
    assert client.count("monitor_quarantined_total", reason="not_json") == 1


def test_a_post_without_any_label_is_an_error(store: Store) -> None:
    answer = post(Client(store), b"x", b"y")
    assert (answer.status_code, code(answer)) == (422, "no_label_accepted")
    assert answer.json()["refused"] == 2


def test_the_same_post_again_changes_nothing(store: Store) -> None:
    client = Client(store)
    first = post(client, old()).json()
    before = tree(store.root)
    assert post(client, old()).json() == {**first, "repeated": True}
    assert tree(store.root) == before


def test_a_label_of_the_future_may_come_again(store: Store) -> None:
    """What was refused is not known as repeated, but checked again."""
    client = Client(store)
    ahead = label(label_time="2999-01-01T00:00:00Z")
    for _ in range(2):
        told = post(client, old(), ahead).json()
        assert (told["accepted"], told["reasons"]) == (1, {"future_time": 1})
        assert not told["repeated"]


def test_labels_have_tokens_of_their_own(store: Store, tmp_path: Path) -> None:
    for name in ("logs", "labels"):
        (tmp_path / name).write_text(f"token-of-{name}")
    client = Client(
        store, log_tokens=tmp_path / "logs", label_tokens=tmp_path / "labels"
    )
    assert post(client, old(), authorization="Bearer token-of-logs").status_code == 401
    assert (
        post(client, old(), authorization="Bearer token-of-labels").status_code == 200
    )


def test_a_post_beyond_the_bound_is_refused(store: Store) -> None:
    answer = post(Client(store, label_bytes=50), old())
    assert (answer.status_code, code(answer)) == (413, "too_large")


def test_the_audit_chain_says_how_they_came(store: Store) -> None:
    post(Client(store), old())
    entry = json.loads(store.chain.read_text())
    assert (entry["action"], entry["actor"]) == ("labels_imported", "labels-api")
