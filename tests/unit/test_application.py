"""What an application brings, by every kind of server, read from captured data."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest
import yaml

from components.security import secret_shapes
from components.serving.models_settings import ModelsSettings
from components.serving.pods import pod_environment
from components.settings import SettingsError, parse
from slipway.rendering.render import Rendered, render
from tests.support import kubernetes
from tests.support import rendered as r
from tests.support.policies import World, allowed, namespace, pod, policy
from tests.unit.test_runtimes import KINDS, LEAST
from toolchain import paths

PAGE = (paths.ROOT / "docs" / "how-to" / "deploy-an-application.md").read_text()
APPLICATION: dict[str, Any] = {
    "environment": {"DATABASE_HOST": "postgres.data.svc", "GREETING": "$(HOME) $$5"},
    "secrets": {
        "database": {
            "variables": {"DATABASE_PASSWORD": "password"},
            "files": {
                "/etc/database/ca.crt": "ca.crt",
                "/etc/database/client/tls.key": "tls.key",
            },
        },
        "team": {"files": {"/etc/database/client/team": "name"}},
    },
    "egress": [
        {"namespace": "data", "pods": {"app": "postgres"}, "ports": [5432]},
        {"cidr": "203.0.113.0/24", "ports": [443]},
        {"cidr": "0.0.0.0/0", "ports": [80]},
        {"pods": {"app": "cache"}, "ports": [6379], "protocol": "UDP"},
    ],
    "node_selector": {"team": "models"},
    "service_account": {"annotations": {"iam.gke.io/gcp-service-account": "m@x"}},
}


def application(kind: str = "onnx", **more: Any) -> Rendered:
    config = {"runtime": {"kind": kind}, **r.EMPLOYMENT, **LEAST[kind], **APPLICATION}
    return r.models(platform={"keda": {}}, models={"employment": {**config, **more}})


@pytest.mark.parametrize("kind", LEAST)
def test_every_kind_of_server_is_given_all_of_it(kind: str) -> None:
    rendered = application(kind)
    found = r.pod(rendered)
    (container,) = found["containers"]
    told = {e["name"]: e for e in container["env"]}
    assert told["DATABASE_HOST"]["value"] == "postgres.data.svc"
    assert kubernetes.expanded(told["GREETING"]["value"], {"HOME": "/"}) == (
        "$(HOME) $$5"
    )
    reference = {"name": "database", "key": "password"}
    assert told["DATABASE_PASSWORD"]["valueFrom"] == {"secretKeyRef": reference}
    assert kubernetes.files(found) == {
        "/etc/database/ca.crt": ("database", "ca.crt"),
        "/etc/database/client/tls.key": ("database", "tls.key"),
        "/etc/database/client/team": ("team", "name"),
    }
    assert found["nodeSelector"] == {"team": "models"}
    account = r.manifest(rendered, "ServiceAccount")
    annotations = {"iam.gke.io/gcp-service-account": "m@x"}
    assert account["metadata"]["annotations"] == annotations
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("kind", LEAST)
def test_what_a_server_sets_and_mounts_is_known_to_be_taken(kind: str) -> None:
    """Else settings of the same name would override it in silence."""
    config = {"runtime": {"kind": kind}, **r.EMPLOYMENT, **LEAST[kind]}
    rendered = r.models(platform={"keda": {}}, models={"employment": config})
    (container,) = r.pod(rendered)["containers"]
    names = [variable["name"] for variable in container["env"]]
    files = [f"{mount['mountPath']}/a/b" for mount in container["volumeMounts"]]
    config |= {
        "environment": dict.fromkeys(names, "x"),
        "secrets": {"s": {"files": dict.fromkeys(files, "key")}},
    }
    refused = refusals(config)
    assert set(refused) == {
        *(f"models.employment.environment.{name}" for name in names),
        *(f"models.employment.secrets.s.files.{file}" for file in files),
    }
    assert KINDS[kind]


def refusals(config: dict[str, Any]) -> dict[str, str]:
    """Why a model with these settings is refused, by path."""
    images = {"model_image": r.reference("m"), "image": r.reference("i")}
    model = {**config, **images}
    raw = {"platform": {"keda": {}}, "models": {"employment": model}}
    with pytest.raises(SettingsError) as caught:
        parse(ModelsSettings, raw, "a test")
    return {problem.path: str(problem) for problem in caught.value.problems}


def test_revisions_share_what_the_application_brings() -> None:
    revisions = {
        name: {"model_image": "employment", "weight": weight}
        for name, weight in (("one", 90), ("two", 10))
    }
    config = {"route": {"prefix": "/e"}, "revisions": revisions, **APPLICATION}
    rendered = r.models(models={"employment": config})
    pods = [
        m["spec"]["template"]["spec"]
        for m in rendered.manifests
        if m["kind"] == "Deployment"
    ]
    assert len(pods) == 2
    for one in pods:
        names = [e["name"] for e in one["containers"][0]["env"]]
        assert {"DATABASE_HOST", "DATABASE_PASSWORD"} <= set(names)
        assert len(kubernetes.files(one)) == 3


@pytest.mark.parametrize(
    ("value", "variables"),
    [
        (value, {"A": "x"})
        for value in ("$(A)", "$$(A)", "$", "$$", "a$b", "$A$$", "$(A", "", "$$$", "30")
    ],
)
def test_a_value_reaches_the_program_as_it_was_written(
    value: str, variables: dict[str, str]
) -> None:
    assert kubernetes.expanded(pod_environment.literal(value), variables) == value


def test_the_page_shows_what_is_taken_and_what_is_refused() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found = yaml.safe_load(block)["config"]
    config = {key.removeprefix("slipway:"): value for key, value in found.items()}
    rendered = render("models.mine", config=config, images=r.IMAGES)
    assert kubernetes.files(r.pod(rendered))
    address = "postgresql://app:hunter2@postgres.data/app"
    config["models"]["scoring"]["environment"] = {"DATABASE_URL": address}
    with pytest.raises(SettingsError) as caught:
        render("models.mine", config=config, images=r.IMAGES)
    assert f"\n```\n{caught.value}\n```\n" in PAGE


# Whom it may call: the rendered policy, by the agent and by the documentation


SOURCE = "10.1.0.1"
DATABASE, OTHER, ELSEWHERE, CACHE = "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5"
NODE = "169.254.169.254"


def world(**more: Any) -> World:
    manifest = r.manifest(application(**more), "NetworkPolicy")
    labels = manifest["spec"]["podSelector"]["matchLabels"]
    spec = {k: v for k, v in manifest["spec"].items() if k != "podSelector"}
    return World(
        namespaces=[namespace("models"), namespace("data"), namespace("other")],
        pods=[
            pod("server", SOURCE, namespace="models", **labels),
            pod("database", DATABASE, namespace="data", app="postgres"),
            pod("neighbour", OTHER, namespace="data", app="other"),
            pod("same-label", ELSEWHERE, namespace="other", app="postgres"),
            pod("cache", CACHE, namespace="models", app="cache"),
        ],
        policies=[policy(spec, namespace="models", **labels)],
    )


ASKED = functools.cache(world)
CLOSED = functools.cache(functools.partial(world, egress=[]))


@pytest.mark.parametrize(
    ("target", "port", "protocol", "may"),
    [
        (DATABASE, 5432, "TCP", True),
        (DATABASE, 5433, "TCP", False),
        (DATABASE, 5432, "UDP", False),
        (OTHER, 5432, "TCP", False),
        (ELSEWHERE, 5432, "TCP", False),
        (CACHE, 6379, "UDP", True),
        (CACHE, 6379, "TCP", False),
        ("203.0.113.7", 443, "TCP", True),
        ("203.0.114.7", 443, "TCP", False),
        ("203.0.114.7", 80, "TCP", True),
        (NODE, 80, "TCP", False),
    ],
)
def test_the_policy_agent_lets_it_call_these_and_no_others(
    target: str, port: int, protocol: str, may: bool
) -> None:
    made = ASKED()
    assert made.lets(SOURCE, target, port, protocol) is may
    assert allowed(made, SOURCE, target, port, protocol) is may
    assert not CLOSED().lets(SOURCE, target, port, protocol)


def test_a_role_opens_the_way_to_the_nodes_agent_alone() -> None:
    asked = world(egress=[], service_account={"pod_identity": True})
    assert asked.lets(SOURCE, "169.254.170.23", 80)
    assert not asked.lets(SOURCE, "169.254.170.23", 443)
    assert not asked.lets(SOURCE, NODE, 80)
    assert not CLOSED().lets(SOURCE, "169.254.170.23", 80)


# Secrets in plain text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_PASSWORD", "x"),
        ("PGPASSWORD", "x"),
        ("dbPassword", "x"),
        ("SMTP_PASS", "12345"),
        ("REDIS_PWD", "x"),
        ("API_KEY", "x"),
        ("OPENAI_API_KEY", "x"),
        ("SECRET_KEY_BASE", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AZURE_CLIENT_SECRET", "x"),
        ("HF_TOKEN", "x"),
        ("spring.datasource.password", "x"),
        ("GOOGLE_CREDENTIALS", "{}"),
        ("DATABASE_URL", "postgresql://app:pw@db/app"),
        ("BROKER", "redis://:pw@cache:6379/0"),
        ("JDBC", "jdbc:postgresql://db/app?user=a&password=pw"),
        ("ODBC", "Server=db;Uid=a;Pwd=pw;"),
        ("STORAGE", "AccountName=a;AccountKey=abc=="),
        ("X", "AKIA" + "A" * 16),
        ("X", "ghp_" + "a" * 36),
        ("X", "eyJhbGciOiJI.eyJzdWIiOiIx.c2ln"),
        ("CERT", "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----"),
        ("CERT", "-----BEGIN RSA PRIVATE KEY-----\nMII"),
    ],
)
def test_what_looks_like_a_secret_is_refused_and_not_shown(
    name: str, value: str
) -> None:
    assert secret_shapes.found(name, value)
    config = {
        **r.EMPLOYMENT,
        "model_image": r.reference("m"),
        "image": r.reference("i"),
    }
    config["environment"] = {name: value}
    refused = refusals(config)[f"models.employment.environment.{name}"]
    assert "(not shown)" in refused
    if len(value) > 3:
        assert value not in refused
    config["accept_plain_text"] = [name]
    assert parse(ModelsSettings, {"models": {"employment": config}}, "a test")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_HOST", "postgres.data.svc"),
        ("PASSWORD_FILE", "/etc/database/password"),
        ("TOKEN_URL", "https://login.example.com/token"),
        ("TOKEN_TTL_SECONDS", "3600"),
        ("SECRET_NAME", "database"),
        ("API_KEY_HEADER", "x-api-key"),
        ("REQUIRE_TOKEN", "true"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("MAX_TOKENS", "4096"),
        ("COMPASS", "north"),
        ("PRIMARY_KEY_COLUMN", "id"),
        ("KEY", "value"),
        ("DATABASE_URL", "postgresql://app@db:5432/app?sslmode=verify-full"),
        ("MODEL_DIGEST", "sha256:" + "ab" * 32),
        ("CERT", "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----"),
    ],
)
def test_what_only_speaks_of_secrets_is_taken(name: str, value: str) -> None:
    assert secret_shapes.found(name, value) == ""
