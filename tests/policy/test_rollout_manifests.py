"""A model with a rollout: valid manifests that keep the rules of policies/."""

from __future__ import annotations

from datetime import date

import pytest

from components.security import rules
from slipway.policy import check, objects
from slipway.policy.evaluation import Evaluator
from slipway.rendering.render import Rendered
from tests.support import platform, schemas
from tests.support import rendered as r

TODAY = date(2026, 11, 30)
NEW = ("rollout", "traffic")
"""In the names of what a rollout adds."""


@pytest.fixture(scope="module")
def rolled() -> Rendered:
    revisions = {name: {"model_image": "employment"} for name in ("old", "new")}
    model = {
        "route": {"prefix": "/employment/v1"},
        "access": {"api_keys": {"secret": "callers"}},
        "revisions": revisions,
        "rollout": {"from": "old", "to": "new"},
    }
    return r.models(models={"employment": model})


def test_what_a_rollout_adds_is_valid_with_no_unknown_field(rolled: Rendered) -> None:
    definitions = {
        (m["spec"]["group"], m["spec"]["names"]["kind"]): m
        for m in platform.lab().manifests
        if m["kind"] == "CustomResourceDefinition"
    }
    kinds = set()
    for m in rolled.manifests:
        if not any(word in m["metadata"]["name"] for word in NEW):
            continue
        kinds.add(m["kind"])
        crd = definitions.get((m["apiVersion"].rpartition("/")[0], m["kind"]))
        found = schemas.crd_problems(m, crd) if crd else schemas.problems(m)
        assert found == [], m["metadata"]["name"]
    assert kinds == {
        "BackendTrafficPolicy",
        "ConfigMap",
        "Deployment",
        "HTTPRoute",
        "NetworkPolicy",
        "Role",
        "RoleBinding",
        "SecurityPolicy",
        "ServiceAccount",
    }


def test_what_a_rollout_adds_keeps_the_rules_of_production(rolled: Rendered) -> None:
    found = check.findings(
        Evaluator(rules.load()),
        objects.of_rendered(rolled),
        environment="test",
        production=True,
        settings={},
        today=TODAY,
    )
    wrong = [
        (rule.id, one.name, texts)
        for rule, one, texts, _ in found
        if any(word in one.name for word in NEW)
    ]
    assert wrong == []


def test_what_an_experiment_adds_is_valid_with_no_unknown_field() -> None:
    key = "/etc/prediction-log/key"
    model = {
        "route": {"prefix": "/employment/v1"},
        "revisions": {name: {"model_image": "employment"} for name in ("old", "new")},
        "prediction_log": {"sink": "monitor"},
        "monitor": {},
        "secrets": {"log-hash": {"files": {key: "key"}}},
        "environment": {"MODEL_SERVER_PREDICTION_LOG_HASH_KEY_FILE": key},
        "experiment": {
            "control": "old",
            "shares": {"old": 50, "new": 50},
            "assign_by": {"header": "x-user-id", "salt": 3},
            "unit": "caller",
            "metric": {"kind": "score_mean"},
            "minimum_effect": 0.01,
            "rule": "always_valid",
            "days": 7,
        },
    }
    definitions = {
        m["spec"]["names"]["kind"]: m
        for m in platform.lab().manifests
        if m["kind"] == "CustomResourceDefinition"
    }
    salted = platform.rendered(gateway={"experiment_salts": True})
    found = r.models(models={"employment": model})
    made = [
        *(it for it in found.manifests if it["kind"] == "BackendTrafficPolicy"),
        platform.only(salted, "ClientTrafficPolicy", "slipway"),
    ]
    for one in made:
        problems = schemas.crd_problems(one, definitions[one["kind"]])
        assert problems == [], one["kind"]
    *policies, _ = made
    kinds = [it["spec"]["loadBalancer"]["type"] for it in policies]
    assert kinds == ["ConsistentHash"] * 2
