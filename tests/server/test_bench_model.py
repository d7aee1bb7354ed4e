"""`slipway bench model` against the real server: it describes itself, it is read."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from components.serving.args.model_server_args import ModelServerArgs
from slipway.bench import command as bench
from slipway.bench.subject import Asking, of_url
from tests.support.model_server import ModelServer
from tests.support.rendered import reference


def test_the_server_is_described_and_read(server: ModelServer) -> None:
    subject = of_url(f"{server.url}/infer", Asking())
    (tensor,) = json.loads(subject.body)["inputs"]
    assert tensor["shape"][0] == 1
    (reading,) = subject.readings()
    assert reading.cpu_seconds > 0
    assert reading.memory_bytes > 2**20


def test_a_small_search_ends_with_settings_that_are_taken(
    server: ModelServer,
) -> None:
    arguments = ["model", f"{server.url}/infer", "--json", "--max-rate", "40"]
    # A busy machine is not what is tried here: any latency is good.
    arguments += ["--first-rate", "20", "--step-seconds", "1", "--p99-ms", "5000"]
    done = CliRunner().invoke(bench.command, arguments)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["highest_rate"] == 40
    assert [step["outcomes"] for step in said["steps"]] == [{"200": 20}, {"200": 40}]
    assert said["requests_per_second_per_replica"] == pytest.approx(28)
    assert said["held_at"]["used"]["cpu_cores"] > 0
    ModelServerArgs(
        model_image=reference("a"), image=reference("b"), **said["settings"]
    )
