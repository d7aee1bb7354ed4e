"""`retry_with`: a run that ended for its memory is followed by one with more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from slipway.jobs import run_command, showing
from tests.support.job_runs import (
    BATCH,
    Api,
    Object,
    ended,
    exited,
    labels,
    pod,
    slipway,
    with_api,
    with_settings,
)

RETRY = {"most_memory_mib": 1100, "memory_factor": 1.5}
SPEC = {
    "completions": 2,
    "template": {
        "spec": {
            "initContainers": [
                {"name": "gang", "resources": {"limits": {"memory": "64Mi"}}}
            ],
            "containers": [
                {
                    "name": "worker",
                    "resources": {
                        "limits": {"memory": "512Mi", "cpu": "1"},
                        "requests": {"memory": "256Mi", "cpu": "250m"},
                    },
                }
            ],
        }
    },
}
KILLED = exited(137, reason="OOMKilled")
Ends = Callable[..., None]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Object:
    found = with_settings(monkeypatch)
    found["training"]["net"]["retry_with"] = RETRY
    return found


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, settings: Object) -> Api:
    found = with_api(monkeypatch, settings)
    found.objects[f"{BATCH}/cronjobs/net"]["spec"]["jobTemplate"]["spec"] = SPEC
    return found


@pytest.fixture
def ends(api: Api) -> Ends:
    """Runs end one after the other with these pods; all further ones as the last."""

    def use(*outcomes: tuple[str, Object]) -> None:
        left = list(outcomes)

        def make(api: Api) -> None:
            made = api.made[-1]
            kind, worker = left.pop(0) if len(left) > 1 else left[0]
            meta = {**made["metadata"], "creationTimestamp": "2026-11-29T10:00:00Z"}
            status = ended(kind, "PodFailurePolicy", "why")
            api.runs = [{"metadata": meta, "spec": made["spec"], "status": status}]
            phase = "Succeeded" if kind == "Complete" else "Failed"
            api.pods = [pod("net-0", 0, phase, worker)]

        api.on_make = make

    return use


def memory(api: Api) -> list[tuple[str, str]]:
    """Limit and request of each run that was made."""
    found = []
    for made in api.made:
        (worker,) = made["spec"]["template"]["spec"]["containers"]
        resources = worker["resources"]
        found.append((resources["limits"]["memory"], resources["requests"]["memory"]))
    return found


def start(*words: str) -> Result:
    return slipway(run_command.command, "net", *words)


def test_a_run_with_more_memory_follows(api: Api, ends: Ends) -> None:
    ends(("Failed", KILLED), ("Complete", exited(0)))
    done = start("--wait")
    assert done.exit_code == 0, done.output
    assert memory(api) == [("512Mi", "256Mi"), ("768Mi", "384Mi")]
    first, second = (made["metadata"]["name"] for made in api.made)
    assert first != second
    assert f"{first} ran out of memory (retry_with)" in done.stderr
    assert "the next run has 768 MiB for each worker" in done.stderr
    # Nothing else of the template has changed, nor the template itself.
    made = api.made[-1]["spec"]["template"]["spec"]
    assert made["initContainers"] == SPEC["template"]["spec"]["initContainers"]
    assert made["containers"][0]["resources"]["limits"]["cpu"] == "1"
    assert api.made[0]["spec"] == SPEC
    assert api.made[-1]["metadata"]["labels"] == labels("net")


def test_the_last_run_has_the_most(api: Api, ends: Ends) -> None:
    ends(("Failed", KILLED))
    done = start("--wait")
    assert done.exit_code == 137
    assert [limit for limit, _ in memory(api)] == ["512Mi", "768Mi", "1100Mi"]
    assert "it ran out of memory; raise resources.memory_limit_mib" in done.stderr


@pytest.mark.parametrize(
    ("kind", "worker", "status"),
    [
        ("Failed", exited(137, reason="Error"), 137),
        ("Failed", exited(3), 3),
        ("Complete", exited(0), 0),
        # A worker that was replaced in time: the run has what it needs.
        ("Complete", KILLED, 0),
    ],
)
def test_other_ends_are_not_retried(
    api: Api, ends: Ends, kind: str, worker: Object, status: int
) -> None:
    ends((kind, worker))
    assert start("--wait").exit_code == status
    assert len(api.made) == 1


def test_without_the_setting_nothing_is_retried(
    api: Api, ends: Ends, settings: Object
) -> None:
    del settings["training"]["net"]["retry_with"]
    ends(("Failed", KILLED))
    assert start("--wait").exit_code == 137
    assert len(api.made) == 1


def test_without_waiting_nobody_starts_the_next_run(api: Api, ends: Ends) -> None:
    ends(("Failed", KILLED))
    done = start()
    assert done.exit_code == 0
    assert len(api.made) == 1
    assert "note: retry_with needs --wait" in done.stderr


def test_memory_of_others_does_not_count(api: Api, ends: Ends) -> None:
    """A sidecar that ran out of memory has nothing to do with the worker's."""
    ends(("Failed", exited(1)))
    made = api.on_make

    def with_sidecar(api: Api) -> None:
        made(api)
        statuses: list[dict[str, Any]] = api.pods[0]["status"]["containerStatuses"]
        statuses.append({"name": "other", "state": KILLED})

    api.on_make = with_sidecar
    start("--wait")
    assert len(api.made) == 1


def test_who_interrupts_starts_no_other_run(
    monkeypatch: pytest.MonkeyPatch, api: Api, ends: Ends
) -> None:
    """The run may have ended for its memory in the same moment."""
    ends(("Failed", KILLED))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(showing, "_show", interrupt)
    done = start("--wait")
    assert done.exit_code == 130
    assert len(api.made) == 1


def test_a_run_that_cannot_be_asked_about_keeps_its_status(
    api: Api, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(("Failed", KILLED))
    followed = showing.follow

    def follow(*words: Any) -> int:
        status = followed(*words)
        api.broken = 1000
        return status

    monkeypatch.setattr(showing, "follow", follow)
    done = start("--wait")
    assert done.exit_code == 137
    assert len(api.made) == 1
    assert "no run with more memory was started: " in done.stderr
    assert "not now" in done.stderr
