"""The HTTP sink against a receiver on loopback that answers wrongly, late or never."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from log_shipper.http_sink import HttpSink
from log_shipper.settings import Settings
from log_shipper.shipper import Shipper
from log_shipper.sinks import open_sink

from tests.support.https_server import _certificate
from tests.support.log_shipping import (
    Answer,
    Receiver,
    content,
    finished,
    noise,
    receiver,
    settings_of,
    wait_until,
)


def shipper_of(folder: Path, port: int, **more: object) -> Shipper:
    settings = settings_of(folder, f"http://127.0.0.1:{port}", **more)
    return Shipper(settings, open_sink(settings))


def rounds(shipper: Shipper, *, until_empty: bool = True) -> None:
    """Rounds as `run` makes them, until nothing waits or something fails."""

    def ends() -> bool:
        found = shipper.round(look_anyway=True)
        return found == 0 if until_empty else bool(+shipper.metrics.retries)

    wait_until(ends)


def counts(shipper: Shipper) -> dict[str, int]:
    """What was counted, without zeros."""
    return dict(+shipper.metrics.files) | dict(+shipper.metrics.retries)


def test_what_the_receiver_confirms_is_deleted(tmp_path: Path) -> None:
    paths = [
        finished(tmp_path, 1),
        finished(tmp_path, 2, prefix="protected"),
        finished(tmp_path, 3, rows=9),
    ]
    left_alone = tmp_path / "predictions-a.jsonl.part"
    left_alone.write_text("{}\n")
    with receiver() as sink:
        shipper = shipper_of(tmp_path, sink.port)
        rounds(shipper)
    names = [f"{path.name}.gz" for path in paths]
    assert list(sink.stored) == names, "oldest first"
    assert gzip.decompress(sink.stored[names[2]]) == content(3, 9)
    assert list(tmp_path.iterdir()) == [left_alone]
    assert counts(shipper) == {"sent": 3}
    assert shipper.metrics.bytes == sum(map(len, sink.stored.values()))
    assert time.time() - shipper.metrics.last_success < 10
    path, headers = sink.requests[0]
    assert path == f"/v1/logs/{names[0]}"
    assert headers["content-type"] == "application/gzip"
    assert "authorization" not in headers
    assert "transfer-encoding" not in headers


def test_the_path_of_the_address_comes_first(tmp_path: Path) -> None:
    finished(tmp_path, 1)
    with receiver() as sink:
        settings = settings_of(tmp_path, f"http://127.0.0.1:{sink.port}/monitors/a/")
        rounds(Shipper(settings, open_sink(settings)))
    assert sink.requests[0][0].startswith("/monitors/a/v1/logs/predictions-")


def test_a_busy_receiver_is_asked_again_when_it_says(tmp_path: Path) -> None:
    finished(tmp_path, 1)
    busy = Answer(503, {"Retry-After": "1"})
    with receiver(busy, Answer(429), Answer(507)) as sink:
        shipper = shipper_of(tmp_path, sink.port)
        rounds(shipper)
    assert sink.statuses == [503, 429, 507, 201]
    assert sink.times[1] - sink.times[0] >= 1
    assert counts(shipper) == {"busy": 3, "sent": 1}


def test_a_receiver_that_is_not_up_yet(tmp_path: Path) -> None:
    finished(tmp_path, 1)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        shipper = shipper_of(tmp_path, port)
        rounds(shipper, until_empty=False)
    assert list(counts(shipper)) == ["connection"]
    with receiver(port=port) as sink:
        rounds(shipper)
    assert len(sink.stored) == 1
    assert counts(shipper)["sent"] == 1


def test_a_name_that_is_not_found(tmp_path: Path) -> None:
    finished(tmp_path, 1)
    settings = settings_of(tmp_path, "http://monitor.invalid:8080")
    shipper = Shipper(settings, open_sink(settings))
    rounds(shipper, until_empty=False)
    assert list(counts(shipper)) == ["connection"]


def test_a_silent_receiver_is_given_up_and_asked_again(tmp_path: Path) -> None:
    finished(tmp_path, 1)
    with receiver(Answer(seconds=1, stores=True)) as sink:
        shipper = shipper_of(tmp_path, sink.port, timeout_seconds=0.4)
        rounds(shipper)
    assert sorted(counts(shipper)) == ["sent", "timeout"]
    assert counts(shipper)["sent"] == 1
    assert len(sink.stored) == 1


def test_a_slow_receiver_may_take_longer_than_the_timeout(tmp_path: Path) -> None:
    path = noise(tmp_path, 1, 4 << 20)
    slow = Answer(stores=True, piece_seconds=0.06)
    with receiver(slow, buffer_bytes=128 << 10) as sink:
        shipper = shipper_of(tmp_path, sink.port, timeout_seconds=3)
        started = time.monotonic()
        rounds(shipper)
    assert time.monotonic() - started > 3
    assert sink.statuses == [201]
    assert counts(shipper) == {"sent": 1}
    assert not path.exists()


def test_an_attempt_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(tmp_path, 1)
    monkeypatch.setattr("log_shipper.http_sink.LONGEST_ATTEMPT_SECONDS", 0.2)
    with receiver(Answer(seconds=30)) as sink:
        shipper = shipper_of(tmp_path, sink.port, timeout_seconds=60)
        started = time.monotonic()
        rounds(shipper, until_empty=False)
        assert time.monotonic() - started < 20
        assert list(counts(shipper)) == ["connection"]


def test_a_lost_answer_makes_no_second_file(tmp_path: Path) -> None:
    path = finished(tmp_path, 1)
    with receiver(Answer(stores=True, is_lost=True)) as sink:
        shipper = shipper_of(tmp_path, sink.port)
        rounds(shipper)
    assert sink.statuses == [0, 200]
    assert list(sink.stored) == [f"{path.name}.gz"]
    assert counts(shipper) == {"connection": 1, "sent": 1}


def test_another_content_under_the_name_is_set_aside(tmp_path: Path) -> None:
    first, second = finished(tmp_path, 1), finished(tmp_path, 2)
    with receiver() as sink:
        sink.stored[f"{first.name}.gz"] = b"other"
        shipper = shipper_of(tmp_path, sink.port)
        rounds(shipper)
    assert sink.stored[f"{first.name}.gz"] == b"other"
    assert counts(shipper) == {"conflict": 1, "sent": 1}
    refused = tmp_path / "refused"
    assert (refused / first.name).read_bytes() == content(1)
    note = json.loads((refused / f"{first.name}.reason.json").read_text())
    assert note["result"] == "conflict"
    assert "answered 409" in note["reason"]
    assert not second.exists()


@pytest.mark.parametrize("reads", [True, False])
def test_too_large_a_file_is_set_aside(tmp_path: Path, reads: bool) -> None:
    """Also where the receiver closes the connection before the file was sent."""
    path = noise(tmp_path, 1, 6 << 20)
    with receiver(Answer(413, body="at most 1 MiB", reads=reads)) as sink:
        shipper = shipper_of(tmp_path, sink.port)
        rounds(shipper)
    assert counts(shipper) == {"too_large": 1}
    note = json.loads((tmp_path / f"refused/{path.name}.reason.json").read_text())
    assert "at most 1 MiB" in note["reason"]


def test_too_large_a_file_is_set_aside_over_tls(tmp_path: Path) -> None:
    with tls(tmp_path / "tls", script=[Answer(413, reads=False)]) as (sink, ca):
        settings = _secure(tmp_path / "log", "127.0.0.1", sink.port, ca_file=ca)
        noise(settings.folder, 1, 6 << 20)
        shipper = Shipper(settings, open_sink(settings))
        rounds(shipper)
    assert counts(shipper) == {"too_large": 1}


def test_refused_files_that_are_deleted_for_space_are_lost(tmp_path: Path) -> None:
    for number in (1, 2):
        finished(tmp_path, number)
    with receiver(Answer(413), Answer(413)) as sink:
        shipper = shipper_of(tmp_path, sink.port, refused_bytes=150)
        rounds(shipper)
    assert counts(shipper) == {"too_large": 2}
    assert shipper.metrics.lost_files == 1
    assert len(list((tmp_path / "refused").glob("*.jsonl"))) == 1


def test_a_wrong_token_costs_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    finished(folder, 1)
    token = tmp_path / "token"
    token.write_text("old\n")
    with receiver() as sink:
        sink.token = "Bearer new"
        shipper = shipper_of(folder, sink.port, token_file=token)
        rounds(shipper, until_empty=False)
        assert list(counts(shipper)) == ["unauthorized"]
        assert sink.stored == {}
        token.unlink()
        assert _fails_again(shipper)
        token.write_text("two\nlines\n")
        assert _fails_again(shipper)
        asked = len(sink.requests)
        token.write_text("new\n")
        rounds(shipper)
    assert len(sink.requests) == asked + 1, "without a token nothing is asked"
    assert list(counts(shipper)) == ["sent", "unauthorized"]


def _fails_again(shipper: Shipper) -> bool:
    before = shipper.metrics.retries.total()
    wait_until(lambda: shipper.round() and shipper.metrics.retries.total() > before)
    return True


@pytest.mark.parametrize("status", [202, 204, 301, 400, 404, 500])
def test_other_answers_confirm_nothing(tmp_path: Path, status: int) -> None:
    finished(tmp_path, 1)
    with receiver(Answer(status)) as sink:
        shipper = shipper_of(tmp_path, sink.port)
        rounds(shipper)
    assert sink.statuses == [status, 201]
    assert counts(shipper) == {"status": 1, "sent": 1}


def test_a_file_that_the_receiver_fails_at_does_not_hold_up_others(
    tmp_path: Path,
) -> None:
    first, second = finished(tmp_path, 1), finished(tmp_path, 2)
    with receiver(Answer(500)) as sink:
        shipper = shipper_of(tmp_path, sink.port, retry_max_seconds=0.3)
        rounds(shipper)
    assert [path.rpartition("/")[2] for path, _ in sink.requests] == [
        f"{path.name}.gz" for path in (first, second, first)
    ]


def test_garbage_is_no_answer(tmp_path: Path) -> None:
    finished(tmp_path, 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shipper = shipper_of(tmp_path, listener.getsockname()[1], timeout_seconds=30)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        rounds(shipper, until_empty=False)
        thread.join()
    assert list(counts(shipper)) == ["connection"]


@contextmanager
def tls(
    folder: Path, name: str = "api.example", script: Sequence[Answer] = ()
) -> Iterator[tuple[Receiver, Path]]:
    """A receiver by HTTPS, and the certificate of its authority."""
    folder.mkdir()
    certificate, key = _certificate(folder, name)
    with receiver(*script, tls=(certificate, key)) as sink:
        yield sink, certificate


def _secure(folder: Path, host: str, port: int, **more: object) -> Settings:
    folder.mkdir(exist_ok=True)
    return settings_of(folder, f"https://{host}:{port}", **more)


def test_tls_by_an_own_authority(tmp_path: Path) -> None:
    with tls(tmp_path / "tls") as (sink, ca):
        settings = _secure(tmp_path / "log", "127.0.0.1", sink.port, ca_file=ca)
        path = finished(settings.folder, 1, rows=5_000)
        rounds(Shipper(settings, open_sink(settings)))
    assert gzip.decompress(sink.stored[f"{path.name}.gz"]) == content(1, 5_000)


def test_an_unknown_authority_or_host_gets_nothing(tmp_path: Path) -> None:
    with tls(tmp_path / "tls", "localhost.example") as (sink, ca):
        for host, more in (("127.0.0.1", {}), ("localhost", {"ca_file": ca})):
            settings = _secure(tmp_path / "log", host, sink.port, **more)
            finished(settings.folder, 1)
            shipper = Shipper(settings, open_sink(settings))
            rounds(shipper, until_empty=False)
            assert list(counts(shipper)) == ["tls"], host
    assert sink.requests == []


def test_an_authority_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    with tls(tmp_path / "tls") as (sink, ca):
        settings = _secure(tmp_path / "log", "127.0.0.1", sink.port, ca_file=ca)
        finished(settings.folder, 1)
        right = ca.read_text()
        ca.write_text("no certificate")
        sink_of_files = open_sink(settings)
        assert isinstance(sink_of_files, HttpSink)
        shipper = Shipper(settings, sink_of_files)
        rounds(shipper, until_empty=False)
        assert list(counts(shipper)) == ["tls"]
        ca.write_text(right)
        rounds(shipper)
    assert counts(shipper)["sent"] == 1
