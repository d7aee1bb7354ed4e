"""What an application brings, on one machine with Compose: the same, or told."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest

from components.settings import SettingsError
from slipway.compose.composition import Composition
from slipway.compose.objects import Objects
from slipway.compose.stack import translated
from tests.support import composed
from tests.support import rendered as r
from tests.unit.test_application import APPLICATION

NAME = "employment"


@functools.cache
def plain() -> Composition:
    return composition()


def composition(**args: Any) -> Composition:
    config = {**r.EMPLOYMENT, **args}
    models = r.models(
        models={NAME: config, "cache": {"model_image": "employment", "model": "cache"}}
    )
    with composed.locked(r.IMAGES):
        return translated(
            "models.test",
            Objects.of(models.manifests),
            composed.objects("platform.lab"),
        )


@functools.cache
def whole() -> Composition:
    return composition(**APPLICATION)


def interpolated(text: str, variables: dict[str, str]) -> str:
    """As Compose replaces variables in a value (compose-spec, Interpolation)."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match[1] not in variables:
            raise LookupError(match[2])
        return variables[match[1]]

    return re.sub(r"\$\$|\$\{(\w+):\?([^}]*)\}", value, text)


def test_variables_are_the_same_text() -> None:
    said = whole().services[NAME]["environment"]
    for name, value in APPLICATION["environment"].items():
        assert interpolated(said[name], {}) == value


@pytest.mark.parametrize("value", ["$(A)", "$$(A)", "$", "$$", "${A}", "$A", "a$$$b"])
def test_whatever_stands_in_a_value_reaches_the_program(value: str) -> None:
    said = composition(environment={"X": value}).services[NAME]["environment"]
    assert interpolated(said["X"], {"A": "replaced"}) == value


def test_a_variable_of_a_secret_comes_from_the_file_beside_it() -> None:
    said = whole().services[NAME]["environment"]["DATABASE_PASSWORD"]
    name = "SECRET_DATABASE_PASSWORD"
    assert interpolated(said, {name: "it's $1"}) == "it's $1"
    with pytest.raises(LookupError, match=r"key password of the Secret database"):
        interpolated(said, {})
    assert any(f"{name}='...'" in line for line in whole().limits)


def test_a_file_of_a_secret_is_one_beside_it_and_never_written() -> None:
    mounts = {
        m["target"]: m
        for m in whole().services[NAME]["volumes"]
        if m["source"].startswith("./secrets/")
    }
    assert {target: m["source"] for target, m in mounts.items()} == {
        "/etc/database/ca.crt": "./secrets/database/ca.crt",
        "/etc/database/client/tls.key": "./secrets/database/tls.key",
        "/etc/database/client/team": "./secrets/team/name",
    }
    for mount in mounts.values():
        assert mount["read_only"]
        assert mount["bind"] == {"create_host_path": False}
        assert any(mount["source"][2:] in line for line in whole().limits)
    assert not any(path.startswith("secrets") for path in whole().all_files())


def test_two_keys_never_share_a_variable() -> None:
    clash = {
        "a-b": {"variables": {"ONE": "key"}},
        "a.b": {"variables": {"TWO": "key"}},
    }
    with pytest.raises(SettingsError, match=r"already stands for a-b/key"):
        composition(secrets=clash)


@pytest.mark.parametrize(
    ("egress", "networks", "said"),
    [
        ({"cidr": "10.0.0.0/8"}, {"outside"}, "on every port"),
        ({"namespace": "data", "pods": {"a": "b"}}, {"namespace-data"}, "aliases"),
        ({"namespace": "data"}, {"namespace-data"}, "compose.override.yaml"),
        (
            {"pods": {"app.kubernetes.io/instance": "cache"}},
            {"model-cache"},
            None,
        ),
        ({"pods": {"app": "other"}}, {"namespace-models"}, "aliases"),
    ],
)
def test_it_is_in_the_networks_of_whom_it_may_call(
    egress: dict[str, Any], networks: set[str], said: str | None
) -> None:
    found = composition(egress=[{**egress, "ports": [5432]}])
    service = found.services[NAME]
    own = set(plain().services[NAME]["networks"])
    assert set(service["networks"]) == own | networks
    assert networks <= set(found.networks)
    for name in networks - {"outside"}:
        assert found.networks[name] == {"internal": True}
    assert ("dns" in service) is (networks != {"outside"})
    new = set(found.limits) - set(plain().limits)
    assert any(said in line for line in new) if said else not new
    assert others(found) == others(plain()), "only its own networks change"


def others(found: Composition) -> dict[str, Any]:
    return {n: s.get("networks") for n, s in found.services.items() if n != NAME}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"node_selector": {"team": "a"}}, "node_selector has no effect"),
        ({"service_account": {"annotations": {"a": "b"}}}, "have no effect here"),
        ({"service_account": {"pod_identity": True}}, "service accounts get no role"),
    ],
)
def test_what_has_no_counterpart_is_reported(args: dict[str, Any], said: str) -> None:
    found = composition(**args)
    assert any(said in line for line in found.limits)
    assert not any(said in line for line in plain().limits)
    assert found.services[NAME]["networks"] == plain().services[NAME]["networks"]
