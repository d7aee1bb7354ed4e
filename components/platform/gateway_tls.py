"""HTTPS at the Gateway: listeners, the certificate, versions, ciphers, the redirect."""

from __future__ import annotations

import base64
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import lookups, naming
from components.platform import own_ca
from components.platform.tls_settings import OwnCa, TlsSettings
from components.setting_secrets import PLACEHOLDER

PORT = 443
PROXY_PORT = 10443
"""Envoy Gateway adds 10000 to privileged listener ports."""
SECRET = "gateway-tls"  # noqa: S105 the name of an object
"""The certificate's Secret where it is ours or cert-manager's."""
REDIRECT = "slipway-redirect"
STATUS = 308
# Forward secrecy and authenticated encryption only, as Mozilla's intermediate
# configuration has it, without DHE: https://wiki.mozilla.org/Security/Server_Side_TLS
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""Ciphers of TLS 1.2; all of TLS 1.3 are comparable and cannot be selected."""
LOAD_BALANCER = "service.beta.kubernetes.io/aws-load-balancer"

Object = dict[str, Any]


def listeners(http_port: int, tls: TlsSettings | None) -> list[Object]:
    """Listeners for the routes of labelled namespaces.

    With a redirect, HTTP takes routes of the gateway's own namespace alone: a model's
    route may name no listener, and would be reached by plain HTTP else.
    """
    selector = {"matchLabels": {naming.ROUTES_LABEL: "true"}}
    routes = {"namespaces": {"from": "Selector", "selector": selector}}
    own = {"namespaces": {"from": "Same"}}
    found: list[Object] = [
        {
            "name": naming.GATEWAY_LISTENER,
            "port": http_port,
            "protocol": "HTTP",
            "allowedRoutes": own if tls and tls.redirect else routes,
        }
    ]
    if tls is None:
        return found
    listener: Object = {
        "name": naming.GATEWAY_TLS_LISTENER,
        "port": PORT,
        # Behind a load balancer that ends TLS it is plain HTTP on another port.
        "protocol": "HTTP" if tls.acm else "HTTPS",
        "allowedRoutes": routes,
    }
    if not tls.acm:
        reference = {"group": "", "kind": "Secret", "name": tls.secret or SECRET}
        listener["tls"] = {"mode": "Terminate", "certificateRefs": [reference]}
    if tls.cert_manager:
        # cert-manager takes the certificate's name from it.
        listener["hostname"] = tls.cert_manager.host
    return [*found, listener]


def gateway_annotations(tls: TlsSettings) -> dict[str, str]:
    """Annotations that select cert-manager's issuer.

    https://cert-manager.io/docs/usage/gateway/
    """
    if tls.cert_manager is None:
        return {}
    kinds = {"ClusterIssuer": "cluster-issuer", "Issuer": "issuer"}
    kind = kinds[tls.cert_manager.kind]
    return {f"cert-manager.io/{kind}": tls.cert_manager.issuer}


def service_annotations(tls: TlsSettings) -> dict[str, str]:
    """Annotations with which AWS's load balancer terminates TLS.

    https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/
    """
    if tls.acm is None:
        return {}
    return {
        f"{LOAD_BALANCER}-ssl-cert": tls.acm.certificate,
        f"{LOAD_BALANCER}-ssl-ports": str(PORT),
        f"{LOAD_BALANCER}-ssl-negotiation-policy": tls.acm.policy,
        f"{LOAD_BALANCER}-backend-protocol": "tcp",
    }


def client_policy(tls: TlsSettings | None) -> Object:
    """The part of the ClientTrafficPolicy about TLS."""
    if tls is None or tls.acm:
        return {}
    # Envoy Gateway refuses ciphers where they could have no effect.
    ciphers = {"ciphers": list(CIPHERS)} if tls.minimum_version == "1.2" else {}
    return {"tls": {"minVersion": tls.minimum_version, **ciphers}}


def certificate(
    settings: OwnCa, authority: str, name: str, opts: pulumi.ResourceOptions
) -> pulumi.CustomResource:
    """The Secret with a certificate of our own authority; its key stays a secret."""
    chain = key = PLACEHOLDER
    if lookups.allowed():
        pair = own_ca.issue(own_ca.folder(authority), settings.hosts, settings.days)
        chain, key = pair.certificate_pem, pair.key_pem
    secret: pulumi.CustomResource = kubernetes.core.v1.Secret(
        name,
        metadata={
            "name": SECRET,
            "namespace": naming.GATEWAY_NAMESPACE,
            "labels": naming.labels(SECRET, component="gateway"),
        },
        type="kubernetes.io/tls",
        data={
            "tls.crt": _encoded(chain),
            "tls.key": pulumi.Output.secret(_encoded(key)),
        },
        opts=opts,
    )
    return secret


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def redirect(tls: TlsSettings) -> Object:
    """Redirect from plain HTTP to HTTPS, with the method and the body."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": REDIRECT,
            "namespace": naming.GATEWAY_NAMESPACE,
            "labels": naming.labels(REDIRECT, component="gateway"),
        },
        "spec": {
            "parentRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "name": naming.GATEWAY,
                    "sectionName": naming.GATEWAY_LISTENER,
                }
            ],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "filters": [
                        {
                            "type": "RequestRedirect",
                            "requestRedirect": {
                                "scheme": "https",
                                "port": tls.public_port,
                                "statusCode": STATUS,
                            },
                        }
                    ],
                }
            ],
        },
    }
