"""A pod's access to the cluster's API server, for any HTTP client."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""The pod's service account: the server's CA and the token."""

_BODIES = {
    "POST": "application/json",
    "PUT": "application/json",
    "PATCH": "application/merge-patch+json",
}
"""Content type of a body, by method; a merge patch contains only its changes."""

Object = dict[str, Any]


class ApiError(Exception):
    """The server refused or could not be asked; `status` is 0 without an answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class ExpiredError(ApiError):
    """The server no longer knows the version to go on from: list anew."""


def refusal(asked: str, status: int, text: str) -> ApiError:
    """The error of a status that is not a success."""
    kind = ExpiredError if status == HTTPStatus.GONE else ApiError
    return kind(f"{asked}: {status} {text[:300]}", status)


def context(account: Path = ACCOUNT) -> ssl.SSLContext:
    """Trust in the cluster's own CA alone."""
    return ssl.create_default_context(cafile=str(account / "ca.crt"))


def headers(agent: str, method: str, account: Path | None) -> dict[str, str]:
    """Return a request's headers; OSError if an account's token cannot be read."""
    found = {"accept": "application/json", "user-agent": agent}
    if method in _BODIES:
        found["content-type"] = _BODIES[method]
    if account:
        # Read each time: the kubelet renews it within the hour.
        token = (account / "token").read_text().strip()
        found["authorization"] = f"Bearer {token}"
    return found
