"""The objects of one rollout in the API server, and what is read out of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout import settings as settings_module
from rollout.record import Entry
from rollout.seen import Route
from rollout.settings import Settings, SettingsError
from rollout.status import Status

FENCE = "slipway.dev/rollout-fence"
SETTINGS_KEY, PLACES_KEY, STATUS_KEY, ENTRY_KEY = (
    "settings.json",
    "places.json",
    "status.json",
    "entry.json",
)
ENTRY_LABEL = "slipway.dev/rollout-entry"

Object = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a revision is: names of objects in the rollout's namespace."""

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


def read_route(route: Object, places: Mapping[str, Place]) -> Route:
    """The weights, if all rules that are divided agree; else none."""
    names = {place.service: revision for revision, place in places.items()}
    found = [_weights(rule, names) for rule in _divided(route)]
    agreed = found[0] if found and all(it == found[0] for it in found) else {}
    metadata = route["metadata"]
    fence = (metadata.get("annotations") or {}).get(FENCE, "")
    return Route(metadata["resourceVersion"], agreed, fence)


def with_route(
    route: Object,
    version: str,
    weights: Mapping[str, int] | None,
    fence: str | None,
    places: Mapping[str, Place],
) -> Object:
    """The route to put: it replaces that version, and no other."""
    found: Object = json.loads(json.dumps(route))
    found["metadata"]["resourceVersion"] = version
    if fence is not None:
        annotations = found["metadata"].get("annotations") or {}
        found["metadata"]["annotations"] = annotations | {FENCE: fence}
    if weights is not None:
        by_service = {places[name].service: it for name, it in weights.items()}
        for rule in _divided(found):
            for backend in rule["backendRefs"]:
                backend["weight"] = by_service.get(backend["name"], 0)
    return found


def _divided(route: Object) -> list[Object]:
    """Rules with more than one backend; the others are for one revision by its name."""
    rules = route["spec"].get("rules") or []
    return [rule for rule in rules if len(rule.get("backendRefs") or []) > 1]


def _weights(rule: Object, names: Mapping[str, str]) -> dict[str, int]:
    return {
        names.get(backend["name"], backend["name"]): int(backend.get("weight", 1))
        for backend in rule["backendRefs"]
    }


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
