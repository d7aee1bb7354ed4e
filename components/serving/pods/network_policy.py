"""Allowed connections from and to a model server; all others are denied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components import naming
from components.security import network
from components.security.network import Rule
from components.serving.pods import log_shipper
from components.serving.settings.egress_settings import Egress
from components.serving.settings.request_settings import MONITOR
from components.serving.settings.serving_platform import ServingPlatform

DNS_LABELS = {"k8s-app": "kube-dns"}
"""Labels of the pods of the cluster's DNS."""
_DNS_PORT = 53


def policy_spec(
    selector: Mapping[str, str],
    ports: Sequence[int],
    platform: ServingPlatform,
    *,
    streams: bool = False,
    sleeps: bool = False,
    egress: Sequence[Egress] = (),
    pod_identity: bool = False,
    log_sink: str | None = None,
) -> Rule:
    """Return the policy: ingress from gateway and Prometheus, egress to the DNS.

    `sleeps` adds ingress from the waker. `streams` adds egress to any HTTPS server,
    because an object store has no fixed address, and to the node's agent that provides
    the pods' roles; `pod_identity` adds egress to that agent only. `egress` adds its
    own targets. `log_sink`: destination of the prediction log. Its sidecar is scraped,
    and sends to the monitor or, as with `streams`, to an object store.

    All other traffic is denied, in both directions. Every network plugin admits a
    node's kubelet, which runs the probes.
    """
    streams = streams or bool(log_sink and log_sink != MONITOR)
    prometheus = network.in_namespace(platform.monitoring_namespace)
    callers = [network.in_namespace(platform.gateway_namespace), prometheus]
    if sleeps:
        callers.append(_program(naming.WAKER))
    ingress = [network.allow_from(*callers, to=tuple(ports))]
    dns = network.in_namespace(platform.dns_namespace, DNS_LABELS)
    allowed = [_allow(dns, (_DNS_PORT,), "UDP", "TCP")]
    if log_sink:
        ingress.append(network.allow_from(prometheus, to=(log_shipper.PORT,)))
    if log_sink == MONITOR:
        monitor = _program(naming.MODEL_MONITOR)
        allowed.append(network.allow_to(monitor, on=(naming.MODEL_MONITOR_PORT,)))
    if streams:
        allowed += network.allow_object_stores()
    elif pod_identity:
        allowed.append(network.allow_role_agent())
    return network.policy_spec_both(
        {"matchLabels": dict(selector)},
        ingress=ingress,
        egress=[*allowed, *(allowance(one) for one in egress)],
    )


def allowance(egress: Egress) -> Rule:
    """Return one entry of the settings as a rule."""
    if egress.cidr:
        block: Rule = {"cidr": egress.cidr}
        if egress.exceptions:
            block["except"] = list(egress.exceptions)
        peer: Rule = {"ipBlock": block}
    elif egress.namespace:
        peer = network.in_namespace(egress.namespace, egress.pods)
    else:
        peer = {"podSelector": {"matchLabels": dict(egress.pods)}}
    return _allow(peer, egress.ports, egress.protocol)


def _program(name: str) -> Rule:
    """A peer: pods of the models' namespace."""
    return {"podSelector": {"matchLabels": naming.selector(name)}}


def _allow(peer: Rule, ports: Sequence[int], *protocols: str) -> Rule:
    return {"to": [peer], "ports": network.ports(*ports, protocols=protocols)}
