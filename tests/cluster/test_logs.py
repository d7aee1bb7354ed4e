"""One request is followed by its id, from the gateway to its prediction record.

About 30 s: Envoy writes its log after 10 s, and files of the log are finished as late.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from slipway import images
from slipway.cli import cli
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.kube import wait_until
from toolchain import paths

SERVERS = ("employment", "employment-fastapi", "employment-flask", "employment-django")
SECONDS = 90
PLANTED = "planted-4711"
SOURCES = {"gateway", "server", "record"}


def slipway(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "slipway.cli", *words],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def traced(identity: str) -> list[dict[str, Any]]:
    """What the command finds now; in this process, as it is asked again and again."""
    words = ["logs", "employment", "--request-id", identity, "--json"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code in (0, 1), done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def asked(cluster: Cluster) -> dict[str, str]:
    """Ids of one request of two rows to each server; values are planted beside them."""
    rows, _ = images.real_rows("employment", 2)
    run = dt.datetime.now(dt.UTC).strftime("%H%M%S")
    ids = {server: f"logs-test-{run}-{server}" for server in SERVERS}
    for server, identity in ids.items():
        answer = httpx.post(
            f"{cluster.urls['gateway']}/{server}/v1/infer?member={PLANTED}",
            content=oip.request(rows),
            headers={
                "x-request-id": identity,
                "authorization": f"Bearer {PLANTED}",
                "cookie": PLANTED,
            },
            timeout=20,
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-request-id"] == identity
    return ids


@pytest.mark.parametrize("server", SERVERS)
def test_a_request_is_found_in_all_three_places(
    asked: dict[str, str], server: str
) -> None:
    identity = asked[server]

    def complete() -> list[dict[str, Any]]:
        found = traced(identity)
        return found if {it["source"] for it in found} >= SOURCES else []

    found = wait_until(complete, SECONDS, "gateway, server and record")
    of = {source: [it for it in found if it["source"] == source] for source in SOURCES}
    (gateway,), (line,) = of["gateway"], of["server"]
    assert gateway["line"]["path"] == "/infer"
    assert f"/{server}/" in gateway["line"]["route"]
    assert line["pod"].startswith(server)
    assert [it["line"]["row"] for it in of["record"]] == [0, 1]
    revisions = {it["line"]["revision"] for it in found}
    assert len(revisions) == 1
    assert all(it["line"]["status"] == 200 for it in found)
    assert [it["time"] for it in found] == sorted(it["time"] for it in found)


def test_an_id_that_nobody_sent_is_found_nowhere(asked: dict[str, str]) -> None:
    done = slipway("logs", "employment", "--request-id", f"{asked['employment']}-x")
    assert done.returncode == 1
    assert done.stdout == ""
    for source in ("gateway", "server", "record"):
        assert f"note: {source}: not in" in done.stderr


def test_no_log_has_a_planted_value(cluster: Cluster, asked: dict[str, str]) -> None:
    wait_until(lambda: traced(asked["employment"]), SECONDS, "the request's lines")
    for namespace in ("models", "slipway-gateway"):
        for pod in cluster.kube.get("pod", namespace=namespace):
            name = pod["metadata"]["name"]
            log = cluster.kube.run(
                *("logs", name, "-n", namespace, "--all-containers"), check=False
            )
            assert PLANTED not in log.stdout, name


def test_our_programs_write_nothing_but_json(cluster: Cluster) -> None:
    done = slipway("logs", "employment", "--json", "--tail", "50")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {it["container"] for it in found} >= {"server", "log-shipper"}
    for it in found:
        assert {"time", "level", "logger", "message"} <= set(it.get("line", {})), it


def test_the_monitors_audit_chain_is_intact(cluster: Cluster) -> None:
    done = slipway("audit", "verify", "--stack", "models.lab")
    assert done.returncode == 0, done.stderr
    assert "entries, intact; newest" in done.stdout
