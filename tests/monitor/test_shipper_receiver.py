"""The shipper and the monitor's own receiver, by HTTP on loopback."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from log_shipper.shipper import Shipper
from log_shipper.sinks import open_sink
from model_monitor.receiver.application import application
from model_monitor.receiver.settings import ReceiverSettings
from model_monitor.store.store import Store
from prometheus_client import CollectorRegistry

from tests.support.log_shipping import (
    content,
    finished,
    noise,
    settings_of,
    wait_until,
)


@contextmanager
def serving(store: Store, settings: ReceiverSettings) -> Iterator[str]:
    """The receiver's address while the block runs."""
    app = application(store, settings, CollectorRegistry())
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, lifespan="off", loop="asyncio", http="h11")
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.mkdir()
    return path


def landed(store: Store) -> dict[str, bytes]:
    """What lies in landing/, by name."""
    return {
        path.name: gzip.decompress(path.read_bytes())
        for path in store.landing.glob("*.jsonl.gz")
    }


def ship(log: Path, sink: str, **more: object) -> Shipper:
    """A shipper that has sent all it could."""
    settings = settings_of(log, sink, **more)
    shipper = Shipper(settings, open_sink(settings))
    wait_until(lambda: shipper.round(look_anyway=True) == 0)
    return shipper


def test_files_land_under_their_names(log: Path, store: Store) -> None:
    paths = [
        finished(log, 1, rows=2_000),
        finished(log, 2, prefix="protected"),
        finished(log, 3, rows=0),
    ]
    with serving(store, ReceiverSettings()) as address:
        shipper = ship(log, address)
        again = log / paths[0].name
        again.write_bytes(content(1, 2_000))
        ship(log, address)
    assert landed(store) == {
        f"{paths[0].name}.gz": content(1, 2_000),
        f"{paths[1].name}.gz": content(2),
        f"{paths[2].name}.gz": b"",
    }
    assert +shipper.metrics.files == {"sent": 3}
    assert list(log.iterdir()) == []


def test_other_content_and_large_files_are_set_aside(log: Path, store: Store) -> None:
    first, second = finished(log, 1), noise(log, 2, 4 << 20)
    with serving(store, ReceiverSettings(log_bytes=1 << 20)) as address:
        assert +ship(log, address).metrics.files == {"sent": 1, "too_large": 1}
        finished(log, 1, rows=9)
        assert +ship(log, address).metrics.files == {"conflict": 1}
    assert landed(store) == {f"{first.name}.gz": content(1)}
    refused = {path.name for path in (log / "refused").glob("*.jsonl")}
    assert refused == {first.name, second.name}


def test_a_full_store_and_a_wrong_token_are_waited_for(
    log: Path, store: Store, tmp_path: Path
) -> None:
    path = finished(log, 1)
    tokens, token = tmp_path / "tokens", tmp_path / "token"
    tokens.write_text("right\n")
    token.write_text("wrong")
    settings = ReceiverSettings(log_tokens=tokens)
    with serving(store, settings) as address:
        settings_ = settings_of(log, address, token_file=token)
        shipper = Shipper(settings_, open_sink(settings_))
        shipper.round()
        assert +shipper.metrics.retries == {"unauthorized": 1}
        token.write_text("right")
        wait_until(lambda: shipper.round(look_anyway=True) == 0)
    assert list(landed(store)) == [f"{path.name}.gz"]
    finished(log, 2)
    with serving(store, ReceiverSettings(quota_bytes=10)) as address:
        settings_ = settings_of(log, address)
        shipper = Shipper(settings_, open_sink(settings_))
        shipper.round()
        assert +shipper.metrics.retries == {"busy": 1}
        assert len(list(log.iterdir())) == 1
