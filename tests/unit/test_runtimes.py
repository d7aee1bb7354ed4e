"""What a model server registers for each kind of server, read from captured data."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import yaml

from components.cluster.nodes import pool_nodes
from components.cluster.settings import ClusterSettings
from components.observability import holding
from components.serving import runtimes
from components.serving.runtimes import vllm_plan
from components.settings import SettingsError, parse
from slipway import stack_files
from slipway.rendering.render import Rendered, render
from tests.support import rendered as r
from toolchain import paths

PAGE = (paths.ROOT / "docs" / "how-to" / "runtimes.md").read_text()
KINDS = {get_args(k.model_fields["kind"].annotation)[0]: k for k in runtimes.ALL}
GPU = {"instance_types": ["g6e.xlarge"]}
ROOM = {"memory_request_mib": 768, "memory_limit_mib": 1024}
LEAST: dict[str, dict[str, Any]] = {
    "onnx": {},
    "savedmodel": {"image": "model-server-tensorflow", "resources": ROOM},
    "fastapi": {"image": "example-fastapi"},
    "flask": {"image": "example-flask"},
    "django": {"image": "example-django"},
    "tensorflow_serving": {"image": "tensorflow-serving"},
    "triton": {
        "image": "tritonserver",
        "runtime": {"kind": "triton", "backend": "onnxruntime"},
    },
    "vllm": {
        "image": "vllm-openai",
        "runtime": {"kind": "vllm", "gpus": GPU, "parameters_billions": 8},
        "scaling": {"signal": "inflight", "inflight_per_replica": 16},
        "lifecycle": {
            "startup_seconds": 600,
            "longest_request_seconds": 120,
            "stream_idle_seconds": 30,
            "drain_seconds": 120,
            "grace_seconds": 150,
        },
        "alerts": {"p99_milliseconds": 60_000, "queue_p99_milliseconds": 5000},
        "resources": {"memory_request_mib": 16384, "memory_limit_mib": 24576},
    },
}


def one(kind: str, **more: Any) -> Rendered:
    """A model by the least that its kind needs, and `more` of its runtime."""
    config = {"runtime": {"kind": kind}, **r.EMPLOYMENT, **LEAST[kind]}
    config["runtime"] = {**config["runtime"], **more}
    return r.models(platform={"keda": {}}, models={"employment": config})


def container(rendered: Rendered) -> dict[str, Any]:
    found: dict[str, Any] = r.pod(rendered)["containers"][0]
    return found


def environment(rendered: Rendered) -> dict[str, str]:
    return {e["name"]: e.get("value", "") for e in container(rendered)["env"]}


def flags(rendered: Rendered) -> dict[str, str]:
    pairs = (flag.partition("=") for flag in container(rendered)["args"])
    return {name: value for name, _, value in pairs}


def mounts(rendered: Rendered) -> dict[str, str]:
    return {m["mountPath"]: m["name"] for m in container(rendered)["volumeMounts"]}


def paths_of(rendered: Rendered) -> set[str]:
    rules = r.manifest(rendered, "HTTPRoute")["spec"]["rules"]
    return {
        match["path"]["value"].removeprefix("/employment/v1")
        for rule in rules
        if "backendRefs" in rule
        for match in rule["matches"]
    }


def test_there_is_a_file_for_each_and_the_page_has_them() -> None:
    assert list(KINDS) == list(LEAST)
    for name, kind in KINDS.items():
        assert kind.__module__ == f"components.serving.runtimes.{name}"
        assert f"| `{name}` |" in PAGE


@pytest.mark.parametrize("kind", LEAST)
def test_what_it_cannot_do_is_reported(kind: str) -> None:
    row, *_ = [line for line in PAGE.splitlines() if line.startswith(f"| `{kind}` |")]
    for what in KINDS[kind].FACTS.cannot:
        assert what in row
    where = "the lab" if KINDS[kind].FACTS.runs_here else "rendered only"
    assert where in row


@pytest.mark.parametrize("kind", LEAST)
def test_the_least_is_enough_and_has_one_outside(kind: str) -> None:
    found = one(kind)
    facts = KINDS[kind].FACTS
    spec = container(found)
    ports = {p["name"]: p["containerPort"] for p in spec["ports"]}
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = spec[name]["httpGet"]
        assert ports[probe["port"]] == facts.http
        assert "{" not in probe["path"]
    (port,) = r.manifest(found, "Service")["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("http", 80, "http")
    entry = r.manifest(found, "NetworkPolicy")["spec"]["ingress"][0]
    assert {p["port"] for p in entry["ports"]} == set(ports.values())
    annotations = r.manifest(found, "Deployment")["spec"]["template"]["metadata"][
        "annotations"
    ]
    assert int(annotations["prometheus.io/port"]) in ports.values()
    assert annotations["prometheus.io/path"] == facts.metrics_path
    assert facts.metrics_path not in paths_of(found)
    assert paths_of(found) == {p.format(model="employment") for p in facts.public}


@pytest.mark.parametrize("kind", LEAST)
def test_it_stops_only_after_it_was_left(kind: str) -> None:
    """Whatever the server does at SIGTERM, all of it fits into the grace period."""
    found, facts = one(kind), KINDS[kind].FACTS
    slept = container(found)["lifecycle"]["preStop"]["sleep"]["seconds"]
    if kind in ("onnx", "savedmodel", "fastapi", "flask", "django"):
        assert slept == 5  # and two more seconds of its own
    elif kind == "tensorflow_serving":
        assert slept == 5 + 2 + 20  # it finishes nothing after SIGTERM
    else:
        assert slept == 5 + 2
    after = 20 if facts.drains else 0
    assert r.pod(found)["terminationGracePeriodSeconds"] >= slept + after + 3


@pytest.mark.parametrize("kind", ["fastapi", "flask", "django"])
def test_an_application_has_the_same_variables_and_its_own_paths(kind: str) -> None:
    ours, theirs = one("onnx"), one(kind, paths=["/score"])
    assert environment(theirs) == environment(ours)
    assert container(theirs)["image"] == r.IMAGES[f"example-{kind}"]
    assert paths_of(theirs) == {"/infer", "/v2", "/score"}
    assert "command" not in container(theirs)


def test_a_server_may_be_called_otherwise_than_its_model() -> None:
    config = {"employment-b": {**r.EMPLOYMENT, "model": "employment"}}
    found = r.models(models=config)
    assert environment(found)["MODEL_SERVER_MODEL"] == "employment"
    assert "/models/employment" in mounts(found)
    (group,) = yaml.safe_load(
        r.manifest(found, "ConfigMap")["data"]["models.employment-b.yaml"]
    )["groups"]
    for rule in group["rules"]:
        if "alert" in rule:
            assert rule["labels"]["server"] == "employment-b"
            assert rule["labels"]["model"] == "employment"
        if rule.get("record") == holding.WATCHED:
            continue  # of the group itself
        assert 'server="employment-b"' in rule["expr"]
        assert 'model="' not in rule["expr"]


def test_grpc_is_opened_when_it_is_asked_for() -> None:
    closed, opened = one("onnx"), one("onnx", grpc=True)
    assert "MODEL_SERVER_GRPC_PORT" not in environment(closed)
    assert environment(opened)["MODEL_SERVER_GRPC_PORT"] == "9000"
    ports = {p["name"]: p for p in r.manifest(opened, "Service")["spec"]["ports"]}
    assert ports["grpc"]["port"] == 9000
    assert ports["grpc"]["appProtocol"] == "kubernetes.io/h2c"
    named = {p["name"]: p["containerPort"] for p in container(opened)["ports"]}
    assert named == {"http": 8080, "grpc": 9000}


def test_tensorflow_serving_is_started_with_one_version_of_a_saved_model() -> None:
    found = one("tensorflow_serving", version=3, batching={"max_batch_rows": 8})
    files = r.manifest_of(found, "ConfigMap", "files")
    assert mounts(found)["/models/employment/3"] == "model"
    told = flags(found)
    assert told["--model_config_file"] in mounts(found)
    assert told["--monitoring_config_file"] in mounts(found)
    assert told["--batching_parameters_file"] in mounts(found)
    assert told["--file_system_poll_wait_seconds"] == "0"
    assert "versions: 3" in files["data"]["models.config"]
    assert container(found)["readinessProbe"]["httpGet"]["path"] == (
        "/v1/models/employment"
    )


def test_other_files_are_another_configmap_that_pods_start_anew_with() -> None:
    names = {
        r.manifest_of(one("tensorflow_serving", version=v), "ConfigMap", "files")[
            "metadata"
        ]["name"]
        for v in (1, 2)
    }
    assert len(names) == 2
    found = one("tensorflow_serving")
    files = r.manifest_of(found, "ConfigMap", "files")
    assert files["immutable"] is True
    (volume,) = [v for v in r.pod(found)["volumes"] if v["name"] == "files"]
    assert volume["configMap"]["name"] == files["metadata"]["name"]
    deployment = r.resource(found, "Deployment")
    assert any(urn.endswith("::employment-files") for urn in deployment.depends_on)


def test_triton_loads_one_model_and_no_other() -> None:
    found = one("triton", version=2, grpc=True)
    told = flags(found)
    assert told["--model-control-mode"] == "explicit"
    assert told["--load-model"] == "employment"
    assert told["--strict-readiness"] == "true"
    assert told["--exit-timeout-secs"] == "20"
    where = mounts(found)
    assert where["/models/employment/2"] == "model"
    assert where["/models/employment/config.pbtxt"] == "files"
    named = {p["name"]: p["containerPort"] for p in container(found)["ports"]}
    assert named == {"http": 8000, "grpc": 8001, "metrics": 8002}
    # What loads models or writes traces must not be reached from outside.
    for path in paths_of(found):
        for hidden in ("/v2/repository/index", "/v2/models/employment/trace/setting"):
            assert not f"{hidden}/".startswith(f"{path}/")


def test_python_models_of_triton_get_shared_memory() -> None:
    assert "/dev/shm" not in mounts(one("triton"))
    found = one("triton", backend="python")
    assert mounts(found)["/dev/shm"] == "shm"
    (volume,) = [v for v in r.pod(found)["volumes"] if v["name"] == "shm"]
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "256Mi"}


def test_gpus_are_asked_for_and_their_nodes_are_tolerated() -> None:
    found = one("triton", gpus={**GPU, "pool": "l40s"})
    resources = container(found)["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == "1"
    assert resources["requests"]["nvidia.com/gpu"] == "1"
    pod = r.pod(found)
    assert pod["nodeSelector"] == {pool_nodes.POOL_LABEL: "l40s"}
    anywhere = r.pod(one("triton", gpus=GPU))
    assert "nodeSelector" not in anywhere
    assert anywhere["tolerations"] == pod["tolerations"]
    assert "tolerations" not in r.pod(one("triton"))


@pytest.mark.parametrize(("spare", "surge", "unavailable"), [(0, 0, 1), (2, 1, 0)])
def test_an_update_does_not_wait_for_a_gpu_that_is_not_there(
    spare: int, surge: int, unavailable: int
) -> None:
    found = one("triton", gpus={**GPU, "spare_replicas": spare})
    spec = r.manifest(found, "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {
        "maxSurge": surge,
        "maxUnavailable": unavailable,
    }


def test_vllm_serves_a_folder_and_drains() -> None:
    found = one("vllm", max_model_tokens=4096)
    assert container(found)["command"] == ["vllm", "serve", "/models/employment"]
    told = flags(found)
    assert told["--served-model-name"] == "employment"
    assert told["--shutdown-timeout"] == str(
        LEAST["vllm"]["lifecycle"]["drain_seconds"]
    )
    assert told["--max-model-len"] == "4096"
    assert told["--dtype"] == "bfloat16"
    assert "--load-format" not in told
    spec = r.manifest(found, "Deployment")["spec"]
    # Pulling 15 GiB takes longer than pulling an image.
    assert spec["progressDeadlineSeconds"] == 600 + 120 + 300


def test_vllm_streams_weights_and_may_reach_them() -> None:
    config = {"runtime": {}, **LEAST["vllm"]}
    config["runtime"] = {**config["runtime"], "weights_url": "s3://weights/a/1"}
    found = r.models(platform={"keda": {}}, models={"a": config})
    assert container(found)["command"][-1] == "s3://weights/a/1"
    assert flags(found)["--load-format"] == "runai_streamer"
    assert "model" not in mounts(found).values()
    _, *exits = r.manifest(found, "NetworkPolicy")["spec"]["egress"]
    assert [
        (peer["ipBlock"]["cidr"], port["port"])
        for rule in exits
        for peer in rule["to"]
        for port in rule["ports"]
    ] == [("0.0.0.0/0", 443), ("169.254.170.23/32", 80)]
    labels = r.manifest(found, "Deployment")["metadata"]["labels"]
    other = {
        **config,
        "runtime": {**config["runtime"], "weights_url": "s3://weights/a/2"},
    }
    again = r.models(platform={"keda": {}}, models={"a": other})
    changed = r.manifest(again, "Deployment")["metadata"]["labels"]
    assert labels["app.kubernetes.io/version"] != changed["app.kubernetes.io/version"]
    (exit_,) = r.manifest(one("vllm"), "NetworkPolicy")["spec"]["egress"]
    assert {p["port"] for p in exit_["ports"]} == {53}


def test_vllm_scales_by_its_cache_too() -> None:
    spec = r.manifest(one("vllm", kv_cache_percent=60), "ScaledObject")["spec"]
    inflight, cache = (t["metadata"] for t in spec["triggers"])
    assert "model_inflight{" in inflight["query"]
    assert cache["query"].startswith("sum(vllm:kv_cache_usage_perc{server=")
    assert cache["threshold"] == "0.6"
    assert cache["ignoreNullValues"] == "false"


@pytest.mark.parametrize(
    ("billions", "dtype", "gib"),
    [
        (70, "bfloat16", 130.4),
        (70, "fp8", 65.2),
        (8, "int4", 3.7),
        (8, "float32", 29.8),
    ],
)
def test_weights_are_as_large_as_their_parameters(
    billions: float, dtype: Any, gib: float
) -> None:
    assert vllm_plan.weights_gib(billions, dtype) == pytest.approx(gib, abs=0.05)


def example() -> dict[str, Any]:
    """The settings of the stack models.gpu."""
    text = stack_files.path("models.gpu").read_text()
    found: dict[str, Any] = yaml.safe_load(text)["config"]
    return {key.removeprefix("slipway:"): value for key, value in found.items()}


@pytest.mark.parametrize(
    ("pool", "types", "reason"),
    [
        ("l40", ["g6e.2xlarge"], "the cluster has no such pool"),
        ("l4-shared", ["g6.xlarge"], "its GPUs are shared (time_slicing)"),
        ("l40s", ["g6e.2xlarge"], "may also have g6e.12xlarge, g6e.4xlarge"),
    ],
)
def test_a_pool_is_looked_up_in_the_clusters_stack(
    pool: str, types: list[str], reason: str
) -> None:
    config = example()
    gpus = {"pool": pool, "instance_types": types}
    config["models"]["reranker"]["runtime"]["gpus"] = gpus
    small = {"cpu_request_millicores": 500, "memory_request_mib": 1024}
    config["models"]["reranker"]["resources"] = {**small, "memory_limit_mib": 2048}
    with pytest.raises(SettingsError) as caught:
        render("models.gpu", config=config, images=r.IMAGES)
    (problem,) = caught.value.problems
    assert problem.path.startswith("models.reranker.runtime.gpus.")
    assert reason in problem.reason


def test_the_example_tolerates_what_its_pools_bear() -> None:
    text = stack_files.path("cluster.prod").read_text()
    config = yaml.safe_load(text)["config"]
    cluster = parse(
        ClusterSettings,
        {key.removeprefix("slipway:"): value for key, value in config.items()},
        "cluster.prod",
    )
    found = render("models.gpu", images=r.IMAGES)
    seen = 0
    for m in found.manifests:
        if m["kind"] != "Deployment":
            continue
        pod = m["spec"]["template"]["spec"]
        name = pod.get("nodeSelector", {}).get(pool_nodes.POOL_LABEL)
        if name is None:
            continue
        place = pool_nodes.placement(name, cluster.pools[name])
        assert pod["nodeSelector"] == place.node_selector
        assert pod["tolerations"] == place.tolerations
        asked = pod["containers"][0]["resources"]["limits"]
        assert place.resource in asked
        seen += 1
    assert seen == 2


def test_the_errors_shown_are_those_reported() -> None:
    config = example()
    config["models"]["income"]["scaling"] = {
        "signal": "inflight",
        "inflight_per_replica": 8,
    }
    gpus = {"instance_types": ["g6e.12xlarge"], "replica_gpus": 2}
    config["models"]["assistant"]["runtime"]["gpus"] = {
        **gpus,
        "tensor_parallel_gpus": 2,
    }
    with pytest.raises(SettingsError) as caught:
        render("models.gpu", config=config, images=r.IMAGES)
    assert len(caught.value.problems) == 2
    for problem in caught.value.problems:
        assert f"```\n{problem}\n```\n" in PAGE
