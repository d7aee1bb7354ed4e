"""Spark jobs keep the rules of production, and so do the pods that a driver makes."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from components.security.rules import load
from components.training import spark_properties
from slipway.policy import check, objects
from slipway.policy.evaluation import Evaluator
from slipway.rendering.render import Rendered, render
from tests.support.rendered import IMAGES, manifest

LOGS = {"claim": "logs", "many_nodes": True}
JOB: dict[str, Any] = {
    "image": "spark",
    "main": "/app/counts.py",
    "storage": LOGS,
    "event_log": {**LOGS, "path": "events"},
    "history_server": True,
    "decommission_seconds": 60,
}
CONFIG = {"cluster": {"kubeconfig": "lab"}, "spark": {"counts": JOB}}


@pytest.fixture(scope="module")
def made() -> Rendered:
    return render("jobs.test", config=CONFIG, images=IMAGES)


def broken(judged: list[objects.Judged]) -> list[str]:
    found = check.findings(
        Evaluator(load()),
        judged,
        environment="test",
        production=True,
        settings=CONFIG,
        today=date(2026, 11, 30),
    )
    return [f"{rule.id}: {one.name}: {wrong}" for rule, one, wrong, _ in found]


def test_no_object_breaks_a_rule(made: Rendered) -> None:
    assert broken(objects.of_rendered(made)) == []


def test_no_executor_breaks_a_rule(made: Rendered) -> None:
    """As the pods of a CronJob, with what Spark adds to the template."""
    data = manifest(made, "ConfigMap")["data"]
    template = json.loads(data[spark_properties.TEMPLATE])
    (container,) = template["spec"]["containers"]
    container["image"] = IMAGES["spark"]
    amounts = {"cpu": "1", "memory": "1536Mi"}
    for which in ("requests", "limits"):
        container["resources"][which] |= amounts
    job = manifest(made, "CronJob")
    job["metadata"]["name"] = "executors"
    job["spec"]["jobTemplate"]["spec"]["template"] = template
    assert broken([objects.alone(job)]) == []
    container["securityContext"]["readOnlyRootFilesystem"] = False
    assert broken([objects.alone(job)]) != []
