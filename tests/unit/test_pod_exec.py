"""A program in a pod, over the WebSocket protocol of the API server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from slipway.cluster import pod_exec
from slipway.cluster.kube_api import ForbiddenError, KubeApi, KubeApiError
from slipway.cluster.pod_exec import Done
from tests.support.pod_server import PodServer, ended, frame, output

PATH = "/api/v1/namespaces/models/pods/monitor-0/exec"
COMMAND = ("python3", "-m", "model_monitor", "find", "a/b&c=d", "--", "ü")


@pytest.fixture
def server() -> Iterator[PodServer]:
    with PodServer() as found:
        yield found


@pytest.fixture
def api(server: PodServer) -> Iterator[KubeApi]:
    with server.api() as found:
        yield found


def run(api: KubeApi) -> Done:
    return pod_exec.run(
        api, namespace="models", pod="monitor-0", container="c", command=COMMAND
    )


def test_words_arrive_and_output_comes_back(server: PodServer, api: KubeApi) -> None:
    server.run = lambda words: (0, json.dumps(words).encode(), b"beside\n")
    done = run(api)
    assert json.loads(done.output) == list(COMMAND)
    assert (done.status, done.errors) == (0, "beside\n")
    assert server.asked[0].startswith(f"{PATH}?container=c&stdout=1&stderr=1&command=")


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 3_000_000])
def test_output_of_any_length(server: PodServer, api: KubeApi, size: int) -> None:
    content = bytes(at % 251 for at in range(size))
    server.run = lambda _: (3, content, b"")
    assert run(api) == Done(3, content, "")


def test_pieces_pings_and_other_channels(server: PodServer, api: KubeApi) -> None:
    server.raw = (
        frame(b"", 2)
        + frame(b"\x01one ", 2, final=False)
        + frame(b"still there?", 9)
        + frame(b"message", 0)
        + frame(b"\x09of no known channel", 2)
        + frame(b"\x01, two", 2)
        + output((0, b"", b""))
    )
    assert run(api) == Done(0, b"one message, two", "")
    assert server.has_ended.wait(10)
    answer = b"".join(server.received)
    assert answer[0] == 0x8A  # a pong
    assert answer[1] == 0x80 | 12  # masked
    mask = answer[2:6]
    assert bytes(b ^ mask[at % 4] for at, b in enumerate(answer[6:])) == b"still there?"


def test_a_connection_that_breaks(server: PodServer, api: KubeApi) -> None:
    for raw in (frame(b"\x01" + b"x" * 300)[:-5], b"", b"\x82"):
        server.raw = raw
        with pytest.raises(KubeApiError, match=r"connection broke|without its exit"):
            run(api)
    server.raw = b"\x82\x7f" + (1 << 40).to_bytes(8, "big")
    with pytest.raises(KubeApiError, match="a message of 1099511627776 bytes"):
        run(api)


def test_an_end_without_an_exit_status_is_no_success(
    server: PodServer, api: KubeApi
) -> None:
    server.raw = frame(b"\x01half") + frame(b"\x03\xe8", 8)
    with pytest.raises(KubeApiError, match="models/monitor-0, container c: the pro"):
        run(api)
    cannot = {"status": "Failure", "message": "exec: python3: not found"}
    server.raw = frame(b"\x03" + json.dumps(cannot).encode()) + frame(b"", 8)
    with pytest.raises(KubeApiError, match="python3: not found"):
        run(api)


def test_a_refusal_has_the_servers_reason(server: PodServer, api: KubeApi) -> None:
    server.refused[PATH] = 403
    with pytest.raises(ForbiddenError, match="403 refused by the test"):
        run(api)
    server.refused[PATH] = 404
    with pytest.raises(KubeApiError, match="404 refused by the test"):
        run(api)
    server.refused[PATH] = 200
    with pytest.raises(KubeApiError, match="answers 200 to a WebSocket"):
        run(api)


def test_exit_statuses_are_the_programs() -> None:
    assert ended(0)["status"] == "Success"
    assert pod_exec._exit_status(json.dumps(ended(137)).encode(), "") == 137
