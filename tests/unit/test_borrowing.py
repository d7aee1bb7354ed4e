"""Rollouts that take GPUs of training jobs: which jobs, and whether they are enough."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from components import yaml_text
from components.delivery.pool_job import PoolJob
from components.serving.args import borrowing
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.settings.resource_settings import Resources
from components.settings import Problem, SettingsError
from components.training import pool_jobs
from slipway.preview import evictions
from slipway.preview.report import Eviction
from slipway.rendering.render import Rendered
from stacks import config
from tests.support import rendered as r
from tests.unit.test_gpu_rollout import gpu_pool, server
from toolchain import paths

STACK = "jobs.prod"
JOB = PoolJob(
    stack=STACK,
    name="tuning",
    pool="own",
    instance_types=("g6.12xlarge",),
    workers=1,
    worker_gpus=1,
    worker_cpu_millicores=10,
    worker_memory_mib=64,
    preemptible=True,
    checkpoint_seconds=600,
    stop_seconds=120,
)
STAYS = replace(JOB, name="other", preemptible=False, checkpoint_seconds=None)
PATH = "models.m.rollout.borrow.jobs"


def borrower(old: int = 2, new: int = 2, **more: Any) -> ModelServerArgs:
    return server(old, new, borrow={"jobs": {STACK: ["tuning"]}}, **more)


def told(
    *jobs: PoolJob, args: ModelServerArgs | None = None, gpus: int = 4
) -> list[Problem]:
    by_stack: dict[str, list[PoolJob]] = {STACK: []}
    for job in jobs:
        by_stack.setdefault(job.stack, []).append(job)
    models, pools = {"m": args or borrower()}, {"own": gpu_pool(gpus)}
    return list(borrowing.problems(models, pools, by_stack))


def test_jobs_that_can_lend_are_taken() -> None:
    assert told(JOB) == []
    elsewhere = replace(STAYS, pool="another", worker_gpus=4)
    assert told(JOB, elsewhere, replace(JOB, name="x", pool="another")) == []


@pytest.mark.parametrize(
    ("change", "reason", "fix"),
    [
        ({"name": "else"}, "no such training job with GPUs", "it has: else"),
        ({"pool": "another"}, "runs in the pool another", "accelerator.pool: own"),
        ({"pool": None}, "names no pool", "accelerator.pool: own"),
        (
            {"checkpoint_seconds": None, "preemptible": False},
            "it writes no checkpoint",
            "set its checkpoint and preemptible",
        ),
        ({"preemptible": False}, "would wait for its end", "preemptible: true"),
    ],
)
def test_jobs_that_cannot_lend_are_refused(
    change: dict[str, Any], reason: str, fix: str
) -> None:
    problem = told(replace(JOB, **change))[0]
    assert problem.path == f"{PATH}.{STACK}.0"
    assert problem.value == "tuning"
    assert reason in problem.reason
    assert fix in problem.fix


@pytest.mark.parametrize("stack", [STACK, "jobs.team"])
def test_every_job_that_may_be_evicted_is_named(stack: str) -> None:
    (problem,) = told(JOB, replace(JOB, stack=stack, name="more"))
    assert problem.path == PATH
    assert f"{stack}/more is preemptible and in the pool own" in problem.reason
    assert f"add more to {stack}" in problem.fix


def test_the_missing_gpus_are_counted_without_the_jobs_that_go() -> None:
    assert told(JOB, replace(STAYS, worker_gpus=1), gpus=8) == []
    (one,) = told(replace(JOB, worker_gpus=4), STAYS)
    assert one.path == PATH
    assert one.value == 2
    assert "new needs 2 GPUs at rest" in one.reason
    assert "jobs.prod/other (1 GPUs)" in one.reason
    assert "1 GPUs are missing" in one.reason
    (all_,) = told(JOB, replace(STAYS, workers=2))
    assert "2 GPUs are missing" in all_.reason


def test_a_job_may_leave_too_little_of_a_node() -> None:
    """One GPU of four is taken: of two, one replica of four fits no more."""
    args = borrower(1, 1, gpus=4)
    assert told(JOB, args=args, gpus=8) == []
    (problem,) = told(JOB, STAYS, args=args, gpus=8)
    assert "4 GPUs are missing" in problem.reason
    (more,) = told(
        JOB, replace(STAYS, worker_gpus=3), args=borrower(1, 2, gpus=2), gpus=8
    )
    assert "2 GPUs are missing" in more.reason
    wide = replace(STAYS, worker_memory_mib=65 * 1024)
    assert told(JOB, wide, args=borrower(1, 1)) != []


def test_replicas_are_counted_with_the_new_revisions_resources() -> None:
    """A worker of 60 GiB takes the place of one replica of 64 GiB, or of 240 small."""
    job = replace(STAYS, worker_memory_mib=60 * 1024)
    large = Resources(memory_request_mib=64 * 1024, memory_limit_mib=64 * 1024)
    args = borrower(1, 1)

    def with_resources(**by_revision: Resources) -> ModelServerArgs:
        revisions = {
            name: own.model_copy(update={"resources": by_revision.get(name)})
            for name, own in args.revisions.items()
        }
        return args.model_copy(update={"revisions": revisions})

    assert told(JOB, job, args=with_resources(new=large), gpus=8) == []
    (problem,) = told(JOB, job, args=with_resources(old=large), gpus=8)
    assert "1 GPUs are missing" in problem.reason


def test_jobs_of_the_pools_types_may_be_in_it() -> None:
    assert told(JOB, replace(STAYS, pool=None)) != []
    other = replace(STAYS, pool=None, instance_types=("g6e.2xlarge",))
    assert told(JOB, other) == []


def test_where_no_job_holds_the_gpus_the_pool_is_at_fault() -> None:
    """gpu_rollout says so, and how many are missing."""
    assert told(JOB, STAYS, args=borrower(4, 4)) == []


def test_jobs_are_told_as_their_stack_has_them() -> None:
    """Without its images, which who serves models may not have."""
    said = config.unchecked("jobs.gpu")["training"]
    one, two = sorted(pool_jobs.of("jobs.gpu", said, "file"), key=lambda job: job.name)
    assert (one.name, one.pool, one.gpus, one.preemptible) == (
        *("assistant-tuning", "h100", 16),
        False,
    )
    assert (two.name, two.pool, two.gpus, two.preemptible) == (
        *("reranker-tuning", "l40s", 1),
        True,
    )
    assert (two.checkpoint_seconds, two.stop_seconds) == (600, 120)
    assert two.worker_memory_mib == 32768
    said["reranker-tuning"]["retry_with"] = {"most_memory_mib": 51200}
    (_, more) = sorted(pool_jobs.of("jobs.gpu", said, "file"), key=lambda job: job.name)
    assert more.worker_memory_mib == 40960
    assert pool_jobs.of("jobs.gpu", None, "file") == ()
    with pytest.raises(SettingsError, match="file: 1 problem"):
        pool_jobs.of("jobs.gpu", ["tuning"], "file")


def rendered(**change: Any) -> Rendered:
    file = paths.ROOT / "tests/rejects/models-borrow.yaml"
    config = yaml_text.read(file.read_text(), str(file))["good"]
    config["models"]["reranker"]["rollout"].update(change)
    return r.models(**config)


def test_the_stack_says_which_jobs_may_be_evicted() -> None:
    found = rendered()
    (said,) = [it for it in found.messages if "evict" in it]
    assert "reranker: new may evict the job jobs.gpu/reranker-tuning (1 GPUs)" in said
    assert "600 s of its work may be lost" in said
    (noted,) = [
        it["metadata"]["annotations"]["slipway.dev/evictable-jobs"]
        for it in found.manifests
        if it["metadata"]["name"] == "rollout-reranker"
    ]
    assert json.loads(noted) == [
        {
            "job": "jobs.gpu/reranker-tuning",
            "gpus": 1,
            "lost_seconds": 600,
            "stop_seconds": 120,
        }
    ]


def test_borrowing_starts_no_pod_anew() -> None:
    """A class in the new revision's pods would go with `borrow`, after the rollout."""
    pods = [
        {
            it["metadata"]["name"]: it["spec"]["template"]
            for it in found.manifests
            if it["kind"] == "Deployment"
        }
        for found in (rendered(), rendered(borrow=None))
    ]
    assert {"reranker-old", "reranker-new"} <= {*pods[0]}
    assert pods[0] == pods[1]


def test_the_report_has_jobs_that_could_not_be_evicted_before() -> None:
    without, with_it = rendered(borrow=None).resources, rendered().resources
    (found,) = evictions.added("models.x", without, with_it)
    assert found == Eviction(
        *("models.x", "models/rollout-reranker", "jobs.gpu/reranker-tuning"),
        gpus=1,
        lost_seconds=600,
        stop_seconds=120,
    )
    assert list(evictions.added("models.x", (), with_it)) == [found]
    assert list(evictions.added("models.x", with_it, with_it)) == []
    assert list(evictions.added("models.x", with_it, without)) == []
