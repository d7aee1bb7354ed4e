"""Gates of pairs in a stack: what the controller and the monitor are given."""

from __future__ import annotations

import json
from typing import Any

from model_monitor import config as monitor_config
from rollout import objects
from rollout.cohorts import What

from components import naming
from components.delivery.cohort_gates import PairedScoresGate
from tests.support import rendered as r
from tests.support.routes import ROUTES, Object, named

PAIRS: dict[str, Any] = {
    "decisions": {"tolerate_points": 10},
    "scores": {"above_points": 5, "tolerate_points": 5},
    "accuracy": {"tolerate_points": 1},
    "min_paired": 0.95,
}
SHADOW = {
    "percent": 20,
    "peak_requests_per_second": 100,
    "replica_requests_per_second": 40,
}


def rendered(pairs: Any) -> dict[tuple[str, str], Object]:
    model = {
        "routes": ROUTES,
        "model": "income",
        "revisions": {
            "champion": {"model_image": "employment"},
            "challenger": {"model_image": "base", "arm": "canary"},
        },
        "prediction_log": {"sink": "monitor"},
        "monitor": {},
        "rollout": {
            "from": "champion",
            "to": "challenger",
            "shadow": SHADOW,
            "gates": {"pairs": pairs},
            "cohorts": {"labels_within_hours": 24},
        },
    }
    monitor = {"labels_secret": "labels"}
    return named(r.models(models={"employment": model}, monitor=monitor))


def test_the_controller_reads_the_gates() -> None:
    told = rendered(PAIRS)["ConfigMap", "rollout-employment"]
    settings, _ = objects.read_settings(told)
    assert settings.plain() == json.loads(told["data"]["settings.json"])
    errors, *pairs = settings.gates
    assert errors.cohorts is None
    assert [it.name for it in pairs] == [
        "pairs decisions",
        "pairs scores",
        "pairs accuracy",
    ]
    assert all(it.paired and it.cohorts for it in pairs)
    cohorts = [it.cohorts for it in pairs if it.cohorts]
    assert [it.what for it in cohorts] == [
        What.PAIRED_DECISIONS,
        What.PAIRED_SCORES,
        What.PAIRED_ACCURACY,
    ]
    assert [it.above for it in cohorts] == ["", "0.05", ""]
    assert [it.labels_seconds for it in cohorts] == [0, 0, 24 * 3600]
    assert [it.min_coverage for it in pairs] == [0.95, 0.95, 0.8]
    assert [it.min_paired for it in cohorts] == ["", "", "0.95"]
    assert [it.tolerate for it in pairs] == [0.1, 0.05, 0.01]


def test_each_cut_of_the_settings_is_one_that_the_controller_knows() -> None:
    cuts = PairedScoresGate.model_fields["above_points"].annotation.__args__  # type: ignore[union-attr]
    for cut in cuts:
        told = rendered({"scores": {"above_points": cut, "tolerate_points": 5}})
        settings, _ = objects.read_settings(told["ConfigMap", "rollout-employment"])
        assert len(settings.gates) == 2


def test_the_monitor_counts_pairs_and_the_controller_reaches_it() -> None:
    found = rendered({"decisions": {"tolerate_points": 10}})
    (file,) = [
        it["data"]["config.json"]
        for (kind, name), it in found.items()
        if kind == "ConfigMap" and name.startswith(naming.MODEL_MONITOR)
    ]
    problems: list[str] = []
    (model,) = monitor_config.parse(json.loads(file), problems).models
    assert problems == []
    assert model.intervals
    assert model.intervals.pairs
    pod = found["Deployment", naming.ROLLOUT_CONTROLLER]["spec"]["template"]["spec"]
    assert "ROLLOUT_MONITOR" in [it["name"] for it in pod["containers"][0]["env"]]
