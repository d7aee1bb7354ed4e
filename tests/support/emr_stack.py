"""Settings of a stack with EMR Serverless and nothing else."""

from __future__ import annotations

from typing import Any

ACCOUNT, REGION = "111122223333", "eu-central-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/analytics/counts@sha256:{'0' * 64}"
SETTINGS: dict[str, Any] = {
    "account": {"id": ACCOUNT, "region": REGION},
    "emr": {
        "name": "analytics",
        "release": "emr-7.13.0",
        "maximum_capacity": {"vcpus": 64, "memory_gib": 256, "disk_gib": 400},
        "logs": {"retention_days": 30},
        "jobs": {
            "counts": {
                "main": "s3://example-programs/counts.py",
                "arguments": ["--days", "31 of them"],
                "executors": {"instances": 2, "max_instances": 8},
                "reads": ["s3://example-log/predictions"],
                "writes": ["s3://example-log/counts"],
                "keys": [KEY],
                "properties": {"spark.sql.shuffle.partitions": "8"},
            },
            "words": {"main": "s3://example-programs/words.py", "retries": 2},
        },
    },
}
"""Two jobs, one with all that a job may have."""
WHOLE: dict[str, Any] = {
    **SETTINGS,
    "emr": {
        **SETTINGS["emr"],
        "architecture": "x86_64",
        "image": IMAGE,
        "idle_minutes": 5,
        "initial_capacity": {
            "drivers": {"vcpus": 2, "memory_gib": 4},
            "executors": {"instances": 3},
        },
        "network": {
            "subnets": ["subnet-0123456789abcdef0"],
            "security_groups": ["sg-0123456789abcdef0"],
        },
        "jobs": {
            "counts": {
                "main": "/app/counts.jar",
                "main_class": "org.example.Counts",
                "reads": ["s3://example-data"],
            }
        },
    },
}
"""All that an application may have."""
