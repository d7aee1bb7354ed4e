"""What the controller reads about one rollout (images/rollout/rollout/settings.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from components.contracts import HEADERS
from components.delivery import cohort_file
from components.delivery.settings import GateSettings, RolloutSettings

SETTINGS_KEY, PLACES_KEY, RULES_KEY = "settings.json", "places.json", "rules.json"
EXPERIMENT_KEY = "experiment.json"
"""Read by `slipway experiment`; the controller only passes it to readers."""
ANSWERS = "envoy_cluster_upstream_rq_xx"
"""By class of the status code. All requests and the failed ones come from this metric:
if it is missing, both are missing, and no request counts as good."""
SHADOW_HEADER = HEADERS["shadow"]
"""Request header that names the revision that gets copies. The controller sets it
(images/rollout/rollout/mirror.py). Model servers never get a caller's value."""
PARTS = 10_000
"""Weight of one percent in the rules that the controller writes
(images/rollout/rollout/objects.py)."""
TIME = "envoy_cluster_upstream_rq_time_bucket"
COMPLETED = "envoy_cluster_upstream_rq_completed"
"""All answers. It is there at 0 before the first one, when ANSWERS is not."""


def traffic_route(server: str) -> str:
    """Return the name of the HTTPRoute with the weighted rules; stable comes first."""
    return f"{server}-traffic"


def files(
    server: str,
    namespace: str,
    rollout: RolloutSettings,
    places: Mapping[str, str],
    rules: Sequence[Mapping[str, Any]],
    *,
    model: str = "",
) -> dict[str, str]:
    """Return the data of the ConfigMap.

    `places`: Service and Deployment by revision. `rules`: of the weighted route; the
    controller sets their weights. `model`: its name in model.yaml.
    """
    named = {
        revision: {"service": places[revision], "deployment": places[revision]}
        for revision in (rollout.from_, rollout.to)
    }
    content = settings(server, namespace, rollout, model)
    return {
        SETTINGS_KEY: _text(content),
        PLACES_KEY: _text(named),
        RULES_KEY: _text(rules),
    }


def plan(experiment: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what the ConfigMap of an experiment has in addition to `files`."""
    return {EXPERIMENT_KEY: _text(experiment)} if experiment else {}


def setting_of(data: Mapping[str, str]) -> str:
    """Return the model server's setting that a ConfigMap with this data comes from."""
    return "experiment" if EXPERIMENT_KEY in data else "rollout"


def settings(
    server: str, namespace: str, rollout: RolloutSettings, model: str = ""
) -> dict[str, Any]:
    """Return the settings; fractions are texts, because the ledger's JSON has none."""
    # Stable is the first backend of each rule and the canary the second. A copy goes to
    # a cluster that is named after the rule and the filter's index.
    canary = "(/backend/1|-mirror-[0-9]+)" if rollout.shadow else "/backend/1"
    ends = {"stable": "/backend/0", "canary": canary}

    def counters(metric: str, *more: str) -> dict[str, str]:
        return {
            arm: f"{metric}{{{','.join((_cluster(server, namespace, end), *more))}}}"
            for arm, end in ends.items()
        }

    gates = rollout.gates
    bad = counters(ANSWERS, 'envoy_response_code_class="5"')
    found = [_gate("errors", gates.errors, bad, of_good=False)]
    if gates.slow:
        # Prometheus 3 stores the bound 250 as 250.0.
        bound = f'le=~"{gates.slow.above_milliseconds}(\\\\.0)?"'
        quick = counters(TIME, bound)
        found.append(_gate("slow", gates.slow, quick, of_good=True))
    found += cohort_file.gates(rollout, model or server)
    shadow = rollout.shadow
    return ({"shadow_percent": shadow.percent} if shadow else {}) | {
        "server": server,
        "stable": rollout.from_,
        "canary": rollout.to,
        "steps": [step.model_dump() for step in rollout.steps],
        "gates": found,
        "interval_seconds": rollout.interval_seconds,
        "min_intervals": rollout.min_intervals,
        "deadline_hours": repr(float(rollout.deadline_hours)),
        "errors_allowed": {
            name: repr(float(share))
            for name, share in rollout.errors_allowed.model_dump().items()
        },
        "sample_ratio": rollout.sample_ratio,
        "total": counters(ANSWERS),
        "completed": counters(COMPLETED),
    }


def _cluster(server: str, namespace: str, end: str) -> str:
    """Match Envoy's clusters with this suffix, in all rules of the route."""
    route = f"httproute/{namespace}/{traffic_route(server)}"
    return f'envoy_cluster_name=~"{route}/rule/[0-9]+{end}"'


def _gate(
    name: str, gate: GateSettings, counters: Mapping[str, str], *, of_good: bool
) -> dict[str, Any]:
    return {
        "name": name,
        "tolerate": repr(gate.tolerate_points / 100),
        "rollback_when": gate.rollback_when,
        "paired": False,
        "min_coverage": "0.0",
        "counters": dict(counters),
        "of_good": of_good,
    }


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True)
