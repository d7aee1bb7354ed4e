"""The Gateway that models' routes attach to, and how its proxies run."""

from __future__ import annotations

import hashlib
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import images, naming
from components.contracts import HEADERS
from components.delivery.experiment_settings import SALTS, salt_header
from components.platform import gateway_tls, manifest
from components.platform.envoy_gateway import CONTROLLER, XDS_PORTS
from components.platform.settings import GatewaySettings
from components.security import network, pod_defaults

GATEWAY_API = "gateway.networking.k8s.io/v1"
ENVOY_API = "gateway.envoyproxy.io/v1alpha1"
NAMESPACE = naming.GATEWAY_NAMESPACE
PROXY = "envoy"
"""Name of the proxies' Deployment and Service."""
PROXY_LABELS = {
    "app.kubernetes.io/name": "envoy",
    "app.kubernetes.io/component": "proxy",
    "app.kubernetes.io/managed-by": "envoy-gateway",
}
"""Labels that Envoy Gateway sets on the pods that it creates."""
PORT = 80
PROXY_PORT = 10080
"""Envoy Gateway adds 10000 to privileged listener ports."""
METRICS_PORT = 19001
READY_SECONDS = "300"
MEMORY_REQUEST_MIB = 96
PROXY_CPU_LIMIT_FACTOR = 8
MINIMUM_DRAIN_SECONDS = 5
"""Until load balancers and nodes have forgotten a proxy that stops."""

_OURS = {key: name.upper() for key, name in HEADERS.items()}
# The path is the one that the model saw: the route's prefix is cut off by then, and so
# is the query, which may hold values of a request. No other header is logged. The
# client is whom a key or a token named; of a request without access control, or refused
# by it, it is what the client itself wrote.
ACCESS_LOG = {
    "time": "%START_TIME%",
    "logger": "gateway.access",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:PATH)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "duration_ms": "%DURATION%",
    "first_byte_ms": "%RESPONSE_DURATION%",
    "upstream": "%UPSTREAM_HOST%",
    "route": "%ROUTE_NAME%",
    "request_id": f"%REQ({_OURS['request_id']})%",
    "revision": f"%RESP({_OURS['revision']})%",
    "client": f"%REQ({_OURS['client']}?{_OURS['subject']})%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
}

Object = dict[str, Any]

REQUEST_ID: Object = {
    "requestID": "Preserve",
    "earlyRequestHeaders": {
        "addIfAbsent": [{"name": HEADERS["request_id"], "value": "%UNIQUE_ID%"}]
    },
}
"""A caller's own id finds its prediction in the log again. `PreserveOrGenerate` would
change it: Envoy writes whether it traces into the 15th of 36 characters, so that a
UUID of version 7 comes out as one of version 4."""


def _headers(settings: GatewaySettings) -> Object:
    """Changes of requests' headers before routing.

    The values of salts are constants. A caller's own header of the name is replaced.
    """
    if not settings.experiment_salts:
        return REQUEST_ID
    salts = [
        {"name": name, "value": hashlib.sha256(name.encode()).hexdigest()[:16]}
        for name in map(salt_header, range(SALTS))
    ]
    early = {**REQUEST_ID["earlyRequestHeaders"], "set": salts}
    return {**REQUEST_ID, "earlyRequestHeaders": early}


class Gateway(pulumi.ComponentResource):
    """The models' Gateway and its proxies.

    Creates:

    - GatewayClass and, in the gateway's namespace, the EnvoyProxy that says how its
      proxies run: image, resources, Service, drain, metrics, access log;
    - Gateway `slipway` with listeners for routes of labelled namespaces, HTTP and, if
      the settings have TLS, HTTPS, and waits until it is programmed;
    - the Secret `gateway-tls` with the certificate, if it is of our own authority;
    - HTTPRoute `slipway-redirect` from HTTP to HTTPS, if the settings say so;
    - ClientTrafficPolicy: request ids are kept, slow and too many clients are not, nor
      old versions of TLS and weak ciphers;
    - NetworkPolicy of the proxies.
    """

    def __init__(
        self,
        name: str,
        settings: GatewaySettings,
        opts: pulumi.ResourceOptions | None = None,
        *,
        authority: str = "platform",
    ) -> None:
        """`authority`: name of our own certificate authority, if it is used."""
        super().__init__("slipway:platform:Gateway", name, None, opts)
        self.settings = settings
        child = pulumi.ResourceOptions(parent=self)
        self._add_network_policy(child)
        proxy = manifest.add(self._envoy_proxy(), f"{name}-proxy", child)
        gateway_class = manifest.add(
            self._gateway_class(),
            f"{name}-class",
            pulumi.ResourceOptions(parent=self, depends_on=[proxy]),
        )
        # Before the Gateway, so that its first proxy starts as it is to stay.
        policy = manifest.add(self._client_policy(), f"{name}-clients", child)
        before = [gateway_class, policy]
        tls = settings.tls
        if tls and tls.own_ca:
            before.append(
                gateway_tls.certificate(tls.own_ca, authority, f"{name}-tls", child)
            )
        gateway = manifest.add(
            self._gateway(),
            name,
            pulumi.ResourceOptions(parent=self, depends_on=before),
        )
        if tls and tls.redirect:
            manifest.add(
                gateway_tls.redirect(tls),
                f"{name}-redirect",
                pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
            )
        self.register_outputs({})

    def _object(self, api: str, kind: str, spec: Object, **metadata: Any) -> Object:
        labels = naming.labels(naming.GATEWAY, component="gateway")
        named = {"name": naming.GATEWAY, "labels": labels, **metadata}
        return {"apiVersion": api, "kind": kind, "metadata": named, "spec": spec}

    def _gateway_class(self) -> Object:
        return self._object(
            GATEWAY_API,
            "GatewayClass",
            {
                "controllerName": CONTROLLER,
                "parametersRef": {
                    "group": ENVOY_API.partition("/")[0],
                    "kind": "EnvoyProxy",
                    "name": naming.GATEWAY,
                    "namespace": NAMESPACE,
                },
            },
        )

    def _gateway(self) -> Object:
        tls = self.settings.tls
        return self._object(
            GATEWAY_API,
            "Gateway",
            {
                "gatewayClassName": naming.GATEWAY,
                "listeners": gateway_tls.listeners(PORT, tls),
            },
            namespace=NAMESPACE,
            annotations={
                "pulumi.com/waitFor": "condition=Programmed",
                "pulumi.com/timeoutSeconds": READY_SECONDS,
                **(gateway_tls.gateway_annotations(tls) if tls else {}),
            },
        )

    def _client_policy(self) -> Object:
        settings = self.settings
        return self._object(
            ENVOY_API,
            "ClientTrafficPolicy",
            {
                "targetRefs": [
                    {
                        "group": GATEWAY_API.partition("/")[0],
                        "kind": "Gateway",
                        "name": naming.GATEWAY,
                    }
                ],
                "headers": _headers(settings),
                "connection": {"connectionLimit": {"value": settings.max_connections}},
                "timeout": {
                    "http": {"requestReceivedTimeout": f"{settings.request_seconds}s"}
                },
                **gateway_tls.client_policy(settings.tls),
            },
            namespace=NAMESPACE,
        )

    def _envoy_proxy(self) -> Object:
        log = {"type": "File", "file": {"path": "/dev/stdout"}}
        spec: Object = {
            "provider": {"type": "Kubernetes", "kubernetes": self._kubernetes()},
            "shutdown": {
                "drainTimeout": f"{self.settings.drain_seconds}s",
                "minDrainDuration": f"{MINIMUM_DRAIN_SECONDS}s",
            },
            "telemetry": {
                "metrics": {"prometheus": {}},
                "accessLog": {
                    "settings": [
                        {"format": {"type": "JSON", "json": ACCESS_LOG}, "sinks": [log]}
                    ]
                },
            },
        }
        return self._object(ENVOY_API, "EnvoyProxy", spec, namespace=NAMESPACE)

    def _kubernetes(self) -> Object:
        settings = self.settings
        service: Object = {"name": PROXY, "type": settings.service}
        if settings.service != "ClusterIP":
            # Any node's port leads to a proxy, whichever node it runs on.
            service["externalTrafficPolicy"] = "Cluster"
        annotations = {
            **settings.service_annotations,
            **(gateway_tls.service_annotations(settings.tls) if settings.tls else {}),
        }
        if annotations:
            service["annotations"] = annotations
        if ports := self._node_ports():
            service["patch"] = {
                "type": "StrategicMerge",
                "value": {"spec": {"ports": ports}},
            }
        found: Object = {"envoyDeployment": self._deployment(), "envoyService": service}
        if settings.replicas > 1:
            found["envoyPDB"] = {"maxUnavailable": 1}
        return found

    def _node_ports(self) -> list[Object]:
        tls = self.settings.tls
        chosen = (
            (PORT, PROXY_PORT, self.settings.node_port),
            (gateway_tls.PORT, gateway_tls.PROXY_PORT, tls.node_port if tls else None),
        )
        return [
            {"port": port, "targetPort": target, "nodePort": node_port}
            for port, target, node_port in chosen
            if node_port
        ]

    def _deployment(self) -> Object:
        settings = self.settings
        cpu = settings.cpu_request_millicores
        memory = settings.memory_limit_mib
        return {
            "name": PROXY,
            "replicas": settings.replicas,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "container": {
                "image": images.resolve(settings.image),
                "resources": {
                    "requests": {
                        "cpu": pod_defaults.cpu_quantity(cpu),
                        "memory": pod_defaults.memory_quantity(
                            min(memory, MEMORY_REQUEST_MIB)
                        ),
                        **pod_defaults.disk(),
                    },
                    "limits": {
                        "cpu": pod_defaults.cpu_quantity(cpu * PROXY_CPU_LIMIT_FACTOR),
                        "memory": pod_defaults.memory_quantity(memory),
                        **pod_defaults.disk(),
                    },
                },
            },
            # Its own probe asks every 10 s: a proxy would take as long to come up.
            "patch": {
                "type": "StrategicMerge",
                "value": {
                    "spec": {
                        "template": {
                            "spec": {
                                "containers": [
                                    {
                                        "name": "envoy",
                                        "startupProbe": {
                                            "periodSeconds": 1,
                                            "failureThreshold": 120,
                                        },
                                    },
                                    {
                                        "name": "shutdown-manager",
                                        "startupProbe": {
                                            "periodSeconds": 1,
                                            "failureThreshold": 60,
                                        },
                                    },
                                ]
                            }
                        }
                    }
                },
            },
        }

    def _add_network_policy(self, child: pulumi.ResourceOptions) -> None:
        labels = naming.labels(PROXY, component="gateway")
        tls = (gateway_tls.PROXY_PORT,) if self.settings.tls else ()
        issuers = [
            network.allow_to({"ipBlock": {"cidr": cidr}}, on=(gateway_tls.PORT,))
            for cidr in self.settings.egress_cidrs
        ]
        kubernetes.networking.v1.NetworkPolicy(
            f"{PROXY}-network",
            metadata={"name": PROXY, "namespace": NAMESPACE, "labels": labels},
            spec=network.policy_spec_both(
                {"matchLabels": PROXY_LABELS},
                ingress=[
                    network.allow_from(to=(PROXY_PORT, *tls)),
                    network.allow_from(
                        network.in_namespace(naming.MONITORING_NAMESPACE),
                        to=(METRICS_PORT,),
                    ),
                ],
                egress=[
                    network.allow_to(network.SAME_NAMESPACE, on=XDS_PORTS),
                    network.allow_to(
                        network.in_namespaces_labelled(naming.ROUTES_LABEL)
                    ),
                    *issuers,
                ],
            ),
            opts=child,
        )
