"""Where requests to retrain go, and what the monitor's pod needs to send them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from components.security import network
from components.security.network import Rule
from components.setting_types import DnsLabel, Whole
from components.settings import Problem, Settings, refuse

TOKEN = "/etc/model-monitor-retraining/token"  # noqa: S105, where it lies
_FIX = "give https://HOST or http://HOST, with :PORT and /PATH as needed"


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        refuse(f"it is not a URL: {error}", _FIX)
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        refuse("it is not an HTTP or HTTPS URL", _FIX)
    if parts.username is not None or parts.fragment:
        refuse("it has a user or a fragment", "put a secret into token_secret instead")
    if not value.isascii() or any(it.isspace() for it in value):
        refuse("it has a space or a character beyond ASCII", "write it as %XX")
    if (
        address := _address(parts.hostname)
    ) and f"{address}/{address.max_prefixlen}" in (network.METADATA):
        refuse(
            "a node's own credentials are served at this address",
            "give the address of what retrains the model",
        )
    return value


class Retraining(Settings):
    """Where requests to retrain a model go in addition to the monitor's store."""

    webhook_url: Annotated[str, AfterValidator(_url)] | None = None
    """URL that gets each request by POST (contracts/retraining_request.yaml). The
    monitor's pods may reach its host; without it, they can only reach DNS."""
    token_secret: DnsLabel | None = None
    """Secret of the models' namespace whose key `token` the webhook gets as a bearer
    token."""
    repeat_days: Annotated[Whole, Field(ge=1, le=3650)] = 30
    """Days after which a cause that persists is requested again."""

    def contradictions(self) -> Iterator[Problem]:
        """Report a token without a webhook, or one that would be sent in plain text."""
        if self.token_secret and not self.webhook_url:
            yield Problem(
                "token_secret",
                self.token_secret,
                "there is no webhook to give the token to",
                "set webhook_url, or remove token_secret",
            )
        if self.token_secret and self.webhook_url and _is_open(self.webhook_url):
            yield Problem(
                "webhook_url",
                self.webhook_url,
                "the token would leave the cluster unencrypted",
                "give https://, or a Service: http://NAME.NAMESPACE.svc",
            )


def in_file(settings: Retraining) -> dict[str, Any]:
    """The section `retraining` of the monitor's configuration file."""
    found: dict[str, Any] = {"repeat_days": settings.repeat_days}
    if settings.webhook_url:
        found["webhook_url"] = settings.webhook_url
    if settings.token_secret:
        found["token"] = TOKEN
    return found


def egress(settings: Retraining) -> Iterator[Rule]:
    """What the monitor's pod may call: the webhook's host, as far as a policy can say.

    A Service's namespace on any port, since a policy sees the pods' own; an address
    alone; the port of any other name, whose addresses are not known beforehand.
    """
    if not settings.webhook_url:
        return
    parts = urlsplit(settings.webhook_url)
    host, port = parts.hostname or "", parts.port or _default_port(parts.scheme)
    if namespace := _namespace(host):
        yield network.allow_to(network.in_namespace(namespace))
    elif "." not in host and ":" not in host:
        yield network.allow_to(network.SAME_NAMESPACE)
    elif address := _address(host):
        bits = address.max_prefixlen
        yield network.allow_to({"ipBlock": {"cidr": f"{address}/{bits}"}}, on=(port,))
    else:
        yield network.allow_to(on=(port,))


def _namespace(host: str) -> str:
    """The namespace of a Service's name: NAME.NAMESPACE, with .svc and more behind."""
    labels = host.rstrip(".").split(".")
    return labels[1] if len(labels) >= 3 and labels[2] == "svc" else ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _is_open(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "http" and not _namespace(host) and "." in host
