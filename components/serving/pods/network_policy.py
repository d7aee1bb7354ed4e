"""Allowed connections from and to a model server; all others are denied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pulumi_kubernetes.meta import v1 as meta
from pulumi_kubernetes.networking import v1 as networking

from components import naming
from components.security.network import NAMESPACE_LABEL, ROLE_AGENT
from components.serving.pods import log_shipper
from components.serving.settings.egress_settings import Egress
from components.serving.settings.request_settings import MONITOR
from components.serving.settings.serving_platform import ServingPlatform

"""The API server sets it on each namespace, so no other namespace can use the name."""
DNS_LABELS = {"k8s-app": "kube-dns"}
"""Labels of the pods of the cluster's DNS."""
_DNS_PORT = 53

_WAKER = networking.NetworkPolicyPeerArgs(
    pod_selector=meta.LabelSelectorArgs(match_labels=naming.selector(naming.WAKER))
)


def _namespace(
    name: str, pods: Mapping[str, str] | None = None
) -> networking.NetworkPolicyPeerArgs:
    return networking.NetworkPolicyPeerArgs(
        namespace_selector=meta.LabelSelectorArgs(match_labels={NAMESPACE_LABEL: name}),
        pod_selector=meta.LabelSelectorArgs(match_labels=dict(pods)) if pods else None,
    )


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
) -> networking.NetworkPolicySpecArgs:
    """Return the policy: ingress from gateway and Prometheus, egress to the DNS.

    `sleeps` adds ingress from the waker. `streams` adds egress to any HTTPS server,
    because an object store has no fixed address, and to the node's agent that provides
    the pods' roles; `pod_identity` adds egress to that agent only. `egress` adds its
    own targets. `log_sink`: destination of the prediction log. Its sidecar is scraped,
    and sends to the monitor or, as with `streams`, to an object store.

    `policy_types` has both directions, so all other traffic is denied. Every network
    plugin admits a node's kubelet, which runs the probes.
    """
    streams = streams or bool(log_sink and log_sink != MONITOR)
    return networking.NetworkPolicySpecArgs(
        pod_selector=meta.LabelSelectorArgs(match_labels=dict(selector)),
        policy_types=["Ingress", "Egress"],
        ingress=[
            networking.NetworkPolicyIngressRuleArgs(
                from_=[
                    _namespace(platform.gateway_namespace),
                    _namespace(platform.monitoring_namespace),
                    *([_WAKER] if sleeps else ()),
                ],
                ports=[_tcp(port) for port in ports],
            ),
            *(
                [
                    networking.NetworkPolicyIngressRuleArgs(
                        from_=[_namespace(platform.monitoring_namespace)],
                        ports=[_tcp(log_shipper.PORT)],
                    )
                ]
                if log_sink
                else ()
            ),
        ],
        egress=[
            networking.NetworkPolicyEgressRuleArgs(
                to=[_namespace(platform.dns_namespace, DNS_LABELS)],
                ports=[
                    networking.NetworkPolicyPortArgs(protocol=protocol, port=_DNS_PORT)
                    for protocol in ("UDP", "TCP")
                ],
            ),
            *([_TO_MONITOR] if log_sink == MONITOR else ()),
            *([_to_block("0.0.0.0/0", [443])] if streams else ()),
            *([_to_block(*ROLE_AGENT)] if streams or pod_identity else ()),
            *(allowance(one) for one in egress),
        ],
    )


def _tcp(port: int) -> networking.NetworkPolicyPortArgs:
    return networking.NetworkPolicyPortArgs(protocol="TCP", port=port)


_TO_MONITOR = networking.NetworkPolicyEgressRuleArgs(
    to=[
        networking.NetworkPolicyPeerArgs(
            pod_selector=meta.LabelSelectorArgs(
                match_labels=naming.selector(naming.MODEL_MONITOR)
            )
        )
    ],
    ports=[_tcp(naming.MODEL_MONITOR_PORT)],
)


def _to_block(
    cidr: str, ports: Sequence[int]
) -> networking.NetworkPolicyEgressRuleArgs:
    return networking.NetworkPolicyEgressRuleArgs(
        to=[
            networking.NetworkPolicyPeerArgs(ip_block=networking.IPBlockArgs(cidr=cidr))
        ],
        ports=[_tcp(port) for port in ports],
    )


def allowance(egress: Egress) -> networking.NetworkPolicyEgressRuleArgs:
    """Return one entry of the settings as a rule."""
    if egress.cidr:
        block = networking.IPBlockArgs(
            cidr=egress.cidr, except_=egress.exceptions or None
        )
        peer = networking.NetworkPolicyPeerArgs(ip_block=block)
    elif egress.namespace:
        peer = _namespace(egress.namespace, egress.pods)
    else:
        peer = networking.NetworkPolicyPeerArgs(
            pod_selector=meta.LabelSelectorArgs(match_labels=dict(egress.pods))
        )
    return networking.NetworkPolicyEgressRuleArgs(
        to=[peer],
        ports=[
            networking.NetworkPolicyPortArgs(protocol=egress.protocol, port=port)
            for port in egress.ports
        ],
    )
