"""Rules and dashboards name metrics that programs have: contracts/*_metrics.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from slipway.rendering.render import render
from tests.support import rendered as r
from tests.support.contracts import FOLDER, contract

OURS = re.compile(r"(?<![\w:\"])(?:model|prediction_log|waker|log_shipper|monitor)_\w+")
SLEEPS = {"scaling": {"idle": {"wake_seconds": 8}}}


def metrics() -> dict[str, str]:
    """Kind of each metric of our programs, by its name."""
    return {
        name: metric["kind"]
        for file in FOLDER.glob("*_metrics.yaml")
        for name, metric in contract(file.stem)["metrics"].items()
    }


def series() -> set[str]:
    """Names of the series that Prometheus gets of them."""
    endings = ("_bucket", "_sum", "_count")
    return {
        f"{name}{ending}"
        for name, kind in metrics().items()
        for ending in (endings if kind == "histogram" else ("",))
    }


def expressions(value: Any) -> Iterator[str]:
    """Every PromQL expression of a file of rules or of a dashboard."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("expr", "query") and isinstance(inner, str):
                yield inner
            else:
                yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)


def recorded(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "record" in value:
            yield value["record"]
        for inner in value.values():
            yield from recorded(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from recorded(inner)


@pytest.fixture(scope="module")
def files() -> list[Any]:
    """Content of all ConfigMaps with rules or dashboards, and of ScaledObjects."""
    manifests = [
        *render("platform.lab", images=r.IMAGES).manifests,
        *render("models.lab", images=r.IMAGES).manifests,
        *r.models(models={"a": {**r.EMPLOYMENT, **SLEEPS}}).manifests,
    ]
    found = [it["spec"] for it in manifests if it["kind"] == "ScaledObject"]
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap":
            for name, text in manifest["data"].items():
                if name.endswith((".yaml", ".yml")):
                    found.append(yaml.safe_load(text))
                elif name.endswith(".json"):
                    found.append(json.loads(text))
    return found


def test_rules_dashboards_and_autoscaling_name_metrics_of_the_contracts(
    files: list[Any],
) -> None:
    """A query of a metric that nobody has finds nothing, which looks like peace."""
    named = {name for it in expressions(files) for name in OURS.findall(it)}
    assert {"model_requests_total", "waker_asleep", "model_drift_detected"} <= named
    assert named <= series() | set(recorded(files))
