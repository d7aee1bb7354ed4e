"""The rules of policies/: each by its corpus, and all stacks by all of them."""

from __future__ import annotations

import functools
from datetime import date
from typing import Any

import pytest

from components.security import rules
from slipway.policy import check, objects
from slipway.policy.check import Verdict
from slipway.policy.evaluation import Evaluator
from tests.policy.corpus import PARAMETERS, Case
from tests.policy.corpus_aws import OTHERS
from tests.policy.corpus_objects import KUBERNETES
from tests.support.rendered import IMAGES

CASES = [*KUBERNETES, *OTHERS]
LISTED = rules.load()
EVALUATOR = Evaluator(LISTED)
WRITTEN = date(2026, 11, 29)
"""The day by which waivers are judged here: no test ends with a waiver."""


def wrong(case: Case, content: dict[str, Any], related: dict[str, Any]) -> list[str]:
    rule = LISTED.rules[case.rule]
    assert content["kind"] in rule.object_kinds
    more: dict[str, Any] = {}
    if not rule.in_cluster:
        others = {kind: [] for kind in objects.RELATED}
        more = {"related": {**others, **related}, "settings": case.settings}
    return EVALUATOR.wrong(rule, content, PARAMETERS, **more)


def name(case: Case) -> str:
    return case.rule


@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_rule_takes_its_good_object(case: Case) -> None:
    assert wrong(case, case.good, case.good_related) == []


@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_rule_refuses_its_bad_object(case: Case) -> None:
    found = wrong(case, case.bad, case.bad_related)
    assert found
    assert not [text for text in found if "cannot be judged" in text]


def test_every_rule_has_a_good_and_a_bad_object() -> None:
    assert {case.rule for case in CASES} == set(LISTED.rules)
    assert len(LISTED.rules) >= 40


@pytest.mark.parametrize("case", KUBERNETES, ids=name)
def test_a_good_object_keeps_every_rule_that_the_api_server_can_judge(
    case: Case,
) -> None:
    kept = [r for r in LISTED.rules.values() if case.good["kind"] in r.object_kinds]
    found = {
        rule.id: EVALUATOR.wrong(rule, case.good, PARAMETERS)
        for rule in kept
        if rule.in_cluster
    }
    assert {k: v for k, v in found.items() if v} == {}


@functools.cache
def verdict_of(stack: str) -> Verdict:
    return check.check(stack, EVALUATOR, IMAGES, today=WRITTEN)


@pytest.mark.parametrize("stack", check.stacks())
def test_every_stack_keeps_the_rules_or_has_a_waiver(stack: str) -> None:
    verdict = verdict_of(stack)
    assert verdict.objects > 5
    assert verdict.rules >= 20
    assert [(f.rule.id, f.object, f.wrong) for f in verdict.open] == []


def test_every_waiver_is_needed() -> None:
    used = {
        (finding.rule.id, finding.object)
        for stack in check.stacks()
        for finding in verdict_of(stack).findings
    }
    given = {
        (rule, one) for w in LISTED.waivers for rule in w.rules for one in w.objects
    }
    assert given <= used


def test_the_api_server_can_judge_most_rules_about_its_objects() -> None:
    kubernetes = {
        r.id for r in LISTED.rules.values() if r.object_kinds <= set(rules.API_KINDS)
    }
    assert {r for r in kubernetes if not LISTED.rules[r].in_cluster} == {
        "no-default-namespace",
        "servers-have-a-budget",
        "namespaces-deny-by-default",
        "servers-have-network-policies",
        "routes-have-access",
        "public-gateways-encrypt",
    }
