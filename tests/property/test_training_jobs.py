"""Whatever the settings of jobs accept renders to runs that keep the promises."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slipway import stack_schema
from slipway.rendering.render import render
from tests.support import pod_security, schemas
from tests.support.rendered import IMAGES, reference

Draw = Any
Config = dict[str, Any]
FEW = settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
SCHEMA = jsonschema.Draft202012Validator(stack_schema.of_layer("jobs"))
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1)
BUCKETS = st.sampled_from([{"bucket": "s3://a-b/c"}, {"bucket": "s3://other"}])
LONGEST_HOST_NAME = 63
SUFFIX = "-x7k2p"
"""As a run's name ends."""


@st.composite
def places(draw: Draw, setting: str) -> Config:
    if draw(st.booleans()):
        return dict(draw(BUCKETS))
    # Of one size: two jobs may draw one claim.
    name = f"{setting}-{draw(NAMES)}"
    return {"claim": name, "many_nodes": True, "size_gib": 5}


BOOLEAN = st.booleans()


@st.composite
def job(draw: Draw) -> Config:
    wait = draw(st.integers(10, 3600))
    found: Config = {
        "image": reference("trainer"),
        "command": draw(st.lists(WORDS, min_size=1, max_size=4)),
        "framework": draw(st.sampled_from(["torch", "tensorflow", "jax", "command"])),
        "nodes": draw(st.integers(1, 1000)),
        "start_timeout_seconds": wait,
        "deadline_seconds": wait + draw(st.integers(51, 3600)),
        "stop_seconds": draw(st.integers(1, 3600)),
        "checkpoint": draw(places("checkpoint")),
        "restarts": {"gang_restarts": draw(st.integers(0, 100))},
    }
    if found["framework"] == "torch":
        found["restarts"]["worker_restarts"] = draw(st.integers(5, 1000))
        found["command"][0] = "train"
    if draw(BOOLEAN):
        found["result"] = draw(places("result"))
    if draw(BOOLEAN):
        found["data"] = draw(
            st.sampled_from([{"bucket": "s3://a-b"}, {"image": "base"}])
        )
    if draw(BOOLEAN):
        found |= {"gang": "kueue", "queue": draw(NAMES)}
    return found


def apart(config: Config) -> Config:
    """Each place of each job in a folder of its own, as is asked for."""
    for name, one in config.items():
        for setting in ("checkpoint", "result"):
            place = one.get(setting, {})
            if "bucket" in place:
                place["bucket"] += f"/{name}-{setting}"
    return config


@FEW
@given(st.dictionaries(NAMES, job(), min_size=1, max_size=4).map(apart))
def test_what_is_accepted_keeps_the_promises(config: Config) -> None:
    assert list(SCHEMA.iter_errors({"config": {"slipway:training": config}})) == []
    made = render(
        "jobs.test",
        config={"cluster": {"kubeconfig": "lab"}, "training": config},
        images=IMAGES,
    )
    templates = {}
    for one in made.manifests:
        assert schemas.problems(one) == [], one["kind"]
        if one["kind"] == "CronJob":
            templates[one["metadata"]["name"]] = one["spec"]
    assert set(templates) == set(config)
    for name, spec in templates.items():
        assert spec["suspend"] is True
        is_a_gang(name, spec["jobTemplate"]["spec"], config[name])


def is_a_gang(name: str, run: Config, args: Config) -> None:
    assert run["completions"] == run["parallelism"] == args["nodes"]
    assert run["activeDeadlineSeconds"] > args["start_timeout_seconds"]
    pod = run["template"]["spec"]
    assert pod_security.violations(pod) == []
    assert pod["restartPolicy"] == "Never"
    (worker,) = pod["containers"]
    names = [one["name"] for one in worker["env"]]
    assert len(names) == len(set(names))
    refers_to_what_stands_before(worker["env"])
    assert len(f"{name}{SUFFIX}-{args['nodes'] - 1}") <= LONGEST_HOST_NAME
    assert ("initContainers" in pod) is (args["nodes"] > 1)


def refers_to_what_stands_before(variables: list[Config]) -> None:
    """Kubernetes leaves other references as they are."""
    known: set[str] = set()
    for one in variables:
        value = one.get("value", "")
        assert set(re.findall(r"\$\((\w+)\)", value)) <= known
        known.add(one["name"])
        if one["name"] == "TF_CONFIG":
            json.loads(value.replace("$(SLIPWAY_NODE_RANK)", "0"))
