"""The objects of one rollout in the API server, and what is read out of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout import mirror
from rollout import settings as settings_module
from rollout.actions import WriteRoute
from rollout.record import Entry
from rollout.seen import Route
from rollout.settings import Settings, SettingsError
from rollout.status import Status

FENCE = "slipway.dev/rollout-fence"
RULES = "slipway.dev/rollout-rules"
"""Annotation of the route: digest of the rules that it was made from."""
SETTINGS_KEY, PLACES_KEY, RULES_KEY, STATUS_KEY, ENTRY_KEY = (
    "settings.json",
    "places.json",
    "rules.json",
    "status.json",
    "entry.json",
)
ENTRY_LABEL = "slipway.dev/rollout-entry"

Object = dict[str, Any]

PARTS = 10_000
"""The weight of one percent in a rule."""
LEAST = 1
"""The weight of a revision at 0 %: one request in a million. Envoy Gateway 1.9 removes
the cluster of a backend with weight 0 before the proxies have the new route, and those
that still send to it answer 500 for some 30 ms (measured on 2026-11-30). A revision
that gets copies has 0: no caller may get its answers."""


@dataclass(frozen=True)
class Place:
    """Objects of a revision: their names in the rollout's namespace."""

    service: str
    deployment: str


@dataclass(frozen=True)
class Names:
    """Paths of one server's objects in the API."""

    namespace: str
    server: str

    @property
    def settings(self) -> str:
        """The stack's ConfigMap."""
        return f"{self.config_maps}/rollout-{self.server}"

    @property
    def status(self) -> str:
        """The controller's ConfigMap; the stack creates it and ignores its data."""
        return f"{self.config_maps}/rollout-{self.server}-status"

    @property
    def config_maps(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps"

    @property
    def route(self) -> str:
        """The weighted HTTPRoute; the stack creates it and ignores its rules."""
        group = "/apis/gateway.networking.k8s.io/v1"
        return f"{group}/namespaces/{self.namespace}/httproutes/{self.server}-traffic"

    def deployment(self, name: str) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}"

    def entry(self, entry: Entry) -> Object:
        """The ConfigMap of a ledger entry, which nobody can change."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"rollout-entry-{entry['id']}",
                "namespace": self.namespace,
                "labels": {ENTRY_LABEL: self.server},
            },
            "data": {ENTRY_KEY: _text(entry)},
            "immutable": True,
        }


def read_settings(config_map: Object) -> tuple[Settings, dict[str, Place]]:
    """The settings, and where each revision is; SettingsError for anything else."""
    try:
        data = config_map["data"]
        raw = json.loads(data[SETTINGS_KEY])
        places = json.loads(data[PLACES_KEY])
        found = {name: Place(**place) for name, place in places.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SettingsError(
            f"the ConfigMap is not a rollout's ({error!r}); apply the stack again"
        ) from error
    settings = settings_module.read(raw)
    if {settings.stable, settings.canary} - found.keys():
        raise SettingsError("a revision has no place; apply the stack again")
    return settings, found


def read_rules(config_map: Object) -> list[Object]:
    """The route's rules as the stack wants them; SettingsError if there are none."""
    try:
        found: list[Object] = json.loads(config_map["data"][RULES_KEY])
        named = [it["name"] for rule in found for it in rule["backendRefs"]]
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(
            f"the ConfigMap has no rules ({error!r}); apply the stack again"
        ) from error
    if not named:
        raise SettingsError("the rules name no Service; apply the stack again")
    return found


def read_status(config_map: Object) -> tuple[Status | None, str]:
    """The status, None if nothing has begun, and the resourceVersion."""
    text = (config_map.get("data") or {}).get(STATUS_KEY, "")
    version = config_map["metadata"]["resourceVersion"]
    return (Status.of(json.loads(text)) if text else None), version


def with_status(config_map: Object, status: Status, version: str) -> Object:
    """The ConfigMap to put: it replaces that version, and no other."""
    metadata = config_map["metadata"] | {"resourceVersion": version}
    data = (config_map.get("data") or {}) | {STATUS_KEY: _text(status.plain())}
    return config_map | {"metadata": metadata, "data": data}


def read_route(
    route: Object, places: Mapping[str, Place], wanted: Sequence[Object]
) -> Route:
    """The weights, if all rules that are divided agree; else none.

    `wanted`: the rules as the stack wants them.
    """
    names = {place.service: revision for revision, place in places.items()}
    found = [_weights(rule, names) for rule in _divided(route)]
    copied = [mirror.read(rule, names) for rule in _divided(route)]
    metadata = route["metadata"]
    annotations = metadata.get("annotations") or {}
    return Route(
        metadata["resourceVersion"],
        _agreed(found),
        annotations.get(FENCE, ""),
        stale=annotations.get(RULES) != _digest(wanted),
        mirrors=_agreed(copied),
    )


def _agreed(found: Sequence[dict[str, int]]) -> dict[str, int]:
    """Return the value that all rules have; nothing if they differ."""
    return found[0] if found and all(it == found[0] for it in found) else {}


def with_route(
    route: Object,
    write: WriteRoute,
    places: Mapping[str, Place],
    wanted: Sequence[Object] = (),
) -> Object:
    """The route to put: it replaces that version, and no other.

    With weights, its rules become those that are wanted.
    """
    found: Object = json.loads(json.dumps(route))
    found["metadata"]["resourceVersion"] = write.version
    annotations = found["metadata"].get("annotations") or {}
    if write.fence is not None:
        annotations = annotations | {FENCE: write.fence}
    if write.weights is not None:
        by_service = {places[name].service: it for name, it in write.weights.items()}
        rules: list[Object] = json.loads(json.dumps(list(wanted)))
        least = 0 if write.mirrors else LEAST
        for backend in (it for rule in rules for it in rule["backendRefs"]):
            percent = by_service.get(backend["name"], 0)
            backend["weight"] = max(least, percent * PARTS)
        for revision, percent in write.mirrors.items():
            for rule in rules:
                mirror.add(rule, places[revision].service, revision, percent)
        found["spec"]["rules"] = rules
        annotations = annotations | {RULES: _digest(wanted)}
    if annotations:
        found["metadata"]["annotations"] = annotations
    return found


def _digest(rules: Sequence[Object]) -> str:
    return hashlib.sha256(_text(list(rules)).encode()).hexdigest()[:16]


def _divided(route: Object) -> list[Object]:
    """Rules with more than one backend; the others are for one revision by its name."""
    rules = route["spec"].get("rules") or []
    return [rule for rule in rules if len(rule.get("backendRefs") or []) > 1]


def _weights(rule: Object, names: Mapping[str, str]) -> dict[str, int]:
    """Percent by revision; the stack creates the route with weights in percent."""
    found = {
        names.get(backend["name"], backend["name"]): int(backend.get("weight", 1))
        for backend in rule["backendRefs"]
    }
    is_ours = sum(found.values()) >= 100 * PARTS
    return {name: it // PARTS for name, it in found.items()} if is_ours else found


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
