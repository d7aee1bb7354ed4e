"""What an API server with our admission policies must say of the corpus.

The cluster tier asks a real one, and tests/policy/test_parity.py a model of one that
evaluates the same policies.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from components.security import admission, rules
from slipway.policy.evaluation import Evaluator, Seen
from slipway.rendering.render import render
from tests.policy.corpus import PARAMETERS, SELECTOR, Case, Object, changed, workload
from tests.policy.corpus_objects import KUBERNETES
from tests.support.dry_run import Answer, DryRuns
from tests.support.rendered import IMAGES

SPACE = "policy-parity"
STACK = "platform.parity"
LISTED = rules.load()
EVALUATOR = Evaluator(LISTED)
IN_CLUSTER = {rule.id for rule in LISTED.rules.values() if rule.in_cluster}
ERRORS = {name for name in IN_CLUSTER if LISTED.rules[name].severity == "error"}
CASES = [case for case in KUBERNETES if case.rule in IN_CLUSTER]
UNCHANGEABLE = {
    "rights-of-administrators",
    "volumes-are-encrypted",
    "volumes-are-made-where-pods-are",
}
"""The API server itself lets nobody change what these rules are about."""
NEVER_KEPT = {
    "rights-of-administrators",
    "rights-of-nobody",
    "services-behind-the-gateway",
    "services-without-external-addresses",
}
"""Their bad objects would have an effect on the cluster: each stays a dry run."""
WITHOUT_DIGEST = {"image": "registry.example.com/team/server:1"}
"""A container that one rule is against."""
WITHOUT_LIMIT = workload(container={"resources": {"limits": {"memory": None}}})
TOUCHED = {
    "metadata": {
        "annotations": {"example.com/seen": "yes"},
        "finalizers": ["example.com/held"],
    }
}
"""What a controller changes of an object that it works on."""
OFF = {"enabled": False}
MONITORING = ("prometheus", "alertmanager", "alert_recorder")
_STILL: dict[str, Object] = {
    "Deployment": {"paused": True},
    "Job": {
        "suspend": True,
        # Else the server adds labels of its own, and an update has to repeat them.
        "manualSelector": True,
        "selector": {"matchLabels": SELECTOR},
    },
}
Apart = list[tuple[str, Object, Any, Any]]
"""What was asked, of which object, what Python says and what the API server says."""


@cache
def policies(*, refuse: bool) -> tuple[Object, ...]:
    """What the platform makes for the namespace of these tests, in production."""
    rendered = render(
        STACK,
        config={
            "production": True,
            "cluster": {"kubeconfig": "lab"},
            "namespaces": {"models": [SPACE]},
            "admission": {"enabled": True, "warn_only": not refuse},
            **dict.fromkeys(("metrics_server", "envoy_gateway", "gateway"), OFF),
            "monitoring": dict.fromkeys(MONITORING, OFF),
        },
        images=IMAGES,
    )
    label = "app.kubernetes.io/component"
    return tuple(
        m
        for m in rendered.manifests
        if m["metadata"].get("labels", {}).get(label) == admission.COMPONENT
    )


def parameters(waived: dict[str, list[str]] | None = None) -> Object:
    """The policies' ConfigMap with the corpus' parameters, and waivers by rule."""
    (found,) = (m for m in policies(refuse=True) if m["kind"] == "ConfigMap")
    waivers = {
        f"{admission.WAIVER}{rule}": " ".join(names)
        for rule, names in (waived or {}).items()
    }
    return {**found, "data": {**PARAMETERS, **waivers}}


def judging(*, refuse: bool) -> list[Object]:
    """All that makes an API server judge by the rules, and the corpus' parameters."""
    others = (m for m in policies(refuse=refuse) if m["kind"] != "ConfigMap")
    return [parameters(), *others]


def placed(content: Object) -> Object:
    """The object in the namespace of these tests, if it is in one."""
    if "namespace" not in content["metadata"]:
        return content
    found: Object = changed(content, {"metadata": {"namespace": SPACE}})
    return found


def named(content: Object, suffix: str) -> Object:
    """The same object under another name."""
    name = f"{content['metadata']['name']}-{suffix}"
    found: Object = changed(content, {"metadata": {"name": name}})
    return found


def kept(content: Object) -> Object:
    """The object as one that can be kept: it makes no pods, and no dry run has it."""
    still = _STILL.get(content["kind"])
    found: Object = named(placed(content), "kept")
    return changed(found, {"spec": still}) if still else found


def said(content: Object, *severities: str) -> dict[str, str]:
    """What the rules say in Python, as the policies' messages have it."""
    found = _said(json.dumps(content, sort_keys=True))
    return {
        name: text
        for name, text in found.items()
        if not severities or LISTED.rules[name].severity in severities
    }


@cache
def _said(text: str) -> dict[str, str]:
    content: Object = json.loads(text)
    seen = Seen()
    found: dict[str, str] = {}
    for rule in (LISTED.rules[name] for name in IN_CLUSTER):
        if content["kind"] in rule.object_kinds:
            wrong = ", ".join(EVALUATOR.wrong(rule, content, PARAMETERS, seen))
            if wrong:
                found[rule.id] = f"{rule.id}: {rule.message}: {wrong}. {rule.fix}"
    return found


def objects() -> list[Object]:
    """Every object of the corpus that a rule of the cluster is about, once."""
    found: dict[str, Object] = {}
    for case in CASES:
        for content in map(placed, (case.good, case.bad)):
            found.setdefault(json.dumps(content, sort_keys=True), content)
    return list(found.values())


def creations(server: DryRuns) -> tuple[Apart, set[str]]:
    """Where its warnings about new objects differ, and the rules that it warns by."""
    apart: Apart = []
    reached: set[str] = set()
    for content in objects():
        answer = server.create(content)
        reached |= answer.warnings.keys()
        _compare(apart, "create", content, Answer("", said(content)), answer)
    return apart, reached


def updates(server: DryRuns) -> tuple[Apart, set[str], set[str]]:
    """The same of objects that become bad, good again, or are only touched.

    Also the rules whose objects the API server itself does not let be changed. It must
    warn, not refuse: each object is kept as the other one of its case.
    """
    apart: Apart = []
    reached: set[str] = set()
    own: set[str] = set()
    for case in CASES:
        good, bad = kept(case.good), kept(case.bad)
        keep(server, good)
        answer = server.replace(bad)
        if answer.error and case.rule in UNCHANGEABLE:
            own.add(case.rule)
            continue
        reached |= answer.warnings.keys()
        _compare(apart, "good to bad", bad, Answer("", said(bad)), answer)
        if case.rule in NEVER_KEPT:
            continue
        keep(server, bad)
        nothing = Answer("", {})
        _compare(apart, "bad to good", good, nothing, server.replace(good))
        _compare(apart, "touched", bad, nothing, server.patch(bad, TOUCHED))
    return apart, reached, own


def refused_creations(server: DryRuns) -> tuple[Apart, set[str]]:
    """Where it does not refuse just what is an error, and the rules that refused."""
    apart: Apart = []
    reached: set[str] = set()
    for content in objects():
        answer = server.create(content)
        reached |= answer.refusal.keys()
        if not _refused(content, answer):
            apart.append(("create", content, said(content), answer))
    return apart, reached


def old_objects() -> list[Case]:
    """A case of an error for each kind, whose objects can be kept and changed."""
    found: dict[str, Case] = {}
    for case in CASES:
        is_error = LISTED.rules[case.rule].severity == "error"
        if is_error and case.rule not in NEVER_KEPT | UNCHANGEABLE:
            found.setdefault(case.bad["kind"], case)
    return list(found.values())


def refused_updates(server: DryRuns) -> Apart:
    """Where a server that refuses hinders more or less than it should.

    The bad ones of `old_objects` are there: older than the rules, as it were. Each may
    be touched, put right and deleted. Once right, it cannot become bad again.
    """
    apart: Apart = []
    for case in old_objects():
        good, bad = kept(case.good), kept(case.bad)
        nothing = Answer("", {})
        _compare(apart, "touched", bad, nothing, server.patch(bad, TOUCHED))
        _compare(apart, "deleted", bad, nothing, server.delete(bad))
        _compare(apart, "bad to good", good, nothing, server.replace(good))
        keep(server, good)
        answer = server.replace(bad)
        if not _refused(bad, answer):
            apart.append(("good to bad", bad, said(bad), answer))
    return apart


def waivers() -> dict[str, list[str]]:
    """For every rule all objects that do not keep it.

    But for rules whose objects never keep all others: those are to be told, for once.
    """
    found: dict[str, list[str]] = {}
    alone: set[str] = set()
    for content in objects():
        errors = said(content, "error")
        alone |= errors.keys() if len(errors) == 1 else set()
        for rule in said(content):
            found.setdefault(rule, []).append(name(content))
    return {r: n for r, n in found.items() if r in alone or r not in ERRORS}


def waived_creations(
    server: DryRuns, waived: dict[str, list[str]]
) -> tuple[Apart, set[str]]:
    """As `refused_creations`, of a server that has these waivers.

    Each object comes a second time, by a name that none of them says.
    """
    apart: Apart = []
    reached: set[str] = set()
    for content in objects():
        left = {
            rule for rule in said(content) if name(content) not in waived.get(rule, ())
        }
        answer = server.create(content)
        reached |= answer.refusal.keys()
        if not _refused(content, answer, left):
            apart.append(("waived", content, left, answer))
        other = named(content, "other")
        answer = server.create(other)
        if not _refused(other, answer):
            apart.append(("not waived", other, said(other), answer))
    return apart, reached


def name(content: Object) -> str:
    """As waivers name the object."""
    about = content["metadata"]
    space = about.get("namespace", "")
    return rules.object_name(content["kind"], about["name"], space)


def keep(server: DryRuns, content: Object) -> None:
    """The object is there from now on."""
    answer = server.create(content, keep=True)
    if "already exists" in answer.error:
        answer = server.replace(content, keep=True)
    assert not answer.error, (content, answer)


def _compare(
    apart: Apart, what: str, content: Object, wanted: Answer, got: Answer
) -> None:
    if got != wanted:
        apart.append((what, content, wanted, got))


def _refused(content: Object, answer: Answer, left: set[str] | None = None) -> bool:
    """Whether one of its errors is told, or it has none and all its warnings are.

    `left`: the rules that it has no waiver of; None: all.
    """
    errors, warnings = (
        {r: t for r, t in said(content, one).items() if left is None or r in left}
        for one in ("error", "warning")
    )
    if errors:
        return bool(answer.refusal) and answer.refusal.items() <= errors.items()
    return answer == Answer("", warnings)


def kept_outside() -> list[Object]:
    """Of all that `keep` may have left, what is in no namespace."""
    found = (kept(case.good) for case in CASES)
    by_name = {
        (one["kind"], one["metadata"]["name"]): one
        for one in found
        if "namespace" not in one["metadata"]
    }
    return list(by_name.values())
