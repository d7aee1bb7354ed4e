"""The policy pack by the corpus of the rules: what it says of each object."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import analyzer_pb2 as proto

from components.security import rules
from components.security.rules import AWS, Rule
from slipway.policy.evaluation import Evaluator
from slipway.policy_pack.analyzer import Analyzer
from slipway.policy_pack.unknowns import ITEM, reads, text_of
from tests.policy.corpus import PARAMETERS, Case, Object
from tests.policy.corpus_aws import OTHERS
from tests.policy.corpus_objects import KUBERNETES

LISTED = rules.load()
EVALUATOR = Evaluator(LISTED)
ALONE = [
    case
    for case in (*KUBERNETES, *OTHERS)
    if LISTED.rules[case.rule].by_itself and not case.bad.get("policies")
]
OTHER_VALUES = (None, "other", 0, True, {}, ["x"])
"""What an unknown value may turn out to be; None: it is left out."""


def name(case: Case) -> str:
    return case.rule


def request(content: Object) -> Any:
    """The object as the engine sends it."""
    if content["kind"].startswith(AWS):
        kind, inputs = content["kind"], content["inputs"]
    else:
        version = content["apiVersion"]
        version = version if "/" in version else f"core/{version}"
        kind, inputs = f"kubernetes:{version}:{content['kind']}", content
    properties = struct_pb2.Struct()
    properties.update(inputs)
    options = proto.AnalyzerResourceOptions(protect=content.get("protect", False))
    return proto.AnalyzeRequest(
        type=kind,
        urn=f"urn:pulumi:prod::theirs::{kind}::example",
        name="example",
        properties=properties,
        options=options,
    )


@pytest.fixture(scope="module")
def production() -> Analyzer:
    changed = LISTED.model_copy(
        update={"parameters": {"all": PARAMETERS}, "waivers": ()}
    )
    found = Analyzer(Evaluator(changed))
    config = {"slipway:production": "true"}
    found.ConfigureStack(
        proto.AnalyzerStackConfigureRequest(
            stack="prod", project="theirs", config=config
        ),
        None,
    )
    return found


def broken(analyzer: Analyzer, content: Object) -> set[str]:
    answer = analyzer.Analyze(request(content), None)
    assert not answer.not_applicable
    return {it.policyName for it in answer.diagnostics}


@pytest.mark.parametrize("case", ALONE, ids=name)
def test_the_pack_takes_the_good_object_and_refuses_the_bad_one(
    production: Analyzer, case: Case
) -> None:
    assert case.rule not in broken(production, case.good)
    assert case.rule in broken(production, case.bad)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values below the value."""
    if isinstance(value, dict):
        items: list[tuple[Any, Any]] = list(value.items())
    else:
        items = list(enumerate(value)) if isinstance(value, list) else []
    for key, item in items:
        yield (*path, key)
        yield from leaves(item, (*path, key))


def with_value(content: Object, path: tuple[Any, ...], value: Any) -> Object:
    """The object with another value there."""
    found = copy.deepcopy(content)
    place: Any = found
    for key in path[:-1]:
        place = place[key]
    if value is None and isinstance(path[-1], str):
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return found


def wrong(rule: Rule, content: Object) -> list[str]:
    more: dict[str, Any] = {} if rule.in_cluster else {"related": {}, "settings": {}}
    return EVALUATOR.wrong(rule, content, PARAMETERS, **more)


@pytest.mark.parametrize("case", ALONE, ids=name)
def test_a_value_that_a_rule_is_said_not_to_read_changes_no_verdict(
    case: Case,
) -> None:
    rule = LISTED.rules[case.rule]
    text = text_of(LISTED, rule)
    part = "inputs" if case.good["kind"].startswith(AWS) else ""
    for content in (case.good, case.bad):
        before = wrong(rule, content)
        for path in leaves(content[part] if part else content):
            keys = tuple(key if isinstance(key, str) else ITEM for key in path)
            if path in (("kind",), ("apiVersion",)) or reads(text, keys):
                continue
            whole = (part, *path) if part else path
            for value in OTHER_VALUES:
                assert wrong(rule, with_value(content, whole, value)) == before, path
