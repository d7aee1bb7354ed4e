"""The callers and the stack that the demo of rollouts shares with the lab's tests."""

from __future__ import annotations

import http.server
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from examples.demo_rollout import lab_stack
from examples.demo_rollout.callers import REVISION, UNNAMED, Callers
from examples.demo_rollout.lab_stack import LabStack
from tests.support.kube import Kube
from tests.support.own_stack import OwnStack
from toolchain import paths


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers 200 of two revisions, 200 without a name, and 503 in turn."""

    protocol_version = "HTTP/1.1"
    numbers = itertools.count()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        turn = next(self.numbers) % 4
        self.send_response(503 if turn == 3 else 200)
        if turn < 2:
            self.send_header(REVISION, ["monday", "tuesday"][turn])
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Handler.numbers = itertools.count()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/demo/v1/infer"
        server.shutdown()
        thread.join()


def test_answers_are_counted_by_revision_and_failures_by_status(url: str) -> None:
    with Callers(url, b"{}", most=42) as callers:
        callers.wait()
    assert callers.answers == {"monday": 11, "tuesday": 11, UNNAMED: 10}
    assert callers.failures == {"503": 10}


def test_without_a_number_they_call_until_the_block_ends(url: str) -> None:
    with Callers(url, b"{}", callers=2) as callers:
        end = time.monotonic() + 10
        while callers.answers.total() < 50 and time.monotonic() < end:
            time.sleep(0.01)
    total = callers.answers.total()
    assert total >= 50
    time.sleep(0.1)
    assert callers.answers.total() == total


def test_a_refused_connection_is_a_failure_with_the_name_of_the_error() -> None:
    with Callers("http://127.0.0.1:1/", b"", most=3) as callers:
        callers.wait()
    assert callers.answers == {}
    assert callers.failures == {"ConnectionRefusedError": 3}


@dataclass
class Engine:
    """Instead of Pulumi's."""

    root: Path
    calls: list[tuple[str, str]] = field(default_factory=list)

    def up(self, name: str) -> None:
        self.calls.append(("up", name))

    def destroy(self, name: str) -> None:
        self.calls.append(("destroy", name))


def test_a_stack_has_its_settings_and_the_labs_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(tmp_path)
    monkeypatch.setattr(
        lab_stack, "Engine", lambda root: engine if root == tmp_path else None
    )
    stack = LabStack("models.demo", tmp_path)
    stack.up(delivery={"tick_seconds": 2}, models={"demo": {}})
    stack.down()
    assert engine.calls == [("up", "models.demo"), ("destroy", "models.demo")]
    file = tmp_path / "stacks/config/Pulumi.models.demo.yaml"
    assert yaml.safe_load(file.read_text()) == {
        "config": {
            "slipway:cluster": {"kubeconfig": "lab"},
            "slipway:delivery": {"tick_seconds": 2},
            "slipway:models": {"demo": {}},
        }
    }
    copied = (tmp_path / "Pulumi.yaml").read_text()
    assert copied == (paths.ROOT / "Pulumi.yaml").read_text()


def test_a_stack_of_the_tests_is_one_that_they_also_forget(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="forget_all"):
        OwnStack("models.another", tmp_path)


def test_a_stack_of_the_tests_goes_without_waiting_for_its_pods(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the engine would wait for is on its way before the engine starts."""
    done: list[tuple[str, ...]] = []

    def kubectl(_: Kube, *words: str, check: bool = True) -> None:
        done.append(words)

    monkeypatch.setattr(Kube, "run", kubectl)
    monkeypatch.setattr(LabStack, "down", lambda stack: done.append((stack.name,)))
    OwnStack("models.rollout", tmp_path).down()
    deletion, destroyed = done
    assert deletion[:4] == ("delete", "deployments", "-n", "models")
    assert deletion[4:] == ("-l", "slipway.dev/stack=models.rollout", "--wait=false")
    assert destroyed == ("models.rollout",)
