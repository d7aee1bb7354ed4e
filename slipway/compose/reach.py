"""Allowed connections of a model server: its network policy as Docker networks.

A network allows all ports in both directions, so it is wider than the policy. Each
place where it is gets a line in the notes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from components.security.network import NAMESPACE_LABEL, ROLE_AGENT
from components.serving.pods.network_policy import DNS_LABELS
from slipway.compose.composition import Composition
from slipway.compose.objects import (
    Object,
    Objects,
    name_of,
    namespace_of,
    pod_metadata,
    pod_spec,
)

OUTSIDE = "outside"
"""The network with a route out, which published ports need."""


def network(name: str) -> str:
    """Return the network of one model server and its callers."""
    return f"model-{name}"


def add(
    composition: Composition, objects: Objects, workload: Object, service: Object
) -> None:
    """Add the service to the networks of all its allowed targets."""
    for peer in _peers(objects, workload):
        if "ipBlock" in peer:
            _outside(composition, workload, service, peer["ipBlock"])
        else:
            _inside(composition, objects, workload, service, peer)
    _add_remarks(composition, objects, workload)


def _peers(objects: Objects, workload: Object) -> Iterator[Object]:
    """Of the policies that select its pods; Docker has a DNS of its own."""
    labels = pod_metadata(workload).get("labels", {})
    for policy in objects.kind("NetworkPolicy"):
        spec = policy["spec"]
        selected = spec["podSelector"].get("matchLabels", {}).items() <= labels.items()
        if namespace_of(policy) != namespace_of(workload) or not selected:
            continue
        for rule in spec.get("egress", []):
            for peer in rule.get("to", []):
                if _labels(peer) != DNS_LABELS:
                    yield peer


def _labels(peer: Object) -> dict[str, str]:
    found: dict[str, str] = (peer.get("podSelector") or {}).get("matchLabels") or {}
    return found


def _outside(
    composition: Composition, workload: Object, service: Object, block: Object
) -> None:
    name, cidr = name_of(workload), block["cidr"]
    if cidr == ROLE_AGENT[0]:
        composition.add_remark(
            f"{name}: service accounts get no role here; give it what it needs from a "
            "cloud as secrets."
        )
        return
    composition.networks.setdefault(OUTSIDE, {})
    service["networks"][OUTSIDE] = {}
    # Names outside are resolved outside.
    service["dns"] = None
    composition.add_remark(
        f"{name} may call {cidr}, and so everything that the machine reaches, on "
        "every port: restrict that with the machine's firewall."
    )


def _inside(
    composition: Composition,
    objects: Objects,
    workload: Object,
    service: Object,
    peer: Object,
) -> None:
    chosen = (peer.get("namespaceSelector") or {}).get("matchLabels") or {}
    namespace = chosen.get(NAMESPACE_LABEL, namespace_of(workload))
    wanted = _labels(peer)
    found = [
        name_of(one)
        for one in objects.kind("Deployment", "StatefulSet")
        if namespace_of(one) == namespace
        and wanted.items() <= pod_metadata(one).get("labels", {}).items()
    ]
    for name in found:
        service["networks"].setdefault(network(name), {})
    if found:
        return
    place = f"namespace-{namespace}"
    composition.networks[place] = {"internal": True}
    service["networks"][place] = {}
    composition.add_remark(
        f"{name_of(workload)} may call pods of the namespace {namespace}, but this "
        f"project has none of them: add what replaces them to the network {place} in "
        "a compose.override.yaml, with the names that are called as aliases."
    )


def _add_remarks(composition: Composition, objects: Objects, workload: Object) -> None:
    name = name_of(workload)
    if pod_spec(workload).get("nodeSelector"):
        composition.add_remark(
            f"{name}: its node_selector has no effect on one machine."
        )
    account: Any = objects.find(
        "ServiceAccount",
        pod_spec(workload).get("serviceAccountName", ""),
        namespace_of(workload),
    )
    if account and account["metadata"].get("annotations"):
        composition.add_remark(
            f"{name}: annotations of its service account have no effect here; give it "
            "what it needs from a cloud as secrets."
        )
