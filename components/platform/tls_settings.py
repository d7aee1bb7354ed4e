"""Settings of TLS at the gateway: where its certificate comes from, and how strict."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from components.part_settings import NodePort
from components.setting_types import DnsLabel, Whole
from components.settings import Problem, Settings, refuse

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_LONGEST_HOST = 253
_ACM_ARN = re.compile(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[\w-]+")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _host(text: str) -> str:
    if _is_address(text):
        return text
    last = text.rpartition(".")[2]
    if not _HOST.fullmatch(text) or last.isdigit() or len(text) > _LONGEST_HOST:
        refuse(
            "it is neither a host name nor an IP address",
            "give what clients put into the URL, such as models.example.com, without "
            "https:// and without a port",
        )
    return text


def _name(text: str) -> str:
    if _is_address(text):
        refuse(
            "listeners are distinguished by host name, and this is an IP address",
            "give a host name such as models.example.com",
        )
    return text


def _arn(text: str) -> str:
    if not _ACM_ARN.fullmatch(text):
        refuse(
            "not the ARN of a certificate in AWS Certificate Manager",
            "give one like arn:aws:acm:eu-central-1:111122223333:certificate/<id>",
        )
    return text


def _version(value: Any) -> Any:
    # YAML reads 1.2 as a number.
    return str(value) if isinstance(value, float) else value


Host = Annotated[str, AfterValidator(_host)]
"""A host name, perhaps with *. before it, or an IP address."""
HostName = Annotated[Host, AfterValidator(_name)]


class OwnCa(Settings):
    """A certificate authority of our own, on the machine that runs `slipway up`."""

    hosts: tuple[Host, ...] = ("localhost", "127.0.0.1")
    """Names and addresses that clients reach the gateway by."""
    days: Annotated[Whole, Field(ge=1, le=397)] = 90
    """How long a certificate holds; `slipway up` makes the next one in its last
    third."""

    def contradictions(self) -> Iterator[Problem]:
        """A certificate for nobody."""
        if not self.hosts:
            yield Problem(
                path="hosts",
                value=[],
                reason="the certificate would have no names",
                fix="give at least one, such as localhost",
            )


class CertManager(Settings):
    """A certificate that cert-manager, which the cluster has, gets and renews."""

    issuer: DnsLabel
    """Name of the issuer."""
    kind: Literal["ClusterIssuer", "Issuer"] = "ClusterIssuer"
    """Whether it is the cluster's, or lies in the gateway's namespace."""
    host: HostName
    """Host name that the certificate is for; *.example.com is possible."""


class Acm(Settings):
    """TLS that ends at AWS's load balancer; from there to the proxies is plain HTTP."""

    certificate: Annotated[str, AfterValidator(_arn)]
    """ARN of the certificate, in the load balancer's region."""
    policy: Annotated[str, Field(pattern=r"^ELBSecurityPolicy-[A-Za-z0-9-]+$")] = (
        "ELBSecurityPolicy-TLS13-1-2-2021-06"
    )
    """The load balancer's policy of versions and ciphers; the default takes TLS 1.2
    and 1.3."""


class TlsSettings(Settings):
    """HTTPS at the gateway, on port 443 of its Service: one source of certificates."""

    own_ca: OwnCa | None = None
    """A certificate authority of our own: for the lab and for tests. `{}` does."""
    secret: DnsLabel | None = None
    """Secret of type kubernetes.io/tls in the gateway's namespace, kept by others."""
    cert_manager: CertManager | None = None
    """cert-manager makes the Secret."""
    acm: Acm | None = None
    """AWS Certificate Manager, at a Network Load Balancer."""
    minimum_version: Annotated[Literal["1.2", "1.3"], BeforeValidator(_version)] = "1.2"
    """Lowest version of TLS that clients may speak. With 1.2 only ciphers with forward
    secrecy and authenticated encryption are taken."""
    node_port: NodePort = None
    """Fixed port on every node for HTTPS, with service: NodePort."""
    redirect: bool = False
    """Answer plain HTTP with a redirect to HTTPS and nothing else."""
    public_port: Annotated[Whole, Field(ge=1, le=65535)] = 443
    """Port that redirected clients are sent to: where they reach HTTPS."""

    def contradictions(self) -> Iterator[Problem]:
        """No certificate, or several; what a load balancer's TLS leaves without use."""
        named = ("own_ca", "secret", "cert_manager", "acm")
        given = [name for name in named if getattr(self, name) is not None]
        if not given:
            yield Problem(
                path="",
                value={},
                reason="no source of the certificate is given",
                fix=f"give one of {', '.join(named)}; own_ca: {{}} needs nothing else",
            )
        for extra in given[1:]:
            yield Problem(
                path=extra,
                value=getattr(self, extra),
                reason=f"the certificate is already given by {given[0]}",
                fix=f"give one source: remove {' or '.join(given)}",
            )
        if self.acm and self.minimum_version != "1.2":
            yield Problem(
                path="minimum_version",
                value=self.minimum_version,
                reason="TLS is terminated at the load balancer, whose policy sets the "
                "versions",
                fix="remove it, and choose acm.policy",
            )
        if self.public_port != TlsSettings.model_fields["public_port"].default and (
            not self.redirect
        ):
            yield Problem(
                path="public_port",
                value=self.public_port,
                reason="the port is used only in redirects, and redirect is off",
                fix="remove it, or set redirect: true",
            )
