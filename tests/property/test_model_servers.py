"""Whatever the settings accept renders to manifests that keep the promises.

Every example is a stack of several models, so that one run of the program tests many.
"""

from __future__ import annotations

import ipaddress
import math
from typing import Any

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.serving.models_settings import ModelsSettings
from components.serving.runtimes import ours, own_server
from components.settings import SettingsError, parse
from slipway import stack_schema
from tests.support import applications, pod_security, schemas
from tests.support.rendered import models, reference

Draw = Any
Config = dict[str, Any]
MODELS_PER_STACK = 6
FEW = settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
EXIT_SECONDS = 3
SCHEMA = jsonschema.Draft202012Validator(stack_schema.of_layer("models"))
"""What editors check stack files with."""


@st.composite
def scaling(draw: Draw) -> Config:
    least = draw(st.integers(1, 1000))
    return {
        "min_replicas": least,
        "max_replicas": draw(st.integers(least, 1000)),
        "cpu_percent": draw(st.integers(5, 100)),
        "scale_down_seconds": draw(st.integers(0, 3600)),
        "max_unavailable": draw(st.integers(1, max(1, min(100, least - 1)))),
        "accept_single_replica": least == 1 or draw(st.booleans()),
    }


@st.composite
def resources(draw: Draw) -> Config:
    cpu = draw(st.integers(12, 512_000))
    memory = draw(st.integers(64, 4_194_304))
    return {
        # A target of 100 % must be below the limit by more than the autoscaler's 10 %.
        "cpu_request_millicores": draw(st.integers(10, (10 * cpu - 1) // 11)),
        "cpu_limit_millicores": cpu,
        "memory_request_mib": draw(st.integers(32, memory)),
        "memory_limit_mib": memory,
    }


def hold_bodies(args: Config) -> None:
    """Gives the replica the memory that reading its largest body takes."""
    body_kib = args.get("requests", {}).get("max_body_kib", 1024)
    memory = ours.OWN_MEMORY
    times = memory.per_body + own_server.GRPC_SHARES
    needed = memory.server_mib + math.ceil(times * body_kib / 1024)
    if args.get("resources", {}).get("memory_limit_mib", 512) < needed:
        args["resources"] = args.get("resources", {}) | {"memory_limit_mib": needed}


@st.composite
def lifecycle(draw: Draw) -> Config:
    drain = draw(st.integers(1, 3600))
    before = draw(st.integers(0, 600))
    after = draw(st.integers(max(0, 3 - before), 600))
    return {
        "startup_seconds": draw(st.integers(5, 7200)),
        "pre_stop_seconds": before,
        "deregistration_seconds": after,
        "drain_seconds": drain,
        "longest_request_seconds": draw(st.integers(1, drain)),
        "grace_seconds": draw(st.integers(before + after + drain + 3, 7200)),
    }


@st.composite
def requests(draw: Draw) -> Config:
    queue = draw(st.integers(1, 1_048_576))
    return {
        "max_body_kib": draw(st.integers(1, 65_536)),
        "max_request_rows": draw(st.integers(1, min(queue, 65_536))),
        "max_batch_rows": draw(st.integers(1, 65_536)),
        "max_queue_rows": queue,
    }


@st.composite
def prediction_log(draw: Draw) -> Config:
    total = draw(st.integers(2, 1_048_576))
    return {
        "enabled": draw(st.booleans()),
        "total_mib": total,
        "file_mib": draw(st.integers(1, min(total, 16_384))),
        "file_seconds": draw(st.integers(1, 86_400)),
    }


def alerts() -> st.SearchStrategy[Config]:
    return st.fixed_dictionaries(
        {
            "window_seconds": st.integers(60, 86_400),
            "for_seconds": st.integers(0, 86_400),
            "error_percent": st.floats(0.001, 99.9),
            "p99_milliseconds": st.floats(0.001, 1000),
            "queue_p99_milliseconds": st.floats(0.001, 1000),
            "saturation_percent": st.integers(1, 99),
        }
    )


def runtimes() -> st.SearchStrategy[Config]:
    ours = st.fixed_dictionaries({"kind": st.just("onnx")}, optional={"grpc": BOOLEAN})
    paths = st.lists(ROUTES, max_size=3)
    kinds = st.sampled_from(["fastapi", "flask", "django"])
    return ours | st.fixed_dictionaries({"kind": kinds}, optional={"paths": paths})


BOOLEAN = st.booleans()
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
ROUTES = st.from_regex(r"(/[A-Za-z0-9][A-Za-z0-9._~-]{0,20}){1,4}", fullmatch=True)


@st.composite
def stack(draw: Draw) -> Config:
    names = draw(st.lists(NAMES, min_size=1, max_size=MODELS_PER_STACK, unique=True))
    prefixes = draw(
        st.lists(ROUTES, min_size=len(names), max_size=len(names), unique=True)
    )
    optional = {
        "image": st.sampled_from(["model-server", reference("other")]),
        "model": NAMES,
        "runtime": runtimes(),
        "scaling": scaling(),
        "resources": resources(),
        "lifecycle": lifecycle(),
        "requests": requests(),
        "prediction_log": prediction_log(),
        "alerts": alerts(),
        "arm": st.sampled_from(["stable", "canary", "shadow"]),
        "log_level": st.sampled_from(["debug", "info", "warning", "error"]),
    }
    found = {}
    for name, prefix in zip(names, prefixes, strict=True):
        args = draw(st.fixed_dictionaries({}, optional=optional))
        if draw(st.booleans()):
            args |= draw(applications.settings())
        args["model_image"] = "employment"
        hold_bodies(args)
        # All but ours need an image of their own.
        args.setdefault("image", reference("application"))
        if draw(st.booleans()):
            # Below the name, so that no path lies below another's.
            args["route"] = {"prefix": f"/{name}{prefix}"}
        found[name] = args
    return found


def by_kind(manifests: list[Config]) -> dict[str, dict[str, Config]]:
    """The objects by kind and by the model they belong to."""
    found: dict[str, dict[str, Config]] = {}
    for m in manifests:
        owner = m["metadata"]["labels"]["app.kubernetes.io/instance"]
        found.setdefault(m["kind"], {})[owner] = m
    return found


@FEW
@given(stack())
def test_what_is_accepted_keeps_the_promises(config: Config) -> None:
    assert list(SCHEMA.iter_errors({"config": {"slipway:models": config}})) == []
    rendered = models(models=config)
    kinds = by_kind(rendered.manifests)
    for kind, objects in kinds.items():
        if kind in schemas.CUSTOM:
            continue
        assert set(objects) == set(config)
        for manifest in objects.values():
            assert schemas.problems(manifest) == []
    for name in config:
        deployment = kinds["Deployment"][name]["spec"]
        pod = deployment["template"]["spec"]
        assert pod_security.violations(pod) == []
        assert pod["automountServiceAccountToken"] is False
        assert "replicas" not in deployment
        keeps_enough_replicas(kinds, name)
        is_not_killed_early(pod, kinds.get("HTTPRoute", {}).get(name))
        policy = kinds["NetworkPolicy"][name]["spec"]
        denies_by_default(policy, deployment, config[name])
        is_pinned_and_bounded(pod)
        applications.gives_what_is_said(pod, config[name])


def keeps_enough_replicas(kinds: dict[str, dict[str, Config]], name: str) -> None:
    """An eviction is always possible, and never takes the last of several."""
    budget = kinds["PodDisruptionBudget"][name]["spec"]
    scale = kinds["HorizontalPodAutoscaler"][name]["spec"]
    assert budget["maxUnavailable"] >= 1
    assert "minAvailable" not in budget
    assert scale["minReplicas"] <= scale["maxReplicas"]
    if scale["minReplicas"] > 1:
        assert budget["maxUnavailable"] < scale["minReplicas"]


def is_not_killed_early(pod: Config, route: Config | None) -> None:
    """preStop, deregistration, drain and exit fit; the drain fits a whole request."""
    (container,) = pod["containers"]
    told = {e["name"]: e.get("value") for e in container["env"]}
    hook = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
    before = hook.get("seconds", 0)
    after = int(told["MODEL_SERVER_DEREGISTRATION_SECONDS"])
    drain = int(told["MODEL_SERVER_DRAIN_SECONDS"])
    needed = before + after + drain + EXIT_SECONDS
    assert pod["terminationGracePeriodSeconds"] >= needed
    assert before + after >= 3
    if route:
        # Those without one are the gateway's own answers.
        for rule in (r for r in route["spec"]["rules"] if "backendRefs" in r):
            assert int(rule["timeouts"]["request"].removesuffix("s")) <= drain


def denies_by_default(policy: Config, deployment: Config, asked: Config) -> None:
    """Every allowance names a port and a namespace, or is one that was asked for."""
    labels = deployment["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["podSelector"]["matchLabels"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    wanted = asked.get("egress", [])
    roles = asked.get("service_account", {}).get("pod_identity", False)
    assert len(policy["egress"]) == 1 + roles + len(wanted)
    own, more = policy["egress"][: 1 + roles], policy["egress"][1 + roles :]
    for rule, peers in [
        *((rule, rule["from"]) for rule in policy["ingress"]),
        *((rule, rule["to"]) for rule in own[:1]),
    ]:
        assert rule["ports"]
        assert peers
        for peer in peers:
            assert peer["namespaceSelector"]["matchLabels"]
            assert "ipBlock" not in peer
    for rule in own[1:]:
        assert rule["to"] == [{"ipBlock": {"cidr": "169.254.170.23/32"}}]
        assert rule["ports"] == [{"protocol": "TCP", "port": 80}]
    for rule, one in zip(more, wanted, strict=True):
        assert [p["port"] for p in rule["ports"]] == one["ports"]
        assert {p["protocol"] for p in rule["ports"]} == {one.get("protocol", "TCP")}
        (peer,) = rule["to"]
        if "cidr" in one:
            block = peer["ipBlock"]
            assert block["cidr"] == one["cidr"]
            inside = METADATA in ipaddress.ip_network(one["cidr"])
            assert block.get("except", []) == [f"{METADATA}/32"] * inside
        else:
            (space,) = peer["namespaceSelector"]["matchLabels"].values()
            assert space == one["namespace"]
            chosen = peer.get("podSelector", {}).get("matchLabels", {})
            assert chosen == one.get("pods", {})


METADATA = ipaddress.ip_address("169.254.169.254")


def is_pinned_and_bounded(pod: Config) -> None:
    """Every image by digest; requests and limits set; folders of a bounded size."""
    for container in pod["containers"]:
        assert "@sha256:" in container["image"]
        for kind in ("requests", "limits"):
            wanted = {"cpu", "ephemeral-storage", "memory"}
            assert set(container["resources"][kind]) == wanted
    for volume in pod["volumes"]:
        if "image" in volume:
            assert "@sha256:" in volume["image"]["reference"]
        elif "projected" in volume:
            assert volume["projected"]["defaultMode"] == 0o440
        else:
            assert volume["emptyDir"]["sizeLimit"]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=6,
)
PATHS = st.sampled_from(
    [
        (),
        ("cluster",),
        ("cluster", "kubeconfig"),
        ("platform", "namespace"),
        ("models",),
        ("models", "a"),
        ("models", "a", "image"),
        ("models", "a", "route", "prefix"),
        ("models", "a", "scaling"),
        ("models", "a", "scaling", "min_replicas"),
        ("models", "a", "lifecycle", "grace_seconds"),
        ("models", "a", "alerts", "error_percent"),
        ("models", "a", "arm"),
        ("models", "a", "environment"),
        ("models", "a", "environment", "A"),
        ("models", "a", "secrets"),
        ("models", "a", "secrets", "s"),
        ("models", "a", "secrets", "s", "variables"),
        ("models", "a", "secrets", "s", "files"),
        ("models", "a", "egress"),
        ("models", "a", "node_selector"),
        ("models", "a", "service_account", "annotations"),
    ]
)


@settings(max_examples=300)
@given(PATHS, JUNK)
def test_junk_is_taken_or_refused_with_words(path: tuple[str, ...], junk: Any) -> None:
    image = reference("model")
    config: Config = {
        "cluster": {},
        "platform": {},
        "models": {
            "a": {
                "image": image,
                "model_image": image,
                "route": {"prefix": "/a"},
                "scaling": {},
                "lifecycle": {},
                "alerts": {},
                "environment": {},
                "secrets": {"s": {"variables": {"B": "b"}}},
                "service_account": {},
            }
        },
    }
    place = config
    for part in path[:-1]:
        place = place[part]
    place[path[-1] if path else "more"] = junk
    try:
        parse(ModelsSettings, config, "a test")
    except SettingsError as error:
        refused = error
    else:
        return
    assert refused.problems
    for problem in refused.problems:
        assert problem.path
        assert problem.reason
        assert problem.fix
        assert problem.fix != "see docs/reference"
    assert len(str(refused)) < 5000
