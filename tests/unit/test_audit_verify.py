"""`slipway audit verify`: a chain from a file or from a monitor, verified here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from model_monitor.audit import Chain

from components.serving.models_settings import ModelsSettings
from slipway import stack_settings
from slipway.audit import command as audit
from slipway.cluster.kube_api import KubeApi
from slipway.engine import stack_api
from tests.support.pod_server import Answer, PodServer


def verify(*words: object) -> Result:
    return CliRunner().invoke(audit.command, ["verify", *map(str, words)])


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "chain.jsonl"
    for number in range(3):
        Chain(path).append("labels_imported", {"file": f"labels-{number}.csv"})
    return path


@pytest.fixture
def monitor(
    tmp_path: Path, chain: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PodServer]:
    """A stack's monitor, with the chain in its store."""
    image = f"registry.example.com/employment@sha256:{'0' * 64}"
    model: dict[str, Any] = {"model_image": image, "image": image}
    values = {
        "models": {
            "a": {
                **model,
                "monitor": {},
                "prediction_log": {"sink": "monitor", "shipper": image},
                "route": {"prefix": "/a/v1"},
            }
        },
        "monitor": {"image": image},
    }
    monkeypatch.setattr(
        stack_settings, "load", lambda *_: ModelsSettings.model_validate(values)
    )

    def run(words: Sequence[str]) -> Answer:
        assert tuple(words) == audit.COPY
        done = subprocess.run(
            [sys.executable, *words[1:-1], str(chain)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(audit.CODE)},
            capture_output=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    with PodServer(run=run) as server:

        @contextmanager
        def api(_: str) -> Iterator[KubeApi]:
            with server.api() as found:
                yield found

        monkeypatch.setattr(stack_api, "of_stack", api)
        yield server


def newest(result: Result) -> str:
    return result.stdout.split()[-1]


def change(chain: Path, line: int) -> None:
    lines = chain.read_text().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace("labels-", "Labels-")
    chain.write_text("".join(lines))


def test_an_intact_chain(chain: Path) -> None:
    found = verify(chain)
    assert found.exit_code == 0, found.output
    assert f"{chain}: 3 entries, intact; newest 3:" in found.stdout
    assert verify(chain, "--anchor", newest(found)).exit_code == 0


def test_the_first_broken_link_is_named(chain: Path) -> None:
    change(chain, 3)
    change(chain, 2)
    found = verify(chain)
    assert found.exit_code == 1
    assert found.stdout == ""
    assert found.stderr.splitlines() == [
        f"error: {chain}:2: hash: the entry was changed after it was written",
        f"{chain}: 1 entries before it are intact",
    ]


def test_an_end_that_was_cut_off_needs_the_anchor(chain: Path) -> None:
    anchor = newest(verify(chain))
    lines = chain.read_text().splitlines(keepends=True)
    chain.write_text("".join(lines[:2]))
    assert verify(chain).exit_code == 0
    cut = verify(chain, "--anchor", anchor)
    assert cut.exit_code == 1
    assert f"{chain}:3: anchor: the chain ends before entry 3" in cut.stderr


def test_the_chain_of_a_monitor(
    monitor: PodServer, chain: Path, tmp_path: Path
) -> None:
    found = verify("--stack", "models.lab")
    assert found.exit_code == 0, found.output
    assert ": 3 entries, intact; newest 3:" in found.stdout
    assert "/pods/model-monitor-0/exec?container=monitor&" in monitor.asked[0]
    copied = tmp_path / "copy.jsonl"
    assert verify("--keep", copied).exit_code == 0
    assert copied.read_bytes() == chain.read_bytes()
    again = verify("--keep", copied)
    assert again.exit_code == 1
    assert f"--keep {copied}: File exists; give a new file" in again.stderr
    change(chain, 1)
    broken = verify()
    assert broken.exit_code == 1
    assert "chain.jsonl:1: hash: the entry was changed" in broken.stderr


def test_a_chain_that_cannot_be_read(monitor: PodServer, chain: Path) -> None:
    chain.unlink()
    found = verify()
    assert found.exit_code == 1
    assert "models/model-monitor-0: the chain cannot be read: error: [Errno 2]" in (
        found.stderr
    )
    monitor.raw = b""
    assert "the connection broke" in verify().stderr


def test_a_pod_cannot_take_the_terminal_over(monitor: PodServer) -> None:
    planted = b"x\n\x1b]0;owned\x07\x1b[2Jchain intact, 120 entries"
    monitor.run = lambda _: (1, b"", planted)
    found = verify()
    assert "read: \\u001b]0;owned\\u0007\\u001b[2Jchain" in found.stderr
    monitor.run = lambda _: (
        0,
        json.dumps({"number\x1b[2J": 1}).encode() + b"\x9b",
        b"",
    )
    found = verify()
    assert found.exit_code == 1
    monitor.refused["/api/v1/namespaces/models/pods/model-monitor-0/exec"] = 403
    monitor.reason = "no\x1b[2J"
    found = verify()
    assert "no\\u001b[2J" in found.stderr
    assert "\x1b" not in found.output


def test_what_the_verification_prints_is_made_safe(
    chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = subprocess.CompletedProcess([], 1, "error: a\x1b[2J\nb\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: said)
    assert verify(chain).stderr == "error: a\\u001b[2J\nb\n"


def test_wrong_words(chain: Path) -> None:
    for words, said in (
        ([chain, "--stack", "models.lab"], "give FILE, or --stack with --keep"),
        ([chain, "--anchor", "3"], "'3' is not NUMBER:HASH"),
        ([chain / "none"], "does not exist"),
    ):
        found = verify(*words)
        assert found.exit_code == 2
        assert said in found.stderr
