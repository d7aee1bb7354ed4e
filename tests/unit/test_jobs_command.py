"""`slipway run` and `slipway jobs`: what they ask of a cluster, and what they say."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from slipway.jobs import command, run_command
from slipway.jobs.runs import RunError
from tests.support.job_runs import (
    BATCH,
    CORE,
    STAMP,
    Api,
    Object,
    ended,
    labels,
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


def refused(*words: str) -> str:
    with pytest.raises(RunError) as caught:
        slipway(run_command.command, *words)
    return str(caught.value)


# Starting


def test_a_run_is_made_of_the_template_and_goes_with_it(api: Api) -> None:
    done = slipway(run_command.command, "net")
    assert done.exit_code == 0, done.output
    (made,) = api.made
    name = made["metadata"]["name"]
    assert re.fullmatch(r"net-[a-z0-9]{5}", name)
    assert made["metadata"]["labels"] == labels("net")
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("CronJob", "net", "u-1")
    assert made["spec"] == {"completions": 2, "template": {}}
    assert f"slipway jobs follow {name} --stack jobs.lab" in done.stderr
    assert "note:" not in done.stderr


def test_a_job_that_is_not_there_yet_needs_up(api: Api) -> None:
    assert "slipway up jobs.lab" in refused("other")
    assert api.made == []


def test_a_job_of_no_stack_is_named_with_those_that_are(api: Api) -> None:
    done = slipway(run_command.command, "nett")
    assert done.exit_code == 1
    assert "jobs.lab has no job nett; it has: net, other" in done.output


def test_one_run_of_a_job_at_a_time(api: Api) -> None:
    api.runs = [run("net-old", **ended("Complete")), run("net-now"), run("other-now")]
    said = refused("net")
    assert "net-now of this job goes on" in said
    assert "slipway jobs stop net-now" in said
    assert "other-now" not in said
    assert "net-old" not in said
    assert api.made == []


def test_a_run_that_is_being_deleted_is_waited_for(api: Api) -> None:
    api.runs = [run("net-now")]
    api.runs[0]["metadata"]["deletionTimestamp"] = STAMP.format(30)
    said = refused("net")
    assert "net-now of this job is being deleted" in said
    assert "jobs stop" not in said
    assert api.made == []


def beside(api: Api, other: int, **status: Any) -> None:
    """Another run is made at this second while ours is, at second 10."""

    def make(api: Api) -> None:
        name = api.made[-1]["metadata"]["name"]
        api.runs = [run("net-other", second=other, **status), run(name, second=10)]

    api.on_make = make


@pytest.mark.parametrize("other", [9, 10])
def test_of_two_runs_that_start_at_once_the_later_is_deleted(
    api: Api, other: int
) -> None:
    """Of one second, nobody knows which was first: each of them is deleted."""
    beside(api, other)
    assert "net-other of this job goes on" in refused("net")
    (ours,) = api.made
    assert api.deleted == [f"{BATCH}/jobs/{ours['metadata']['name']}"]


@pytest.mark.parametrize(("other", "status"), [(11, {}), (9, ended("Complete"))])
def test_the_first_of_two_runs_stays(api: Api, other: int, status: Object) -> None:
    beside(api, other, **status)
    assert slipway(run_command.command, "net").exit_code == 0
    assert api.deleted == []


def test_settings_that_up_has_not_seen_are_reported(api: Api, settings: Object) -> None:
    settings["training"]["net"]["stop_seconds"] = 77
    done = slipway(run_command.command, "net")
    assert "have changed since the last `slipway up`" in done.stderr
    assert len(api.made) == 1


def test_keras_3_is_reported(api: Api, settings: Object) -> None:
    settings["training"]["net"]["framework"] = "tensorflow"
    assert "tf_keras" in slipway(run_command.command, "net").stderr


# What the cluster lacks


def test_a_cluster_without_gang_scheduling_is_reported(
    api: Api, settings: Object
) -> None:
    settings["training"]["net"]["gang"] = "native"
    assert "scheduling.k8s.io/v1alpha2" in refused("net")
    api.objects["/apis/scheduling.k8s.io/v1alpha2"] = {
        "resources": [{"kind": "PodGroup", "name": "podgroups", "namespaced": True}]
    }
    assert slipway(run_command.command, "net").exit_code == 0


def test_a_queue_is_looked_for(api: Api, settings: Object) -> None:
    settings["training"]["net"] |= {"gang": "kueue", "queue": "team-a"}
    assert "needs Kueue" in refused("net")
    api.objects["/apis/kueue.x-k8s.io"] = {"preferredVersion": {"version": "v1beta2"}}
    queues = "/apis/kueue.x-k8s.io/v1beta2/namespaces/models/localqueues"
    api.objects[queues] = {"items": [{"metadata": {"name": "team-b"}}]}
    assert "no LocalQueue team-a in models; known: team-b" in refused("net")
    api.objects[f"{queues}/team-a"] = {"metadata": {"name": "team-a"}}
    assert slipway(run_command.command, "net").exit_code == 0


def test_claims_are_looked_at(api: Api, settings: Object) -> None:
    place = {"claim": "ckpt", "many_nodes": True}
    settings["training"]["net"]["checkpoint"] = place
    path = f"{CORE}/persistentvolumeclaims/ckpt"
    assert "there is no claim ckpt in models" in refused("net")
    api.objects[path] = {"spec": {"accessModes": ["ReadWriteOnce"]}, "status": {}}
    assert "only one node can mount ckpt (ReadWriteOnce)" in refused("net")
    many = {"accessModes": ["ReadWriteMany"]}
    api.objects[path] = {"spec": many, "status": {"phase": "Lost"}}
    assert "phase Lost" in refused("net")
    api.objects[path] = {"spec": many, "status": {"phase": "Pending"}}
    assert slipway(run_command.command, "net").exit_code == 0


def test_all_that_is_missing_is_reported_together(api: Api, settings: Object) -> None:
    place = {"claim": "ckpt", "many_nodes": True}
    settings["training"]["net"] |= {"gang": "native", "checkpoint": place}
    api.runs = [run("net-now")]
    assert len(refused("net").splitlines()) == 4


# Listing and stopping


def test_jobs_and_their_runs_are_listed(api: Api) -> None:
    api.runs = [
        run("net-b", second=30, **ended("Failed", "DeadlineExceeded")),
        run("net-a", second=10, **ended("Complete"), completionTime=STAMP.format(25)),
        run("gone-a"),
    ]
    done = slipway(command.command, "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["run"], one["state"], one["seconds"]) for one in found] == [
        ("net-a", "succeeded", 15),
        ("net-b", "failed", 29),
        ("", "has not run", None),
    ]
    table = slipway(command.command)
    assert table.exit_code == 0
    assert "net-a" in table.stdout


def test_a_stack_that_would_be_lost_is_refused(api: Api) -> None:
    done = slipway(command.command, "--stack", "jobs.mine", "stop", "net-now")
    assert done.exit_code == 2
    assert "give --stack after stop" in done.output
    assert api.deleted == []


def test_a_run_is_stopped_and_stays_until_its_pods_are_gone(api: Api) -> None:
    api.runs = [run("net-now")]
    assert slipway(command.command, "stop", "net-now").exit_code == 0
    assert api.deleted == [f"{BATCH}/jobs/net-now"]
    assert api.options == [{"propagationPolicy": "Foreground"}]


def test_no_run_is_stopped_for_another(api: Api) -> None:
    with pytest.raises(RunError, match="there is no run net-gone"):
        slipway(command.command, "stop", "net-gone")
    assert api.deleted == []
