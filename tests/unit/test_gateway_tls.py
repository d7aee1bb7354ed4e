"""HTTPS at the Gateway as plain data: listeners, certificates, versions, redirect."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from components import naming
from components.platform import gateway_tls, own_ca
from lab.settings import FORWARDS
from slipway.local import command as local
from slipway.rendering.render import Rendered, render
from tests.support import platform
from tests.support.rendered import IMAGES

LOAD_BALANCER = "service.beta.kubernetes.io/aws-load-balancer"
POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
ARN = "arn:aws:acm:eu-central-1:111122223333:certificate/0123-4567"


def with_tls(**tls: Any) -> Rendered:
    return alone(gateway={"tls": tls})


def alone(**config: Any) -> Rendered:
    """The gateway without the large parts beside it."""
    off = {"enabled": False}
    others = {"prometheus": off, "alertmanager": off, "alert_recorder": off}
    return platform.rendered(
        gateway_api=off, metrics_server=off, monitoring=others, **config
    )


def spec(found: Rendered, kind: str, name: str = naming.GATEWAY) -> dict[str, Any]:
    content: dict[str, Any] = platform.only(found, kind, name)["spec"]
    return content


def listeners(found: Rendered) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in spec(found, "Gateway")["listeners"]}


def test_without_tls_there_is_one_listener_and_one_open_port() -> None:
    found = alone()
    assert set(listeners(found)) == {"http"}
    assert "tls" not in spec(found, "ClientTrafficPolicy")
    ingress = spec(found, "NetworkPolicy", "envoy")["ingress"]
    assert [p["port"] for p in ingress[0]["ports"]] == [10080]


def test_the_lab_has_both_and_forwards_both() -> None:
    found = platform.lab()
    ports = {f.name: f.target_port for f in FORWARDS}
    both = listeners(found)
    assert both["https"]["protocol"] == "HTTPS"
    assert both["https"]["allowedRoutes"] == both["http"]["allowedRoutes"]
    service = spec(found, "EnvoyProxy")["provider"]["kubernetes"]["envoyService"]
    assert service["patch"]["value"]["spec"]["ports"] == [
        {"port": 80, "targetPort": 10080, "nodePort": ports["gateway"]},
        {"port": 443, "targetPort": 10443, "nodePort": ports["gateway-tls"]},
    ]
    ingress = spec(found, "NetworkPolicy", "envoy")["ingress"]
    assert [p["port"] for p in ingress[0]["ports"]] == [10080, 10443]


def test_a_rendering_has_no_key_and_makes_no_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = with_tls(own_ca={})
    secret = platform.only(found, "Secret", gateway_tls.SECRET)
    assert base64.b64decode(secret["data"]["tls.key"]) == b"[secret]"
    assert found.secrets == ["03-secret.slipway-gateway.gateway-tls.yaml"]
    assert not list(tmp_path.iterdir())


def test_a_run_has_the_authoritys_certificate_and_marks_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    config = {
        "gateway": {"tls": {"own_ca": {"hosts": ["models.lab"]}}},
        "gateway_api": {"enabled": False},
    }
    found = render("platform.test", config, images=IMAGES, look_up=True)
    secret = platform.only(found, "Secret", gateway_tls.SECRET)
    kept = (own_ca.folder("platform.test") / "gateway.pem").read_text()
    for part in ("tls.crt", "tls.key"):
        assert base64.b64decode(secret["data"][part]).decode() in kept
    marked = next(r for r in found.resources if r.name == "gateway-tls")
    assert marked.has_secrets
    pair = own_ca.issue(own_ca.folder("platform.test"), ["models.lab"], 90)
    assert pair.key_pem in kept, "another run would have changed it"


def test_old_versions_and_weak_ciphers_are_refused() -> None:
    tls = spec(with_tls(own_ca={}), "ClientTrafficPolicy")["tls"]
    assert tls["minVersion"] == "1.2"
    assert tls["ciphers"]
    assert all(c.startswith("ECDHE-") for c in tls["ciphers"])
    assert all("GCM" in c or "POLY1305" in c for c in tls["ciphers"])
    strict = spec(with_tls(own_ca={}, minimum_version=1.3), "ClientTrafficPolicy")
    assert strict["tls"] == {"minVersion": "1.3"}


def test_a_secret_by_name_is_only_named() -> None:
    found = with_tls(secret="models-example-com")
    reference = listeners(found)["https"]["tls"]["certificateRefs"][0]
    assert reference == {"group": "", "kind": "Secret", "name": "models-example-com"}
    assert not [m for m in found.manifests if m["kind"] == "Secret"]


@pytest.mark.parametrize(
    ("kind", "annotation"),
    [("ClusterIssuer", "cluster-issuer"), ("Issuer", "issuer")],
)
def test_cert_manager_is_asked_by_annotation(kind: str, annotation: str) -> None:
    chosen = {"issuer": "letsencrypt", "kind": kind, "host": "*.models.example.com"}
    found = with_tls(cert_manager=chosen)
    metadata = platform.only(found, "Gateway", naming.GATEWAY)["metadata"]
    assert metadata["annotations"][f"cert-manager.io/{annotation}"] == "letsencrypt"
    listener = listeners(found)["https"]
    assert listener["hostname"] == "*.models.example.com"
    assert listener["tls"]["certificateRefs"][0]["name"] == gateway_tls.SECRET
    assert not [m for m in found.manifests if m["kind"] == "Secret"]


def test_acm_ends_tls_at_the_load_balancer() -> None:
    found = with_tls(acm={"certificate": ARN})
    service = spec(found, "EnvoyProxy")["provider"]["kubernetes"]["envoyService"]
    assert service["annotations"] == {
        f"{LOAD_BALANCER}-ssl-cert": ARN,
        f"{LOAD_BALANCER}-ssl-ports": "443",
        f"{LOAD_BALANCER}-ssl-negotiation-policy": POLICY,
        f"{LOAD_BALANCER}-backend-protocol": "tcp",
    }
    listener = listeners(found)["https"]
    assert (listener["port"], listener["protocol"]) == (443, "HTTP")
    assert "tls" not in listener
    assert "tls" not in spec(found, "ClientTrafficPolicy")


def test_a_redirect_leaves_plain_http_to_itself() -> None:
    found = with_tls(own_ca={}, redirect=True, public_port=8443)
    both = listeners(found)
    assert both["http"]["allowedRoutes"] == {"namespaces": {"from": "Same"}}
    assert both["https"]["allowedRoutes"]["namespaces"]["from"] == "Selector"
    route = platform.only(found, "HTTPRoute", gateway_tls.REDIRECT)
    assert route["metadata"]["namespace"] == naming.GATEWAY_NAMESPACE
    assert [p["sectionName"] for p in route["spec"]["parentRefs"]] == ["http"]
    (rule,) = route["spec"]["rules"]
    assert rule["filters"][0]["requestRedirect"] == {
        "scheme": "https",
        "port": 8443,
        "statusCode": 308,
    }


def test_proxies_reach_issuers_only_where_told() -> None:
    def networks(found: Rendered) -> list[str]:
        return [
            peer["ipBlock"]["cidr"]
            for rule in spec(found, "NetworkPolicy", "envoy")["egress"]
            for peer in rule.get("to", [])
            if "ipBlock" in peer
        ]

    assert networks(alone()) == []
    told = alone(gateway={"egress_cidrs": ["203.0.113.0/24"]})
    assert networks(told) == ["203.0.113.0/24"]


def test_addresses_say_https_where_it_is() -> None:
    from lab.settings import LabSettings

    found = local.urls(LabSettings())
    assert found["gateway-tls"] == "https://127.0.0.1:8443"
    assert found["gateway"] == "http://127.0.0.1:8080"
