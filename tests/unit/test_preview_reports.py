"""What `slipway compare` reports on changes as people make them.

SLIPWAY_RENEW_GOLDEN=1 .venv/bin/python -m pytest tests/unit/test_preview_reports.py
git diff tests/golden/compare
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from components.cluster import kubernetes_support
from slipway.preview import judgement, markdown
from slipway.preview.report import Report
from slipway.rendering.render import render
from tests.support import compared
from tests.support.compared import (
    Change,
    both,
    nothing,
    put,
    report,
    same_rules,
)
from tests.support.rendered import reference
from toolchain import paths

FOLDER = paths.ROOT / "tests" / "golden" / "compare"
RENEW = "SLIPWAY_RENEW_GOLDEN"
SCHEMA = json.loads((paths.ROOT / "docs/reference/compare.schema.json").read_text())
LAB, DEV, GPU, PROD = "models.lab", "models.dev", "models.gpu", "cluster.prod"
SECRET = "employment-keys"


def revisions(*weights: int, arm: str = "canary") -> Any:
    names = ("2026-10-01", "2026-11-23")[: len(weights)]
    each = dict(zip(names, weights, strict=True))
    found = {n: {"model_image": "employment", "weight": w} for n, w in each.items()}
    if len(found) > 1:
        found[names[1]]["arm"] = arm
    model = {"route": {"prefix": "/employment/v1"}, "revisions": found}
    return put("models", "employment", value=model)


def reranker(**rollout: Any) -> Any:
    """Two revisions on GPUs, of which one takes over from the other."""
    found = {name: {"model_image": "reranker-onnx"} for name in ("old", "new")}
    found["new"]["arm"] = "canary"
    moved = {"from": "old", "to": "new", "steps": [{"weight": 20}]} | rollout
    return both(
        put("models", "reranker", "model_image", value=None),
        put("models", "reranker", "revisions", value=found),
        put("models", "reranker", "rollout", value=moved),
    )


BORROWED = {"jobs": {"jobs.gpu": ["reranker-tuning"]}}


def keys(text: str) -> Any:
    access = {"api_keys": {"secret": SECRET}}
    value = {SECRET: {"alice": {"secure": text}}}
    return both(
        put("models", "employment", "access", value=access),
        put("client_keys", value=value),
    )


def weaker_rules(folder: Path) -> None:
    """Takes a rule away, weakens one and excepts a log from a third."""
    of_aws = folder / "aws.yaml"
    content = yaml.safe_load(of_aws.read_text())
    del content["rules"]["aws-logs-last"]
    content["rules"]["aws-keys-rotate"]["severity"] = "warning"
    of_aws.write_text(yaml.safe_dump(content))
    waivers = folder / "waivers.yaml"
    more = {
        "rules": ["aws-logs-are-encrypted"],
        "objects": ["aws:cloudwatch/logGroup:LogGroup/container-logs-host"],
        "until": date(2099, 1, 1),
        "who": "its author",
        "why": "It is in a hurry.",
    }
    content = yaml.safe_load(waivers.read_text())
    waivers.write_text(yaml.safe_dump({"waivers": [*content["waivers"], more]}))


def own_nodes(**pool: Any) -> Any:
    """The platform of a cluster that others made, with a pool of Karpenter's."""
    cluster = {"name": "serving", "version": "1.35", "zones": ["eu-central-1a"]}
    cluster |= {"node_role": "nodes", "interruption_queue": "serving"}
    gpu = {"kind": "elastic", "instance_types": ["p4d.24xlarge"], "max_gpus": 32}
    return both(
        put("cluster", value={"context": "serving"}),
        put("karpenter", "cluster", value=cluster),
        put("node_pools", value={"a100": gpu | pool}),
    )


FORGETFUL = put("container_logs", "retention_days", value=30)
MIG = "1g.10gb"
DRAIN = ("lifecycle", "grace_seconds")
SIZE = ("prometheus", "storage", "size")
CHECKPOINTS = ("assistant-tuning", "checkpoint", "every_seconds")
NEW_MODEL = {"model_image": "employment", "route": {"prefix": "/second/v1"}}
CHANGES = {
    "scale": Change(
        LAB, put("models", "employment", "scaling", "max_replicas", value=6)
    ),
    "image-digest": Change(
        DEV, put("models", "employment", "model_image", value=reference("other"))
    ),
    "weight": Change(DEV, revisions(50, 50), revisions(90, 10)),
    "revision-added": Change(DEV, revisions(90, 10), revisions(100)),
    "gpus-borrowed": Change(GPU, reranker(borrow=BORROWED), reranker()),
    "resource-limits": Change(
        LAB, put("models", "employment", "resources", "cpu_limit_millicores", value=700)
    ),
    "pool-type": Change(
        "cluster.dev",
        both(
            put("pools", "system", "instance_types", value=["m7a.xlarge"]),
            put("pools", "gpu", "max_gpus", value=8),
        ),
    ),
    "account-tags": Change(
        "cluster.dev", put("account", "tags", value={"environment": "test"})
    ),
    "cidr": Change("cluster.dev", put("network", "cidr", value="10.40.0.0/16")),
    "secret-rotated": Change(DEV, keys("v1:BBBB"), keys("v1:AAAA")),
    "name-changed": Change(
        DEV,
        both(
            put("models", "jobs", value=NEW_MODEL | {"model": "employment"}),
            put("models", "employment", value=None),
        ),
    ),
    "store-unprotected": Change(
        "cluster.dev", nothing, put("storage", "protect", value=True)
    ),
    "model-removed": Change("models.gpu", put("models", "reranker", value=None)),
    "model-added": Change(DEV, put("models", "second", value=NEW_MODEL)),
    "stack-removed": Change(DEV, None),
    "mig-layout": Change(
        PROD, put("pools", "h100", "gpu", value={"mode": "mig", "mig_profile": MIG})
    ),
    "nodes-mig-layout": Change(
        "platform.dev",
        own_nodes(gpu={"mode": "mig", "mig_profile": "3g.20gb"}),
        own_nodes(),
    ),
    "nodes-labels": Change(
        "platform.dev", own_nodes(labels={"team": "search"}), own_nodes()
    ),
    "nodes-more": Change("platform.dev", own_nodes(max_gpus=64), own_nodes()),
    "nodes-disk": Change(PROD, put("pools", "system", "disk_gib", value=200)),
    "cluster-version": Change("cluster.dev", put("cluster", "version", value="1.34")),
    "addon-version": Change(
        "cluster.dev",
        put("cluster", "addons", value={"coredns": {"version": "v1.12.4-eksbuild.1"}}),
    ),
    "log-retention": Change(PROD, put("container_logs", "retention_days", value=400)),
    "pool-removed": Change("cluster.dev", put("pools", "gpu", value=None)),
    "route-prefix": Change(
        DEV, put("models", "employment", "route", "prefix", value="/employment/v2")
    ),
    "drain": Change(GPU, put("models", "assistant", *DRAIN, value=200)),
    "runtime-arguments": Change(
        GPU, put("models", "assistant", "runtime", "max_model_tokens", value=16384)
    ),
    "gateway-replicas": Change("platform.dev", put("gateway", "replicas", value=3)),
    "volume-size": Change("platform.dev", put("monitoring", *SIZE, value="40Gi")),
    "checkpoints": Change("jobs.gpu", put("training", *CHECKPOINTS, value=600)),
    "rule-broken": Change(PROD, FORGETFUL, rules=same_rules),
    "rule-kept": Change(PROD, nothing, FORGETFUL, rules=same_rules),
    "production-left": Change(
        PROD,
        both(FORGETFUL, put("account", "production", value=False)),
        rules=same_rules,
    ),
    "rules-weakened": Change(PROD, FORGETFUL, rules=weaker_rules),
}


@pytest.fixture(autouse=True)
def that_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """EKS costs more once a version's standard support has ended, and waivers end."""
    monkeypatch.setattr(judgement, "today", lambda: date(2026, 11, 29))
    monkeypatch.setattr(kubernetes_support, "today", lambda: date(2026, 11, 29))


@pytest.fixture
def reports(tmp_path: Path) -> dict[str, Report]:
    return {name: report(one, tmp_path / name) for name, one in CHANGES.items()}


def test_reports_are_the_ones_that_were_read_last(reports: dict[str, Report]) -> None:
    if os.environ.get(RENEW):
        FOLDER.mkdir(exist_ok=True)
        for old in FOLDER.glob("*.md"):
            old.unlink()
        for name, one in reports.items():
            (FOLDER / f"{name}.md").write_text(markdown.text(one))
    assert {file.stem for file in FOLDER.glob("*.md")} == set(reports)
    for name, one in reports.items():
        kept = (FOLDER / f"{name}.md").read_text()
        assert markdown.text(one) == kept, f"{name}: renew and read the difference"
        jsonschema.Draft202012Validator(SCHEMA).validate(as_json(one))


def as_json(one: Report) -> Any:
    return json.loads(json.dumps(one.as_json()))


@pytest.mark.parametrize("name", ["scale", "pool-type", "secret-rotated"])
def test_the_same_twice_is_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are rendered: what a rendering has of chance or of time would show."""
    made = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        made.append(render(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(compared, "render", counted)
    change = CHANGES[name]
    found = report(replace(change, base=change.head), tmp_path, anew=True)
    first, second = (one.resources for one in made)
    assert first is not second
    assert not found.changed
    assert found.verdict == "Nothing changes."
    assert as_json(found)["stacks"] == []


MIRRORED = {"created": "deleted", "deleted": "created"}


@pytest.mark.parametrize("name", CHANGES)
def test_the_way_back_is_the_mirror_image(name: str, tmp_path: Path) -> None:
    change = CHANGES[name]
    there = report(change, tmp_path / "there")
    turned = replace(change, base=change.head, head=change.base)
    back = report(turned, tmp_path / "back")
    assert there.changed
    assert summary(back) == {
        (MIRRORED.get(action, action), *rest) for action, *rest in summary(there)
    }
    assert {(r.kind, r.name) for r in back.restarts} == {
        (r.kind, r.name) for r in there.restarts
    }
    assert {(s.backend, s.after, s.before) for s in back.traffic} == {
        (s.backend, s.before, s.after) for s in there.traffic
    }
    if not there.leaves_production:  # on the way back, base is not in production
        assert {(STATES[state], *rest) for state, *rest in rules(there)} == rules(back)
    assert [b.ceiling_after for b in back.bills] == [
        b.ceiling_before for b in there.bills
    ]


STATES = {"new": "gone", "gone": "new", "there": "there"}


def rules(one: Report) -> set[tuple[str, ...]]:
    """Results of base's rules, which both ways have in common."""
    found = (result for result in one.rules if "base" in result.by)
    return {(result.state, result.rule, result.object) for result in found}


def summary(one: Report) -> set[tuple[str, ...]]:
    return {(i.action, i.type, i.name, *(c.path for c in i.changes)) for i in one.items}


def test_no_secret_value_is_in_any_report(tmp_path: Path) -> None:
    old, new = "0123456789abcdef-old-value", "0123456789abcdef-new-value"
    change = Change(DEV, keys("v1:" + new), keys("v1:" + old))
    found = report(change, tmp_path / "encrypted")
    assert [s.setting for s in found.secrets] == [f"slipway:client_keys.{SECRET}.alice"]
    text = json.dumps(as_json(found)) + markdown.text(found)
    assert old not in text
    assert new not in text


def test_what_a_replaced_network_takes_along(tmp_path: Path) -> None:
    found = report(CHANGES["cidr"], tmp_path)
    replaced = {item.type.rpartition(":")[2] for item in found.of("replaced")}
    assert {"Vpc", "Subnet", "NatGateway", "NodeGroup"} <= replaced
    assert found.level == "danger"
