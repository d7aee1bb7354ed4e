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
        "ConfigMap",
        "Deployment",
        "HTTPRoute",
        "NetworkPolicy",
        "Role",
        "RoleBinding",
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
