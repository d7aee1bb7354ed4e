"""`slipway logs` and what a pod may have written: nothing breaks it, or a terminal."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from click.testing import CliRunner

from slipway import stack_settings
from slipway.cluster import pod_exec
from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.cluster.pod_exec import Done
from slipway.engine import stack_api
from slipway.logs import command, places, reading, record
from slipway.logs.line import DEEPEST, Line, moment, parse, text_of
from slipway.logs.places import Place
from slipway.logs.request import Trace
from slipway.printable import lines, printable

STAMP = "2026-11-29T10:00:05.123456789Z"
WRITTEN = "2026-11-29T10:00:05.123456Z"


def line(text: str) -> Line:
    return parse(f"{STAMP} {text}\n", "server", "p", "c")


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' + "[" * 20_000 + "]" * 20_000 + "}",
        '{"a":' * 20_000,
        '{"a":1e999}',
        '{"a":-Infinity}',
        '{"a":NaN}',
        '{"a":' + "9" * 5000 + "}",
    ],
    ids=["deep", "deeper", "1e999", "infinity", "nan", "long"],
)
def test_what_is_no_plain_json_is_text(text: str) -> None:
    found = line(text)
    assert (found.text, dict(found.fields)) == (text, {})
    assert json.loads(found.to_json(), parse_constant=pytest.fail)["text"] == text
    assert found.shown().endswith(text)


def test_brackets_within_strings_do_not_count() -> None:
    deepest = "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1)
    text = json.dumps({"message": '\\"[{' * 500, "a": json.loads(deepest)})
    assert line(text).fields == json.loads(text)
    assert line(text.replace(deepest, f"[{deepest}]")).text


@pytest.mark.parametrize(
    "own", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"]
)
def test_a_time_out_of_range_is_not_the_lines(own: str) -> None:
    found = line(json.dumps({"time": own, "message": "m"}))
    assert text_of(found.time) == WRITTEN
    assert found.shown().startswith(WRITTEN)


def test_times_have_four_digits_of_a_year() -> None:
    found = moment("0999-01-01T00:00:00Z")
    assert found is not None
    assert text_of(found) == "0999-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("json_", [True, False])
def test_half_a_pair_can_be_printed(json_: bool) -> None:
    found = line(r'{"message":"x\ud800y"}')
    shown = found.to_json() if json_ else found.shown()
    assert r"x\ud800y" in shown
    shown.encode()


def test_json_has_no_control_characters() -> None:
    found = line('{"message":"x\x7fy"}')
    assert r"x\u007fy" in found.to_json()
    assert json.loads(found.to_json())["line"] == {"message": "x\x7fy"}


def test_text_of_several_lines_stays_so() -> None:
    assert printable("a\nb\x1b\u200f") == r"a\u000ab\u001b\u200f"
    assert lines("a\x1b\nb\r\n") == "a\\u001b\nb\\u000d\n"


class Endless:
    """A log of many lines, as a KubeApi that counts what was read of it."""

    LINES = 20 * reading.WAITING_LINES
    written = 0

    @contextlib.contextmanager
    def stream(self, *_: object, **__: object) -> Iterator[Endless]:
        yield self

    def iter_lines(self) -> Iterator[str]:
        for _ in range(self.LINES):
            self.written += 1
            yield f"{STAMP} words"


def test_lines_that_nobody_reads_are_not_kept() -> None:
    log = Endless()
    place = Place("server", "n", "p", "c", has_previous=False)
    found = reading.follow(cast("KubeApi", log), [place], reading.Span())
    next(found)
    before = -1
    while log.written != before:
        before = log.written
        time.sleep(0.2)
    # One was taken, and one waits to be put.
    assert log.written <= reading.WAITING_LINES + 2
    assert sum(1 for _ in found) == log.LINES - 1


def test_notes_cannot_take_the_terminal_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command._follow([KubeApiError("no\x1b[2J")], lambda _: None)
    unread = reading.Read(unread={"p\x1b": "why\x9b"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "read", lambda *_: unread)
        command._show(cast("KubeApi", None), [], reading.Span(), lambda _: None)
    assert capsys.readouterr().err.splitlines() == [
        r"note: no\u001b[2J",
        r"note: p\u001b cannot be read: why\u009b",
    ]


def asked(done: Done) -> record.Records:
    def run(*_: object, **__: object) -> Done:
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pod_exec, "run", run)
        since = moment(STAMP)
        assert since
        return record.find(
            cast("KubeApi", None), "n", "r", models=["m"], since=since, limit=1
        )


@pytest.mark.parametrize(
    "output",
    [b"[" * 20_000, b'{"records": [1e999]}', b"\xff"],
    ids=["deep", "1e999", "no"],
)
def test_a_monitor_that_answers_no_plain_json_could_not_look(output: bytes) -> None:
    with pytest.raises(KubeApiError, match="model-monitor-0 could not look: status 0"):
        asked(Done(0, output, ""))


def test_a_monitors_words_are_made_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> Any:
        raise KubeApiError("x\x1b]0;owned\x07")

    monkeypatch.setattr(stack_settings, "load", lambda *_: None)
    monkeypatch.setattr(places, "servers", lambda *_: ["m"])
    api = contextlib.nullcontext(None)
    monkeypatch.setattr(stack_api, "of_stack", lambda _: api)
    monkeypatch.setattr(Trace, "follow", run)
    found = CliRunner().invoke(command.command, ["m", "--request-id", "r"])
    assert found.stderr == "Error: x\\u001b]0;owned\\u0007\n"
