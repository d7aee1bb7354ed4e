"""The monitor of models whose logs are sent to a bucket: what it reads and may call."""

from __future__ import annotations

import json
from pathlib import Path

from model_monitor import config

from tests.support import rendered as r
from tests.unit.test_model_monitor import of_monitor


def test_the_monitor_reads_the_buckets_that_logs_are_sent_to(tmp_path: Path) -> None:
    of_bucket = {**r.EMPLOYMENT, "prediction_log": {"sink": "s3://logs/models"}}
    made = r.models(
        models={
            "employment": {**of_bucket, "monitor": {}},
            "employment-b": {
                **of_bucket,
                "model": "employment",
                "route": {"prefix": "/b/v1"},
            },
            # Nobody watches what this one sends elsewhere.
            "other": {
                **r.EMPLOYMENT,
                "prediction_log": {"sink": "s3://elsewhere"},
                "route": {"prefix": "/other/v1"},
            },
        }
    )
    file = tmp_path / "config.json"
    file.write_text(of_monitor(made, "ConfigMap")["data"]["config.json"])
    assert [str(it) for it in config.read(file).buckets] == ["s3://logs/models/"]
    egress = of_monitor(made, "NetworkPolicy")["spec"]["egress"]
    blocks = [
        (rule["to"][0]["ipBlock"]["cidr"], [port["port"] for port in rule["ports"]])
        for rule in egress
        if "ipBlock" in rule["to"][0]
    ]
    assert blocks == [("0.0.0.0/0", [443]), ("169.254.170.23/32", [80])]


def test_without_a_bucket_the_monitor_calls_nobody_outside() -> None:
    sent = {"prediction_log": {"sink": "monitor"}, "monitor": {}}
    made = r.models(models={"employment": {**r.EMPLOYMENT, **sent}})
    (dns,) = of_monitor(made, "NetworkPolicy")["spec"]["egress"]
    assert {port["port"] for port in dns["ports"]} == {53, 1053, 5353}
    text = of_monitor(made, "ConfigMap")["data"]["config.json"]
    assert "buckets" not in json.loads(text)
