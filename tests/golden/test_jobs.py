"""What jobs are made of, by framework and gang, compared with the files in jobs/.

SLIPWAY_RENEW_GOLDEN=1 .venv/bin/python -m pytest tests/golden/test_jobs.py
git diff tests/golden/jobs
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway.rendering.render import render
from tests.support import golden_file, schemas
from tests.support.rendered import IMAGES

FOLDER = Path(__file__).with_name("jobs")
SHARED = {"claim": "shared", "size_gib": 5, "many_nodes": True}
GANG: dict[str, Any] = {"image": "model-server", "command": ["python3", "-m", "net"]}
JOBS: dict[str, dict[str, Any]] = {
    "one-worker": {**GANG, "schedule": "15 2 * * *"},
    "command": {
        **GANG,
        "nodes": 2,
        "checkpoint": SHARED,
        "result": {**SHARED, "path": "models/net"},
        "data": {"image": "employment"},
        "restarts": {"gang_restarts": 2},
        "environment": {"EPOCHS": "3", "PRICE": "$(5)"},
        "secrets": {"tokens": {"variables": {"TOKEN": "token"}}},
    },
    "preemptible": {
        **GANG,
        "accelerator": {"pool": "l40s", "instance_types": ["g6e.2xlarge"]},
        "checkpoint": {"bucket": "s3://example/net"},
        "preemptible": True,
    },
    "torch": {
        **GANG,
        "framework": "torch",
        "nodes": 2,
        "gang": "native",
        "checkpoint": {"bucket": "s3://example/net"},
        "restarts": {"worker_restarts": 10, "gang_restarts": 2},
    },
    "torch-gpu": {
        **GANG,
        "framework": "torch",
        "nodes": 2,
        "accelerator": {
            "instance_types": ["p5.48xlarge"],
            "worker_gpus": 8,
            "efa": True,
        },
        "service_account": {"pod_identity": True},
    },
    "tensorflow": {**GANG, "framework": "tensorflow", "nodes": 2},
    "jax": {**GANG, "framework": "jax", "nodes": 2, "gang": "kueue", "queue": "team-a"},
}
LOGS = {"claim": "logs", "size_gib": 5, "many_nodes": True}
SPARK: dict[str, dict[str, Any]] = {
    "spark": {
        "image": "spark",
        "main": "/app/net.py",
        "arguments": ["--price", "$(5)"],
    },
    "spark-scheduled": {
        "image": "spark",
        "main": "/app/net.jar",
        "main_class": "org.example.Net",
        "executors": {"max_instances": 8, "pool": "elastic"},
        "storage": LOGS,
        "data": {"image": "employment"},
        "event_log": {**LOGS, "path": "events"},
        "history_server": True,
        "decommission_seconds": 60,
        "retries": 2,
        "schedule": "15 2 * * *",
        "properties": {"spark.sql.shuffle.partitions": "8"},
        "environment": {"PRICE": "$(5)"},
    },
    "spark-bucket": {
        "image": "spark",
        "main": "/app/net.py",
        "storage": {"bucket": "s3://example/net"},
        "event_log": {"bucket": "s3://example/events"},
        "service_account": {"pod_identity": True},
    },
}
HDFS: dict[str, dict[str, Any]] = {
    "hdfs": {
        "hdfs": {
            "storage_class": "local",
            "data_node": {"size_gib": 500, "memory_mib": 2048},
            "node_selector": {"disk": "large"},
            "tolerations": [{"key": "storage", "effect": "NoSchedule"}],
        },
        "spark": {"net": {"image": "spark", "main": "/app/net.py", "hdfs": True}},
    },
    "hdfs-temporary": {"hdfs": {"data_nodes": 1, "temporary": True}},
}
ALL = [*JOBS, *SPARK, *HDFS]


def text(job: str) -> str:
    kind = {"spark": {"net": SPARK[job]}} if job in SPARK else HDFS.get(job)
    jobs = kind or {"training": {"net": JOBS[job]}}
    config = {"cluster": {"kubeconfig": "lab"}, **jobs}
    found = render("jobs.test", config=config, images=IMAGES).manifests
    return yaml.safe_dump_all(found, sort_keys=True, width=88)


@pytest.mark.parametrize("job", ALL)
def test_a_job_is_made_of_what_was_read_last(job: str) -> None:
    golden_file.assert_as_read(FOLDER / f"{job}.yaml", text(job))


@pytest.mark.parametrize("job", ALL)
def test_its_objects_are_valid(job: str) -> None:
    for one in yaml.safe_load_all(text(job)):
        assert schemas.problems(one) == [], one["kind"]


def test_no_file_is_left_over() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(ALL)
