"""The API server judges by the rules of policies/ as `slipway check` does.

Each object of the corpus is created as a dry run with all admission policies in force:
its warnings must be what the rules say in Python, word for word. About a minute.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from components.security import rules
from slipway.policy.evaluation import Evaluator
from slipway.rendering.render import render
from tests.cluster.conftest import Cluster
from tests.cluster.test_node_pools_admitted import Definitions
from tests.policy.corpus import NAME, PARAMETERS, Object, changed, workload
from tests.policy.corpus_objects import KUBERNETES
from tests.support.kube import Kube, wait_until
from tests.support.rendered import IMAGES

SPACE = "policy-parity"
STACK = "platform.parity"
LISTED = rules.load()
EVALUATOR = Evaluator(LISTED)
WARNING = re.compile(
    r"ValidatingAdmissionPolicy 'slipway-([\w-]+)' with binding '[^']*': (.*)"
)
OFF = {"enabled": False}
MONITORING = ("prometheus", "alertmanager", "alert_recorder")
BAD = workload(
    container={"image": "registry.example.com/server:1"}, spec={"replicas": 0}
)
RULE = "images-by-digest"


def admission(*, warn_only: bool) -> list[Object]:
    """What the platform makes for the namespace of these tests, in production."""
    rendered = render(
        STACK,
        config={
            "production": True,
            "cluster": {"kubeconfig": "lab"},
            "namespaces": {"models": [SPACE]},
            "admission": {"enabled": True, "warn_only": warn_only},
            **dict.fromkeys(("metrics_server", "envoy_gateway", "gateway"), OFF),
            "monitoring": dict.fromkeys(MONITORING, OFF),
        },
        images=IMAGES,
    )
    label = "app.kubernetes.io/component"
    return [
        m
        for m in rendered.manifests
        if m["metadata"].get("labels", {}).get(label) == "admission"
    ]


def with_parameters(objects: list[Object], **waived: str) -> list[Object]:
    """The same with the corpus' parameters, and waivers by rule."""
    data = {**PARAMETERS, **{f"waived.{rule}": text for rule, text in waived.items()}}
    return [{**m, "data": data} if m["kind"] == "ConfigMap" else m for m in objects]


@pytest.fixture(scope="module")
def kube(cluster: Cluster) -> Iterator[Kube]:
    """The cluster with all policies, which warn; all of it goes again."""
    yield from judging(cluster.kube)


def judging(kube: Kube) -> Iterator[Kube]:
    definitions = Definitions(kube)
    definitions.add()
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
    made = [space, *with_parameters(admission(warn_only=True))]
    kube.apply(*made)
    try:
        # The API server takes a second or two to compile what it is given.
        wait_until(lambda: seen(kube, BAD).keys() == said(BAD).keys(), 60, "policies")
        yield kube
    finally:
        kube.delete(*made)
        definitions.remove()


def placed(content: Object) -> Object:
    """The object in the namespace of these tests."""
    if "namespace" not in content["metadata"]:
        return content
    return changed(content, {"metadata": {"namespace": SPACE}})


def seen(kube: Kube, content: Object) -> dict[str, str]:
    """What the API server warns of, by rule."""
    arguments = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
    done = kube.run(*arguments, text=json.dumps(placed(content)), check=False)
    assert done.returncode == 0, (content, done.stderr)
    return dict(match.groups() for match in WARNING.finditer(done.stderr))


def said(content: Object) -> dict[str, str]:
    """What the rules say in Python, as the policies' messages have it."""
    found = {}
    for rule in LISTED.rules.values():
        if not (rule.in_cluster and content["kind"] in rule.object_kinds):
            continue
        wrong = ", ".join(EVALUATOR.wrong(rule, placed(content), PARAMETERS))
        if wrong:
            found[rule.id] = f"{rule.id}: {rule.message}: {wrong}. {rule.fix}"
    return found


def objects() -> dict[str, Object]:
    """Every object of the corpus that a rule of the cluster is about, once."""
    found = {}
    for case in KUBERNETES:
        if LISTED.rules[case.rule].in_cluster:
            for content in (case.good, case.bad):
                found.setdefault(json.dumps(content, sort_keys=True), content)
    return found


def test_the_api_server_says_what_check_says(kube: Kube) -> None:
    apart: list[Any] = []
    refused = set()
    for content in objects().values():
        expected, got = said(content), seen(kube, content)
        refused |= got.keys()
        if expected != got:
            apart.append((content["kind"], expected, got))
    assert apart == []
    assert refused == {rule.id for rule in LISTED.rules.values() if rule.in_cluster}


def test_in_production_an_error_is_refused_until_it_is_waived(kube: Kube) -> None:
    bad = placed(BAD)
    kube.apply(bad)  # older than the rule: it warns only, as yet
    name = f"slipway-{RULE}"
    strict = [m for m in admission(warn_only=False) if m["metadata"]["name"] == name]
    kube.apply(*strict)
    wait_until(lambda: refusal(kube, bad), 60, "the policy refuses")
    assert "runs registry.example.com/server:1" in refusal(kube, bad)
    # What a controller makes is judged by what it is made from; whoever says that a
    # controller made it is judged.
    assert RULE in refusal(kube, owned(bad, "v1", "ConfigMap"))
    job = placed(workload("Job", container={"image": "registry.example.com/server:1"}))
    of_a_cron_job = owned(job, "batch/v1", "CronJob")
    assert RULE in refusal(kube, of_a_cron_job)
    controller = ("--as", "system:serviceaccount:kube-system:cronjob-controller")
    assert "ValidatingAdmissionPolicy" not in refusal(kube, of_a_cron_job, *controller)
    assert RULE in refusal(kube, job, *controller)
    # Whoever changes no field of its spec is let through: finalizers, annotations.
    kube.run("annotate", f"deployment/{NAME}", "a=b", "-n", SPACE)
    scale = ("patch", f"deployment/{NAME}", "-n", SPACE, "-p")
    change = json.dumps({"spec": {"minReadySeconds": 9}})
    assert RULE in kube.run(*scale, change, check=False).stderr
    waived = {RULE: f"Deployment/{SPACE}/{NAME} Deployment/{SPACE}/other"}
    kube.apply(*with_parameters(admission(warn_only=True), **waived)[:1])
    wait_until(lambda: not refusal(kube, bad), 60, "the waiver holds")
    kube.run(*scale, change)


def owned(content: Object, version: str, kind: str) -> Object:
    """The object as if one of that kind had made it."""
    owner = {"apiVersion": version, "kind": kind, "name": "o", "uid": "o"}
    made = {"ownerReferences": [{**owner, "controller": True}]}
    found: Object = changed(content, {"metadata": made})
    return found


def refusal(kube: Kube, content: Object, *user: str) -> str:
    """Why a dry run is refused; empty if it is not."""
    arguments = ("create" if user else "apply", "--dry-run=server", "-f", "-", *user)
    is_deployment = content["kind"] == "Deployment"
    change = {"spec": {"minReadySeconds": 7}} if is_deployment else {}
    fresh = changed(content, change)
    done = kube.run(*arguments, text=json.dumps(fresh), check=False)
    return done.stderr if done.returncode else ""
