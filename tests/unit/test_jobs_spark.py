"""`slipway run` and `slipway jobs` with Spark jobs, whose only worker is the driver."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.training.settings import JobsSettings
from slipway.jobs import command, run_command, state
from slipway.jobs.runs import RunError
from tests.support.job_runs import (
    BATCH,
    CORE,
    IMAGE,
    RUNS,
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

JOB: Object = {"image": IMAGE, "main": "/app/counts.py"}


def spark(name: str, **status: Any) -> Object:
    """A run of a Spark job."""
    found = run(name, **status)
    found["metadata"]["labels"]["app.kubernetes.io/name"] = "spark-job"
    return found


def of_driver(phase: str, *states: Object) -> Object:
    found = pod("counts-a-1", 0, phase, *states)
    for one in found["status"]["containerStatuses"]:
        one["name"] = "driver"
    return found


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Object:
    found = with_settings(monkeypatch)
    found["spark"] = {"counts": dict(JOB)}
    return found


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, settings: Object) -> Api:
    made = with_api(monkeypatch, settings)
    template = json.loads(json.dumps(made.objects[f"{BATCH}/cronjobs/net"]))
    digest = JobsSettings.model_validate(settings).spark["counts"].digest
    template["metadata"] |= {
        "name": "counts",
        "annotations": {"slipway.dev/settings": digest},
    }
    made.objects[f"{BATCH}/cronjobs/counts"] = template
    return made


def test_a_run_is_made_and_its_settings_are_compared(
    api: Api, settings: Object
) -> None:
    done = slipway(run_command.command, "counts")
    assert done.exit_code == 0, done.output
    assert len(api.made) == 1
    assert "note:" not in done.stderr
    settings["spark"]["counts"]["arguments"] = ["--more"]
    again = slipway(run_command.command, "counts")
    assert "have changed since the last `slipway up`" in again.stderr


def test_an_unknown_job_is_answered_with_all_kinds(api: Api) -> None:
    done = slipway(run_command.command, "nothing")
    assert done.exit_code
    assert "it has: net, other, counts" in done.output
    assert not api.made


def test_a_claim_of_one_node_is_not_enough(api: Api, settings: Object) -> None:
    settings["spark"]["counts"]["storage"] = {"claim": "logs", "many_nodes": True}
    path = f"{CORE}/persistentvolumeclaims/logs"
    api.objects[path] = {"spec": {"accessModes": ["ReadWriteOnce"]}, "status": {}}
    with pytest.raises(RunError, match="pods of a driver and executors: give a claim"):
        slipway(run_command.command, "counts")
    settings["spark"]["counts"]["storage"] = None
    settings["spark"]["counts"]["event_log"] = {"claim": "logs"}
    assert slipway(run_command.command, "counts").exit_code == 0


def test_runs_of_both_kinds_are_listed(api: Api) -> None:
    api.runs = [spark("counts-a", **ended("Complete")), run("net-a")]
    done = slipway(command.command, "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["job"], one["run"]) for one in found] == [
        ("net", "net-a"),
        ("other", ""),
        ("counts", "counts-a"),
    ]


def test_the_state_is_that_of_the_driver() -> None:
    going = spark("counts-a")
    assert state.of(going, []).word == "starting: the driver"
    assert state.of(going, [of_driver("Running", RUNS)]).word == "running: the driver"


def test_a_driver_without_memory_is_told_of_its_setting() -> None:
    lost = of_driver("Failed", exited(137, reason="OOMKilled"))
    found = state.of(spark("counts-a", **ended("Failed", "BackoffLimit")), [lost])
    assert found.exit_status == 137
    assert "raise driver.memory_mib" in found.text
