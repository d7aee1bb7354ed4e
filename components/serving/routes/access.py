"""Access control of a model at the gateway: Envoy Gateway policies of its HTTPRoute."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.contracts import HEADERS
from components.serving.settings.access_settings import SECONDS, Access, Jwt, Rate

API_VERSION = "gateway.envoyproxy.io/v1alpha1"
CLIENT_HEADER = HEADERS["client"]
"""Header that names the client to the model server and to the gateway's access log.
Where a key is required, the gateway overwrites the client's own value."""
SUBJECT_HEADER = HEADERS["subject"]
"""The same for a token. It is a separate header, because Envoy removes headers that
come from tokens from all requests of a listener, even where keys are required:
https://github.com/envoyproxy/envoy/pull/46586"""
PROVIDER = "issuer"
JWKS_KEY = "jwks"
"""Key of the ConfigMap from which Envoy Gateway reads a JSON Web Key Set."""
ANY_ADDRESS = ("0.0.0.0/0", "::/0")
BEARER = {"name": "Authorization", "valuePrefix": "Bearer "}
UNITS = {"second": "Second", "minute": "Minute", "hour": "Hour"}

Object = dict[str, Any]


@dataclass(frozen=True)
class Policy:
    """One object of Envoy Gateway."""

    kind: str
    spec: Object


def jwks_name(route: str) -> str:
    """Return the name of the ConfigMap with the issuer's public keys."""
    return f"{route}-jwks"


def jwks_data(jwt: Jwt) -> dict[str, str]:
    """Return the data of that ConfigMap."""
    return {JWKS_KEY: json.dumps(jwt.jwks, sort_keys=True)}


def request_filters(access: Access | None) -> list[Object]:
    """Return the filters that remove credentials from a request after the check.

    The holder of a caller's token can call everything else that trusts its issuer as
    that caller. Envoy removes an API key by itself (`sanitize`) but passes a token on.
    """
    if access is None or access.jwt is None or access.jwt.forward_token:
        return []
    removed = {"remove": [BEARER["name"]]}
    return [{"type": "RequestHeaderModifier", "requestHeaderModifier": removed}]


def policies(
    server: str, access: Access | None, traffic: Object, *, route: str = ""
) -> Iterator[Policy]:
    """Return the policies of the HTTPRoute; an invalid policy closes it with 500.

    `traffic`: the rest of its single BackendTrafficPolicy, because a second one would
    have no effect. `route`: the HTTPRoute, if it has not the server's name.
    """
    name = route or server
    targets = [
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}
    ]
    asked: Object = {}
    if access:
        if access.identifies:
            yield Policy(
                "SecurityPolicy", {"targetRefs": targets, **_identity(server, access)}
            )
        asked = {
            **_rates(access),
            **_body(access),
            "responseOverride": list(_answers(access)),
        }
    yield Policy("BackendTrafficPolicy", {"targetRefs": targets, **traffic, **asked})


def _identity(route: str, access: Access) -> Object:
    if access.api_keys:
        keys = access.api_keys
        return {
            "apiKeyAuth": {
                "credentialRefs": [
                    {"group": "", "kind": "Secret", "name": keys.secret}
                ],
                # Only from a header: addresses appear in logs.
                "extractFrom": [{"headers": [keys.header]}],
                "forwardClientIDHeader": CLIENT_HEADER,
                "sanitize": True,
            }
        }
    jwt = access.jwt
    assert jwt is not None
    provider: Object = {
        "name": PROVIDER,
        "issuer": jwt.issuer,
        "audiences": list(jwt.audiences),
        "claimToHeaders": [{"claim": jwt.client_claim, "header": SUBJECT_HEADER}],
        # Envoy would also look for one in the URL, which logs contain.
        "extractFrom": {"headers": [BEARER]},
    }
    if jwt.jwks_uri:
        provider["remoteJWKS"] = {"uri": jwt.jwks_uri}
    else:
        reference = {"group": "", "kind": "ConfigMap", "name": jwks_name(route)}
        provider["localJWKS"] = {"type": "ValueRef", "valueRef": reference}
    return {"jwt": {"providers": [provider]}}


def _rates(access: Access) -> Object:
    each, total = access.rate_per_client, access.rate_total
    rules: list[Object] = []
    if each and access.clients_by == "identity":
        header = CLIENT_HEADER if access.api_keys else SUBJECT_HEADER
        distinct = {"name": header, "type": "Distinct"}
        rules.append(_rule(each, {"headers": [distinct]}))
    elif each:
        rules += [
            _rule(each, {"sourceCIDR": {"type": "Distinct", "value": value}})
            for value in ANY_ADDRESS
        ]
    if total:
        # With a selector that matches all requests: a rule without one counts only
        # requests that no other rule matches.
        everything = {"path": {"type": "PathPrefix", "value": "/"}}
        rules.append(_rule(total, everything))
    elif each:
        # Tokens without the claim share one client's rate.
        rules.append(_rule(each))
    return {"rateLimit": {"local": {"rules": rules}}} if rules else {}


def _rule(rate: Rate, selector: Object | None = None) -> Object:
    limit = {"requests": rate.requests, "unit": UNITS[rate.per]}
    return {**({"clientSelectors": [selector]} if selector else {}), "limit": limit}


def _body(access: Access) -> Object:
    if access.max_body_kib is None:
        return {}
    return {"requestBuffer": {"limit": f"{access.max_body_kib}Ki"}}


def _answers(access: Access) -> Iterator[Object]:
    """The gateway's error responses, in the format of the model server's own."""
    if access.api_keys:
        header = access.api_keys.header
        yield _answer(401, "unauthorized", f"no key in {header}, or an unknown one")
    if access.jwt:
        yield _answer(
            401, "unauthorized", "no token in Authorization, or one that is not valid"
        )
        yield _answer(403, "forbidden", "the token is for another audience")
    rates = [rate for rate in (access.rate_per_client, access.rate_total) if rate]
    if rates:
        seconds = max(SECONDS[rate.per] for rate in rates)
        allowed = " and ".join(
            f"{rate} {whom}"
            for rate, whom in (
                (access.rate_per_client, "from each client"),
                (access.rate_total, "from all together"),
            )
            if rate
        )
        yield _answer(
            429,
            "rate_limited",
            f"more than {allowed}",
            {"retry-after": str(seconds)},
        )
    if access.max_body_kib:
        yield _answer(
            413, "body_too_large", f"more than {access.max_body_kib} KiB in one request"
        )


def _answer(
    status: int, code: str, error: str, headers: dict[str, str] | None = None
) -> Object:
    text = json.dumps({"error": error, "code": code})
    response: Object = {
        "contentType": "application/json",
        "body": {"type": "Inline", "inline": text},
    }
    if headers:
        listed = [{"name": name, "value": value} for name, value in headers.items()]
        response["header"] = {"set": listed}
    return {
        "match": {"statusCodes": [{"type": "Value", "value": status}]},
        # The model server's own responses stay unchanged.
        "source": "Local",
        "response": response,
    }
