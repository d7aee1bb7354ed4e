"""What is accepted beside a pool renders pods that its nodes can take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from components import catalog
from components.cluster.nodes import node_capacity
from components.cluster.nodes.elastic_pool import ElasticPool
from components.serving.args import pool_room
from components.serving.args.model_server_args import ModelServerArgs
from components.settings import parse
from tests.support import rendered as r

TYPES = ("m7a.large", "m7a.xlarge", "c7i.2xlarge", "r7i.large", "g6.xlarge")
MODEL = "scoring"
Quantities = Mapping[str, str]


@st.composite
def requests(draw: st.DrawFn, name: str) -> dict[str, int]:
    """Around what a node of the type has, where the check decides."""
    t = catalog.instance_type(name)
    cpu = node_capacity.pod_cpu_millicores(t) + draw(st.integers(-40, 40))
    memory = node_capacity.pod_memory_mib(t) + draw(st.integers(-60, 60))
    small = draw(st.sampled_from(("cpu", "memory", "none")))
    cpu, memory = (
        (100 if small == "cpu" else cpu),
        (256 if small == "memory" else memory),
    )
    return {
        "cpu_request_millicores": cpu,
        "cpu_limit_millicores": cpu,
        "memory_request_mib": memory,
        "memory_limit_mib": max(memory, 2048),
    }


def millicores(text: str) -> int:
    return int(text[:-1]) if text.endswith("m") else int(Decimal(text) * 1000)


def mebibytes(text: str) -> int:
    units = {"Mi": 1, "Gi": 1024}
    return int(text[:-2]) * units[text[-2:]]


def asked(pod: Mapping[str, Any]) -> Iterator[Quantities]:
    """Requests of all that runs at the same time: containers and native sidecars."""
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        if container in pod["containers"] or container.get("restartPolicy"):
            yield container["resources"]["requests"]


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_node_takes_the_pod_of_whatever_is_accepted(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(TYPES))
    t = catalog.instance_type(name)
    limit = {"max_gpus": 8} if t.gpu else {"max_nodes": 8}
    kind = {"kind": "elastic", "instance_types": [name], "capacity": ["on-demand"]}
    pool = parse(ElasticPool, {**kind, **limit}, "test")
    model: dict[str, Any] = {
        **r.EMPLOYMENT,
        "node_selector": {"slipway.dev/pool": "own"},
        "resources": data.draw(requests(name)),
    }
    if data.draw(st.booleans()):
        # By digest: a machine without a lab has no images.lock.
        shipper = r.reference("log-shipper")
        model["prediction_log"] = {"sink": "s3://logs/scoring", "shipper": shipper}
    images = {"model_image": r.reference("m"), "image": r.reference("s")}
    args = parse(ModelServerArgs, {**model, **images}, "test")
    if any(pool_room.problems({MODEL: args}, {"own": pool})):
        return
    pod = r.pod(r.models(models={MODEL: model}))
    every = list(asked(pod))
    assert len(every) == (2 if "prediction_log" in model else 1)
    cpu = sum(millicores(it["cpu"]) for it in every)
    memory = sum(mebibytes(it["memory"]) for it in every)
    assert cpu <= node_capacity.pod_cpu_millicores(t)
    assert memory <= node_capacity.pod_memory_mib(t)
