"""Traffic policies as Envoy's fields: each leaf is written, reported or rejected.

https://gateway.envoyproxy.io/docs/api/extension_types/#backendtrafficpolicyspec
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.platform.gateway import REQUEST_ID
from components.settings import Problem, SettingsError
from slipway.compose import durations
from slipway.compose.composition import Composition
from slipway.compose.objects import (
    Object,
    Objects,
    name_of,
    namespace_of,
    path_of,
    problem,
)

Envoy = dict[str, Any]
_PASSIVE = "healthCheck.passive."
_ANY, _DURATION = "any", "duration"
_WRITTEN = {
    "timeout.tcp.connectTimeout": _DURATION,
    "timeout.http.streamIdleTimeout": _DURATION,
    "tcpKeepalive.idleTime": _DURATION,
    "tcpKeepalive.interval": _DURATION,
    "tcpKeepalive.probes": _ANY,
    "circuitBreaker.maxConnections": _ANY,
    "circuitBreaker.maxPendingRequests": _ANY,
    "circuitBreaker.maxParallelRequests": _ANY,
    "circuitBreaker.maxParallelRetries": _ANY,
    "retry.numRetries": _ANY,
    "retry.retryOn.triggers[]": _ANY,
    "retry.perRetry.timeout": _DURATION,
    "retry.perRetry.backOff.baseInterval": _DURATION,
    "retry.perRetry.backOff.maxInterval": _DURATION,
}
"""Leaves of a BackendTrafficPolicy that are written for Envoy, with their meaning."""
_TOLD = {
    _PASSIVE + "splitExternalLocalOriginErrors": _ANY,
    _PASSIVE + "consecutiveLocalOriginFailures": _ANY,
    _PASSIVE + "consecutive5XxErrors": _ANY,
    _PASSIVE + "consecutiveGatewayErrors": _ANY,
    _PASSIVE + "interval": _DURATION,
    _PASSIVE + "baseEjectionTime": _DURATION,
    _PASSIVE + "maxEjectionPercent": _ANY,
}
_TARGET = dict.fromkeys(
    ("targetRefs[].group", "targetRefs[].kind", "targetRefs[].name"), _ANY
)
_CLIENT = {
    "headers.requestID": _ANY,
    "headers.earlyRequestHeaders.addIfAbsent[].name": _ANY,
    "headers.earlyRequestHeaders.addIfAbsent[].value": _ANY,
    "connection.connectionLimit.value": _ANY,
    "timeout.http.requestReceivedTimeout": _DURATION,
}
_CLIENT_TLS = {"tls.minVersion": _ANY, "tls.ciphers[]": _ANY}
_REASON = "the gateway of Compose would not apply it"
_FIX = "remove it from the stack, or run the stack on a cluster"
_BREAKERS = {
    "maxConnections": "max_connections",
    "maxPendingRequests": "max_pending_requests",
    "maxParallelRequests": "max_requests",
    "maxParallelRetries": "max_retries",
}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and values of all leaves: `targetRefs[].name`. An empty one is a leaf."""
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from leaves(one, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for one in value:
            yield from leaves(one, f"{path}[]")
    else:
        yield path, value


def check(composition: Composition, objects: Objects) -> None:
    """Reject untranslated leaves, and add a remark for each difference."""
    for policy in objects.kind("SecurityPolicy", "EnvoyExtensionPolicy"):
        raise _refused(policy, "spec", sorted(policy["spec"]))
    for policy in objects.kind("BackendTrafficPolicy"):
        _hold(policy, _WRITTEN | _TOLD | _TARGET)
        _targets(composition, objects, policy)
        if passive := _policy_text(policy, _TOLD):
            composition.add_remark(
                "The gateway takes a replica out at its first failed connection, "
                "until its health check passes; a cluster's gateway follows its "
                f"policy: {passive}."
            )
    clients = objects.kind("ClientTrafficPolicy")
    for policy in clients[1:]:
        raise _refused(policy, "spec", sorted(policy["spec"]))
    for policy in clients:
        _hold(policy, _CLIENT | _CLIENT_TLS | _TARGET)
        given = policy["spec"].get("headers")
        if given not in (None, REQUEST_ID):
            raise _refused(policy, "spec.headers", given)
        for one in policy["spec"]["targetRefs"]:
            if not _exists(objects, one, namespace_of(policy)):
                raise _refused(policy, "spec.targetRefs", one)
        if tls := _policy_text(policy, _CLIENT_TLS):
            composition.add_remark(f"The gateway has no TLS; a cluster's has: {tls}.")


def _hold(policy: Object, known: Mapping[str, str]) -> None:
    found = list(_problems(policy, known))
    if found:
        raise SettingsError("slipway compose", found)


def _problems(policy: Object, known: Mapping[str, str]) -> Iterator[Problem]:
    for path, value in leaves(policy["spec"]):
        where = path_of(policy, f"spec.{path}")
        if path not in known:
            yield Problem(where, value, _REASON, _FIX)
        elif known[path] == _DURATION:
            try:
                durations.seconds(str(value))
            except ValueError as error:
                yield Problem(where, value, str(error), "give one, such as 10s")


def _refused(policy: Object, path: str, value: Any) -> Exception:
    return problem(policy, path, value, _REASON, _FIX)


def _policy_text(policy: Object, paths: Mapping[str, str]) -> str:
    found = [
        f"{path.removeprefix(_PASSIVE)} {value}"
        for path, value in leaves(policy["spec"])
        if path in paths
    ]
    return ", ".join(found)


def _exists(objects: Objects, target: Object, namespace: str) -> bool:
    found = objects.find(target["kind"], target["name"], namespace)
    group = str((found or {}).get("apiVersion", "")).partition("/")[0]
    return found is not None and target.get("group", group) == group


def _targets(composition: Composition, objects: Objects, policy: Object) -> None:
    for one in policy["spec"]["targetRefs"]:
        if not _exists(objects, one, namespace_of(policy)):
            raise _refused(policy, "spec.targetRefs", one)
        if one["kind"] == "HTTPRoute":
            continue
        said = ", ".join(f"{path} {value}" for path, value in leaves(policy["spec"]))
        composition.add_remark(
            f"The gateway routes no {one['kind']}, so {name_of(policy)} has no "
            f"effect: {said}."
        )


def of(objects: Objects, route: Object) -> Object:
    """Return the spec of a route's BackendTrafficPolicy; empty if there is none."""
    own = {"kind": route["kind"], "name": name_of(route)}
    for policy in objects.kind("BackendTrafficPolicy"):
        spec: Object = policy["spec"]
        if namespace_of(policy) == namespace_of(route) and any(
            own.items() <= one.items() for one in spec["targetRefs"]
        ):
            return spec
    return {}


def retries(spec: Object, predicate: Envoy) -> Envoy:
    """The `retry_policy` of a route; empty where the policy says nothing.

    `predicate`: how another replica is chosen.
    """
    asked = spec.get("retry")
    if asked is None:
        return {}
    found: Envoy = {"num_retries": asked.get("numRetries", 2)}
    if triggers := asked.get("retryOn", {}).get("triggers"):
        found = {"retry_on": ",".join(triggers), **found, **predicate}
    per = asked.get("perRetry", {})
    if limit := per.get("timeout"):
        found["per_try_timeout"] = durations.envoy(limit)
    names = {"baseInterval": "base_interval", "maxInterval": "max_interval"}
    if wait := per.get("backOff"):
        found["retry_back_off"] = {
            names[name]: durations.envoy(value) for name, value in wait.items()
        }
    return {"retry_policy": found}


def cluster(spec: Object) -> Envoy:
    """Return the fields of the clusters of a route with this policy."""
    found: Envoy = {}
    if limit := spec.get("timeout", {}).get("tcp", {}).get("connectTimeout"):
        found["connect_timeout"] = durations.envoy(limit)
    if breaker := spec.get("circuitBreaker"):
        limits = {_BREAKERS[name]: value for name, value in breaker.items()}
        found["circuit_breakers"] = {"thresholds": [{"max_retries": 1024, **limits}]}
    if alive := spec.get("tcpKeepalive"):
        kept: Envoy = {}
        if "probes" in alive:
            kept["keepalive_probes"] = alive["probes"]
        for name, field in (("idleTime", "time"), ("interval", "interval")):
            if name in alive:
                kept[f"keepalive_{field}"] = int(durations.seconds(alive[name]))
        found["upstream_connection_options"] = {"tcp_keepalive": kept}
    return found
