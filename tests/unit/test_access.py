"""A model's access policies as plain data: their order, and what they never show."""

from __future__ import annotations

import functools
import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from components.platform import chart
from components.serving.routes import access
from components.settings import SettingsError
from slipway.rendering.render import Rendered
from tests.support import rendered as r

KEYS = {"api_keys": {"secret": "employment-keys"}}
JWT = {
    "issuer": "https://login.example.com/realm",
    "audiences": ["models"],
    "jwks_uri": "https://login.example.com/realm/keys",
}
PUBLIC = {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}
EACH, TOTAL = {"requests": 5}, {"requests": 600, "per": "minute"}


def with_access(**asked: Any) -> Rendered:
    return r.model(access=asked)


def spec(found: Rendered, kind: str) -> dict[str, Any]:
    content: dict[str, Any] = r.manifest(found, kind)["spec"]
    return content


def rules(**asked: Any) -> list[dict[str, Any]]:
    limit = spec(with_access(**asked), "BackendTrafficPolicy")["rateLimit"]
    found: list[dict[str, Any]] = limit["local"]["rules"]
    return found


def test_without_access_there_is_no_policy() -> None:
    found = r.model()
    assert "SecurityPolicy" not in {m["kind"] for m in found.manifests}
    said = r.manifest(found, "BackendTrafficPolicy")["spec"]
    assert not {"rateLimit", "requestBuffer", "responseOverride"} & set(said)


@pytest.mark.parametrize("kind", ["SecurityPolicy", "BackendTrafficPolicy"])
def test_access_policies_precede_the_route(kind: str) -> None:
    found = with_access(**KEYS)
    policy = r.resource(found, kind)
    assert policy.urn in r.resource(found, "HTTPRoute").depends_on
    (target,) = policy.inputs["spec"]["targetRefs"]
    route = r.manifest(found, "HTTPRoute")["metadata"]
    assert (target["kind"], target["name"]) == ("HTTPRoute", route["name"])
    assert policy.inputs["metadata"]["namespace"] == route["namespace"]


def test_keys_come_by_header_and_go_no_further() -> None:
    keys = spec(with_access(**KEYS), "SecurityPolicy")["apiKeyAuth"]
    assert keys["extractFrom"] == [{"headers": ["x-api-key"]}]
    assert keys["sanitize"] is True
    assert keys["forwardClientIDHeader"] == access.CLIENT_HEADER
    assert [c["name"] for c in keys["credentialRefs"]] == ["employment-keys"]


def test_tokens_come_by_header_and_name_the_client() -> None:
    (provider,) = spec(with_access(jwt=JWT), "SecurityPolicy")["jwt"]["providers"]
    assert provider["audiences"] == ["models"]
    assert provider["extractFrom"] == {"headers": [access.BEARER]}
    assert provider["remoteJWKS"] == {"uri": JWT["jwks_uri"]}
    assert provider["claimToHeaders"] == [
        {"claim": "sub", "header": access.SUBJECT_HEADER}
    ]


def test_the_token_is_removed_once_it_was_checked() -> None:
    removed = {"remove": ["Authorization"]}
    wanted = {"type": "RequestHeaderModifier", "requestHeaderModifier": removed}
    route = r.manifest(with_access(jwt=JWT), "HTTPRoute")
    to_models = [rule for rule in route["spec"]["rules"] if "backendRefs" in rule]
    assert to_models
    assert all(wanted in rule["filters"] for rule in to_models)
    kept = with_access(jwt={**JWT, "forward_token": True})
    assert "RequestHeaderModifier" not in json.dumps(kept.manifests)
    assert "RequestHeaderModifier" not in json.dumps(with_access(**KEYS).manifests)


def test_an_issuers_keys_may_stand_in_the_settings() -> None:
    found = with_access(jwt={**JWT, "jwks_uri": None, "jwks": PUBLIC})
    (provider,) = spec(found, "SecurityPolicy")["jwt"]["providers"]
    name = provider["localJWKS"]["valueRef"]["name"]
    config = next(m for m in found.manifests if m["metadata"]["name"] == name)
    assert json.loads(config["data"]["jwks"]) == PUBLIC


def test_each_client_has_a_rate_and_the_nameless_share_one() -> None:
    each, rest = rules(**KEYS, rate_per_client=EACH)
    (selector,) = each["clientSelectors"]
    assert selector["headers"] == [{"name": access.CLIENT_HEADER, "type": "Distinct"}]
    assert each["limit"] == {"requests": 5, "unit": "Second"}
    assert rest == {"limit": each["limit"]}
    token, _ = rules(jwt=JWT, rate_per_client=EACH)
    (header,) = token["clientSelectors"][0]["headers"]
    assert header["name"] == access.SUBJECT_HEADER


def test_the_rate_of_all_counts_every_request() -> None:
    each, total = rules(**KEYS, rate_per_client=EACH, rate_total=TOTAL)
    assert "clientSelectors" in each
    assert total["limit"] == {"requests": 600, "unit": "Minute"}
    # A rule without a selector would count those alone that no other rule does.
    assert total["clientSelectors"] == [{"path": {"type": "PathPrefix", "value": "/"}}]


def test_addresses_are_distinguished_of_both_kinds() -> None:
    found = rules(rate_per_client=EACH, clients_by="address")
    chosen = [rule["clientSelectors"][0]["sourceCIDR"] for rule in found[:2]]
    assert {c["type"] for c in chosen} == {"Distinct"}
    assert [c["value"] for c in chosen] == ["0.0.0.0/0", "::/0"]


def test_refusals_are_json_of_the_servers_form() -> None:
    found = with_access(**KEYS, rate_per_client=EACH, max_body_kib=64)
    policy = spec(found, "BackendTrafficPolicy")
    assert policy["requestBuffer"] == {"limit": "64Ki"}
    statuses = {}
    for answer in policy["responseOverride"]:
        assert answer["source"] == "Local", "the server's own answers stay"
        assert answer["response"]["contentType"] == "application/json"
        body = json.loads(answer["response"]["body"]["inline"])
        assert set(body) == {"error", "code"}
        statuses[answer["match"]["statusCodes"][0]["value"]] = body["code"]
    assert statuses == {
        401: "unauthorized",
        413: "body_too_large",
        429: "rate_limited",
    }


@pytest.mark.parametrize(
    "asked",
    [
        {**KEYS, "rate_per_client": EACH, "rate_total": TOTAL, "max_body_kib": 64},
        {"jwt": JWT},
        {"jwt": {**JWT, "jwks_uri": None, "jwks": PUBLIC}, "rate_per_client": EACH},
        {"rate_per_client": EACH, "clients_by": "address"},
    ],
)
def test_envoy_gateways_own_schemas_take_it(asked: dict[str, Any]) -> None:
    policies = [
        m
        for m in with_access(**asked).manifests
        if m["apiVersion"] == access.API_VERSION
    ]
    assert policies
    for policy in policies:
        validator(policy["kind"]).validate(policy)


def test_the_schemas_would_refuse_what_they_do_not_know() -> None:
    policy = r.manifest(with_access(**KEYS), "SecurityPolicy")
    policy["spec"]["apiKeyAuth"]["forwardClientIdHeader"] = "x-client-id"
    with pytest.raises(jsonschema.ValidationError):
        validator("SecurityPolicy").validate(policy)


@functools.cache
def validator(kind: str) -> Any:
    """Of one kind's objects, without room for names that the kind does not know."""
    crd = next(
        c for c in chart.envoy_gateway_crds() if c["spec"]["names"]["kind"] == kind
    )
    schema = crd["spec"]["versions"][-1]["schema"]["openAPIV3Schema"]
    return jsonschema.Draft202012Validator(_closed(schema))


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    known = closed.get("properties")
    if isinstance(known, dict) and known and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


# Keys of the stack file

MODEL = {"employment": {**r.EMPLOYMENT, "access": KEYS}}
KEY = "0123456789abcdef0123456789abcdef"


def with_keys(clients: dict[str, Any]) -> Rendered:
    return r.models(models=MODEL, client_keys={"employment-keys": clients})


def test_encrypted_keys_are_a_placeholder_in_a_rendering() -> None:
    found = with_keys({"alice": {"secure": "AAAB"}})
    assert "AAAB" not in "".join(found.files().values())
    assert r.resource(found, "Secret").has_secrets
    assert found.secrets == ["03-secret.models.employment-keys.yaml"]


@pytest.mark.parametrize(
    "clients",
    [{"alice": KEY}, {"alice": 12345678}, KEY, [KEY], {"bob smith": KEY}],
    ids=["plain", "number", "no clients", "list", "name"],
)
def test_no_error_shows_a_key(clients: Any) -> None:
    """Plain text is refused; beside an encrypted value it is a mistake like others."""
    for other in ({}, {"others": {"eve": {"secure": "AAAB"}}}):
        with pytest.raises(SettingsError) as caught:
            r.models(models=MODEL, client_keys={"employment-keys": clients, **other})
        assert KEY not in str(caught.value)
        assert "12345678" not in str(caught.value)


def test_weak_and_shared_keys_are_refused_and_not_shown() -> None:
    """Beside that they are in plain text."""
    with pytest.raises(SettingsError) as caught:
        with_keys({"a": "short", "b": KEY, "c": KEY, "d": {"secure": "AAAB"}})
    text = str(caught.value)
    assert "client_keys.employment-keys.a" in text
    assert "fewer than 20" in text
    assert "b has the same key" in text
    assert KEY not in text
    assert "short" not in text.replace("shorten", "")
