"""A run followed: logs, states, the exit status, and what went wrong in words."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from click.testing import Result

from slipway.jobs import command, following
from tests.support.job_runs import (
    RUNS,
    STAMP,
    Api,
    Object,
    ended,
    exited,
    pod,
    run,
    slipway,
    with_api,
    with_settings,
)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Object:
    return with_settings(monkeypatch)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, settings: Object) -> Api:
    return with_api(monkeypatch, settings)


def follow(*words: str) -> Result:
    return slipway(command.command, "follow", "net-x7k2p", *words)


def test_a_run_is_followed_to_its_end(api: Api) -> None:
    looks = iter(range(100))

    def look(api: Api) -> None:
        number = next(looks)
        if number == 1:
            api.pods = [pod("net-0", 0, "Running", RUNS), pod("net-1", 1, "Pending")]
        if number == 2:
            api.pods[1] = pod("net-1", 1, "Running", RUNS)
        if number == 4:
            api.runs = [run("net-x7k2p", **ended("Complete"))]

    api.runs, api.on_look = [run("net-x7k2p")], look
    api.logs = {f"net-{i}": f"{STAMP.format(i)} step {i}\n" for i in (0, 1)}
    done = follow()
    assert done.exit_code == 0
    # Two logs are read at a time, so either may be shown first.
    assert sorted(re.findall(r"net-\d/worker +step \d", done.stdout)) == [
        f"net-{i}/worker".ljust(44) + f"  step {i}" for i in (0, 1)
    ]
    assert done.stderr.splitlines() == [
        "net-x7k2p starting: 0 of 2 workers run",
        "net-x7k2p starting: 1 of 2 workers run",
        "net-x7k2p running: 2 of 2 workers run",
        "net-x7k2p succeeded",
    ]


def failed(api: Api, *pods: Object, reason: str = "BackoffLimitExceeded") -> Result:
    api.runs, api.pods = [run("net-x7k2p", **ended("Failed", reason, "why"))], [*pods]
    return follow()


def test_the_exit_status_is_that_of_the_worker_that_failed_first(api: Api) -> None:
    done = failed(
        api,
        pod("net-0", 0, "Failed", exited(1, 5)),
        pod("net-1", 1, "Failed", exited(7, 3, message="a\nno such column")),
    )
    assert done.exit_code == 7
    assert "BackoffLimitExceeded: why" in done.stderr
    assert "net-1 ended with 7: no such column" in done.stderr


def test_the_sidecar_does_not_say_who_failed_first(api: Api) -> None:
    done = failed(
        api,
        pod("net-0", 0, "Failed", exited(7, 3)),
        pod(
            "net-1",
            1,
            "Failed",
            exited(9, 5),
            initContainerStatuses=[{"name": "gang", "state": exited(137, 1)}],
        ),
    )
    assert done.exit_code == 7
    assert "137" not in done.stderr


def test_what_was_replaced_says_nothing_of_the_end(api: Api) -> None:
    done = failed(
        api,
        pod("net-0", 0, "Failed", exited(9, 1)),
        pod("net-5", 0, "Failed", exited(3, 6)),
    )
    assert done.exit_code == 3
    assert "ended with 9" not in done.stderr


@pytest.mark.parametrize(
    ("reason", "pods", "status"),
    [
        ("DeadlineExceeded", [pod("net-0", 0, "Failed", exited(143))], 124),
        ("BackoffLimitExceeded", [], 1),
    ],
)
def test_ends_without_a_status_of_a_program_have_one(
    api: Api, reason: str, pods: list[Object], status: int
) -> None:
    assert failed(api, *pods, reason=reason).exit_code == status


def test_memory_is_named_as_the_cause(api: Api) -> None:
    done = failed(api, pod("net-0", 0, "Failed", exited(137, reason="OOMKilled")))
    assert done.exit_code == 137
    assert "ran out of memory; raise resources.memory_limit_mib" in done.stderr


def test_half_a_gang_is_named_as_the_cause(api: Api) -> None:
    waited = exited(75, message="after 90 s these do not run: net-x7k2p-1.net\n")
    done = failed(
        api,
        pod(
            "net-0",
            0,
            "Failed",
            initContainerStatuses=[
                {"name": "gang", "state": exited(137)},
                {"name": "gang-wait", "state": waited},
            ],
        ),
        reason="PodFailurePolicy",
    )
    assert done.exit_code == 75
    assert "not whole in time: after 90 s these do not run: net-x7k2p-1.net" in (
        done.stderr
    )


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (
            pod(
                "net-1",
                1,
                "Pending",
                conditions=[
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "message": "0/2 nodes are available: 2 Insufficient cpu.",
                    }
                ],
            ),
            "net-1 is not placed: 0/2 nodes are available: 2 Insufficient cpu.",
        ),
        (
            pod(
                "net-1",
                1,
                "Pending",
                {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
            ),
            "net-1 waits: ErrImagePull: not found",
        ),
        (
            pod(
                "net-1",
                1,
                "Failed",
                reason="Evicted",
                message='Usage of EmptyDir volume "tmp" exceeds the limit "64Mi".',
            ),
            'net-1 failed: Evicted: Usage of EmptyDir volume "tmp" exceeds the limit',
        ),
    ],
)
def test_what_keeps_a_worker_from_running_is_reported(
    api: Api, one: Object, said: str
) -> None:
    def look(api: Api) -> None:
        if len(looks) == 2:
            api.runs = [run("net-x7k2p", **ended("Complete"))]
        looks.append(1)

    looks: list[int] = []
    api.runs, api.pods, api.on_look = [run("net-x7k2p")], [one], look
    assert said in follow().stderr


def test_a_run_in_a_queue_waits(api: Api) -> None:
    def look(api: Api) -> None:
        if len(looks) == 2:
            api.runs = [run("net-x7k2p", **ended("Complete"))]
        looks.append(1)

    looks: list[int] = []
    api.runs, api.on_look = [run("net-x7k2p")], look
    api.runs[0]["spec"]["suspend"] = True
    assert "net-x7k2p waiting\n  its queue has not admitted it" in follow().stderr


def test_an_api_server_that_is_away_for_a_moment_is_waited_for(api: Api) -> None:
    api.runs, api.broken = [run("net-x7k2p", **ended("Complete"))], 3
    assert follow().exit_code == 0


def test_an_api_server_that_stays_away_ends_the_following(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "SILENCE_SECONDS", 0.05)
    api.broken = 10_000
    done = follow()
    assert done.exit_code == 1
    assert "not now" in done.output


def test_who_interrupts_leaves_the_run_and_is_told_how_to_come_back(api: Api) -> None:
    def interrupt(_: Api) -> None:
        raise KeyboardInterrupt

    api.runs, api.on_look = [run("net-x7k2p")], interrupt
    done = follow("--stack", "jobs.mine")
    assert done.exit_code == 130
    assert "net-x7k2p goes on" in done.stderr
    assert "slipway jobs follow net-x7k2p --stack jobs.mine" in done.stderr
    assert api.deleted == []


@dataclass
class SlowLog(httpx.SyncByteStream):
    """Five lines with a pause before each, and an end that may not come."""

    pause: float = 0.0
    end: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[bytes]:
        for number in range(5):
            time.sleep(self.pause)
            yield f"{STAMP.format(number)} step {number}\n".encode()
        self.end.wait(30)


@pytest.fixture
def log(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowLog]:
    """Of every container; its next line is waited for 1.5 s."""
    made, answer = SlowLog(), api.answer

    def slowly(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/log"):
            return httpx.Response(200, stream=made)
        return answer(request)

    monkeypatch.setattr(api, "answer", slowly)
    monkeypatch.setattr(following, "REST_SECONDS", 1.5)
    yield made
    made.end.set()


def test_the_rest_of_the_logs_may_take_its_time(api: Api, log: SlowLog) -> None:
    log.pause = 0.4  # 2 s in all
    log.end.set()
    done = failed(api, pod("net-0", 0, "Failed", exited(1)))
    assert re.findall(r"step (\d)", done.stdout) == list("01234")
    assert "may be missing" not in done.stderr


@pytest.mark.usefixtures("log")
def test_logs_that_are_cut_are_reported(api: Api) -> None:
    done = failed(api, pod("net-0", 0, "Failed", exited(1)))
    assert re.findall(r"step (\d)", done.stdout) == list("01234")
    assert "the last lines may be missing of: net-0/worker" in done.stderr


def test_nothing_that_a_pod_wrote_moves_the_cursor(api: Api) -> None:
    api.logs = {"net-0": f"{STAMP.format(1)} \x1b[2Jgone\n"}
    done = failed(api, pod("net-0", 0, "Failed", exited(1, message="\x1b[31mred")))
    assert "\x1b" not in done.output
    assert "\\u001b[2Jgone" in done.stdout


def test_only_the_first_workers_of_a_large_gang_are_followed(api: Api) -> None:
    most = following.MOST_WORKERS
    api.logs = {f"net-{i}": f"{STAMP.format(1)} a\n" for i in (0, most)}
    done = failed(
        api,
        pod("net-0", 0, "Failed", exited(1)),
        pod(f"net-{most}", most, "Failed", exited(1)),
    )
    assert "net-0/worker" in done.stdout
    assert f"net-{most}/worker" not in done.stdout
