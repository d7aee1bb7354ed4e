"""The policy pack by the calls that Pulumi's engine makes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import rpc
from pulumi.runtime.proto import analyzer_pb2 as proto

from components.security import rules
from components.security.rules import RuleList
from slipway.policy.evaluation import Evaluator
from slipway.policy_pack import resources, stack_context
from slipway.policy_pack.analyzer import Analyzer
from slipway.policy_pack.unknowns import ITEM, Text, reads
from tests.support import policy_packs
from toolchain import paths

IMAGE = "registry.example/web@sha256:" + "1" * 64
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
BUCKET = "aws:s3/bucket:Bucket"
LISTED = rules.load()

Object = dict[str, Any]


def secret(value: Any) -> Object:
    return {rpc._special_sig_key: rpc._special_secret_sig, "value": value}


def deployment(**container: Any) -> Object:
    content = {"name": "web", "image": IMAGE, **container}
    return {
        "metadata": {"name": "web", "namespace": "models"},
        "spec": {"replicas": 2.0, "template": {"spec": {"containers": [content]}}},
    }


def analyze(type_: str, inputs: Object, name: str = "web") -> Any:
    properties = struct_pb2.Struct()
    properties.update(inputs)
    urn = f"urn:pulumi:dev::theirs::{type_}::{name}"
    return proto.AnalyzeRequest(type=type_, urn=urn, name=name, properties=properties)


def analyzer(
    listed: RuleList = LISTED,
    stack: str = "dev",
    project: str = "theirs",
    **config: str,
) -> Analyzer:
    found = Analyzer(Evaluator(listed))
    request = proto.AnalyzerStackConfigureRequest(
        stack=stack,
        project=project,
        config={f"slipway:{key}": value for key, value in config.items()},
    )
    found.ConfigureStack(request, None)
    return found


def stack_of(*requests: Any) -> Any:
    """The resources as the engine lists them at the end."""
    made = [proto.AnalyzerResource(urn=it.urn, type=it.type) for it in requests]
    return proto.AnalyzeStackRequest(resources=made)


def levels(found: Analyzer) -> dict[str, str]:
    info = found.GetAnalyzerInfo(None, None)
    name = proto.EnforcementLevel.Name
    return {it.name: name(it.enforcementLevel) for it in info.policies}


def one_rule(expression: str, **fields: Any) -> RuleList:
    content = {
        "id": "of-ours",
        "severity": "error",
        "kinds": ["Deployment"],
        "expression": expression,
        "message": "It is wrong",
        "why": "Because.",
        "fix": "Change it.",
        "since": "2026-11-30",
        **fields,
    }
    return RuleList.model_validate({"rules": {"of-ours": content}})


def test_production_makes_errors_mandatory() -> None:
    in_production = levels(analyzer(production="true"))
    elsewhere = levels(analyzer())
    assert set(in_production) == set(elsewhere) == set(LISTED.rules)
    for rule in LISTED.rules.values():
        wanted = "MANDATORY" if rule.severity == "error" else "ADVISORY"
        assert in_production[rule.id] == wanted
        off = "DISABLED" if rule.production_only else "ADVISORY"
        assert elsewhere[rule.id] == off


@pytest.mark.parametrize(
    ("project", "stack", "production"),
    [
        ("slipway", "platform.prod", True),
        ("slipway", "models.dev", False),
        # Another program's stack with the name of one of ours.
        ("theirs", "platform.prod", False),
    ],
)
def test_a_stack_of_a_layer_is_in_production_by_its_settings(
    project: str, stack: str, production: bool
) -> None:
    found = stack_context.of(project, stack, {})
    assert found.production is production
    assert found.environment == stack.partition(".")[2]
    assert (found.stack is not None) is (project == "slipway")


def test_a_setting_that_is_no_boolean_counts_as_production() -> None:
    found = stack_context.of("theirs", "dev", {"slipway:production": "perhaps"})
    assert found.production


def test_a_finding_says_what_why_and_how() -> None:
    answer = analyzer().Analyze(analyze(DEPLOYMENT, deployment(image="web:1")), None)
    (found,) = [d for d in answer.diagnostics if d.policyName == "images-by-digest"]
    rule = LISTED.rules["images-by-digest"]
    assert found.description == rule.message
    assert found.message == (
        f"Deployment/models/web: web runs web:1. {rule.why} {rule.fix}"
    )
    assert found.enforcementLevel == proto.ADVISORY


def test_a_level_of_the_user_replaces_ours() -> None:
    found = analyzer()
    config = {
        "images-by-digest": proto.PolicyConfig(enforcementLevel=proto.MANDATORY),
        "cpu-requests": proto.PolicyConfig(enforcementLevel=proto.DISABLED),
    }
    found.Configure(proto.ConfigureAnalyzerRequest(policyConfig=config), None)
    answer = found.Analyze(analyze(DEPLOYMENT, deployment(image="web:1")), None)
    said = {it.policyName: it.enforcementLevel for it in answer.diagnostics}
    assert said["images-by-digest"] == proto.MANDATORY
    assert "cpu-requests" not in said
    assert said["memory-requests"] == proto.ADVISORY


def test_whole_numbers_are_whole() -> None:
    """The protocol has floating point numbers only, and CEL adds no 1 to these."""
    found = analyzer(one_rule("object.spec.replicas + 1 == 3 ? ['three'] : []"))
    answer = found.Analyze(analyze(DEPLOYMENT, deployment()), None)
    assert [it.message for it in answer.diagnostics] == [
        "Deployment/models/web: three. Because. Change it."
    ]


def test_no_message_shows_a_secret() -> None:
    found = analyzer(one_rule("object.spec.template.spec.containers.map(c, c.image)"))
    request = analyze(DEPLOYMENT, deployment(image=secret("hush-hush")))
    (said,) = found.Analyze(request, None).diagnostics
    assert said.message == "Deployment/models/web: [secret]. Because. Change it."


def test_a_rule_that_reads_what_is_not_known_is_not_evaluated() -> None:
    request = analyze(DEPLOYMENT, deployment(image=rpc.UNKNOWN))
    answer = analyzer().Analyze(request, None)
    skipped = {it.policy_name: it.reason for it in answer.not_applicable}
    assert skipped["images-by-digest"] == (
        "Deployment/models/web: it depends on values that are not known yet"
    )
    # It reads the containers, but not their images.
    assert "cpu-requests" in {it.policyName for it in answer.diagnostics}


def test_a_secret_that_is_not_known_is_one_too() -> None:
    found = resources.seen(analyze(BUCKET, {"bucket": secret(rpc.UNKNOWN)}))
    assert found.unknown == {("bucket",)}
    assert found.secrets == frozenset()


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("object.spec.replicas < 2", ("spec", "replicas"), True),
        ("object.spec.paused", ("spec", "replicas"), False),
        ("size(object.inputs.?ingress.orValue([]))", ("ingress", "a"), True),
        ("object.spec.ports.exists(p, p.name == '')", ("ports", ITEM, "port"), False),
        ("object.spec.ports.exists(p, p == {})", ("ports", ITEM, "port"), True),
        ("object.spec.ports.exists(p, p.name == '')", ("ports", ITEM, "name"), True),
        ("variables.pod == {}", ("spec", "template", "spec", "a"), True),
        ("variables.pod.a == {}", ("spec", "template", "spec", "b"), False),
        ("object.spec.selector == {}", ("spec", "selector", "labels", "app"), True),
        ("object.spec.selector.app == ''", ("spec", "selector", "x", "y"), False),
        ("object.policies.exists(d, true)", ("assumeRolePolicy",), True),
        ("object.inputs.name", ("assumeRolePolicy",), False),
    ],
)
def test_whether_a_rule_may_read_a_value(
    text: str, path: tuple[str, ...], expected: bool
) -> None:
    assert reads(Text(text), path) is expected


def test_a_policy_whose_target_is_not_known_is_not_judged_by_it() -> None:
    kind = "kubernetes:gateway.envoyproxy.io/v1alpha1:SecurityPolicy"
    target = {"group": "apps", "kind": "Deployment", "name": rpc.UNKNOWN}
    content = {
        "metadata": {"name": "web", "namespace": "models"},
        "spec": {"targetRefs": [target]},
    }
    found = analyzer(one_rule("size(related.SecurityPolicy) == 0 ? ['open'] : []"))
    requests = [analyze(kind, content), analyze(DEPLOYMENT, deployment())]
    for request in requests:
        found.Analyze(request, None)
    answer = found.AnalyzeStack(stack_of(*requests), None)
    assert not answer.diagnostics
    assert [it.policy_name for it in answer.not_applicable] == ["of-ours"]


ALLOW_ALL = {"Sid": "All", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}


@pytest.mark.parametrize(
    ("policy", "broken"),
    [
        (json.dumps({"Statement": ALLOW_ALL}), True),
        ("\n" + json.dumps({"Statement": [ALLOW_ALL]}), True),
        (json.dumps({"Statement": {"Action": "s3:GetObject"}}), False),
        (json.dumps({"Version": "2012-10-17"}), False),
        ("{bucket}", False),
        ("[]", False),
    ],
)
def test_policy_documents_are_read_in_all_forms_of_iam(
    policy: str, broken: bool
) -> None:
    request = analyze("aws:iam/rolePolicy:RolePolicy", {"policy": policy})
    answer = analyzer().Analyze(request, None)
    said = {it.policyName for it in answer.diagnostics}
    assert ("iam-actions-are-named" in said) is broken


def test_a_statement_without_a_name_is_named_by_its_place() -> None:
    """IAM wants no Sid, and a rule that lists Sids would find nothing."""
    unnamed = {key: value for key, value in ALLOW_ALL.items() if key != "Sid"}
    policy = json.dumps({"Statement": [{**ALLOW_ALL, "Action": "s3:List"}, unnamed]})
    request = analyze("aws:iam/rolePolicy:RolePolicy", {"policy": policy})
    said = {
        it.policyName: it.message
        for it in analyzer().Analyze(request, None).diagnostics
    }
    assert "statement 2" in said["iam-actions-are-named"]


def test_rules_about_settings_hold_for_stacks_of_a_layer_alone() -> None:
    route = {
        "metadata": {"name": "web", "namespace": "models"},
        "spec": {"rules": [{"backendRefs": [{"name": "web"}]}]},
    }
    request = analyze("kubernetes:gateway.networking.k8s.io/v1:HTTPRoute", route)
    stack = proto.AnalyzeStackRequest(
        resources=[proto.AnalyzerResource(urn=request.urn, type=request.type)]
    )
    rule = "routes-have-access"
    config = {rule: proto.PolicyConfig(enforcementLevel=proto.ADVISORY)}
    configuration = proto.ConfigureAnalyzerRequest(policyConfig=config)
    theirs, ours = analyzer(), analyzer(project="slipway", stack="models.dev")
    for one in (theirs, ours):
        one.Configure(configuration, None)
        one.Analyze(request, None)
    answer = theirs.AnalyzeStack(stack, None)
    assert [it.policy_name for it in answer.not_applicable] == [rule]
    assert rule in {it.policyName for it in ours.AnalyzeStack(stack, None).diagnostics}


def test_the_stack_itself_is_judged() -> None:
    kinds: Object = {"kinds": ["Stack"], "severity": "warning"}
    listed = one_rule("[object.settings.account.region]", **kinds)
    found = analyzer(listed, project="slipway", stack="cluster.dev")
    (said,) = found.AnalyzeStack(proto.AnalyzeStackRequest(), None).diagnostics
    assert said.message.startswith("Stack/cluster.dev: ")
    assert said.urn == ""
    theirs = analyzer(listed)
    assert not theirs.AnalyzeStack(proto.AnalyzeStackRequest(), None).diagnostics


def test_a_resource_that_no_rule_is_about_is_let_through() -> None:
    answer = analyzer().Analyze(analyze("random:index/pet:Pet", {"a": 1}), None)
    assert answer == proto.AnalyzeResponse()


@pytest.mark.parametrize("named", ["weights-1", "weights-1-id"])
def test_a_part_finds_its_whole_by_the_names_that_the_engine_has(named: str) -> None:
    """A program may name a bucket by text, with no dependency."""
    kind = "aws:s3/bucketVersioning:BucketVersioning"
    status = {"versioningConfiguration": {"status": "Enabled"}}
    whole = analyze(BUCKET, {"bucket": "weights-1"}, "weights")
    part = analyze(kind, {"bucket": named, **status}, "weights")
    outputs = struct_pb2.Struct()
    outputs.update({"id": "weights-1-id", "bucket": "weights-1"})
    made = proto.AnalyzerResource(urn=whole.urn, type=BUCKET, properties=outputs)
    outputs = struct_pb2.Struct()  # AWS's provider gives a part the id of its bucket
    outputs.update({"id": "weights-1", "bucket": "weights-1"})
    beside = proto.AnalyzerResource(urn=part.urn, type=kind, properties=outputs)
    request = proto.AnalyzeStackRequest(resources=[made, beside])
    found = analyzer()
    for each in (whole, part):
        found.Analyze(each, None)
    said = {it.policyName for it in found.AnalyzeStack(request, None).diagnostics}
    assert "aws-buckets-forget" in said
    assert "aws-buckets-keep-versions" not in said


def test_a_checkout_has_the_program_that_the_engine_starts() -> None:
    program = paths.ROOT / "slipway" / "policy_pack" / policy_packs.PROGRAM
    with policy_packs.running(program, cwd=paths.ROOT) as pack:
        found = pack.GetAnalyzerInfo(empty_pb2.Empty())
    assert {it.name for it in found.policies} == set(LISTED.rules)
