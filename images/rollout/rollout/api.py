"""One request at a time to a server that speaks JSON: API server or Prometheus."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REQUEST_SECONDS = 10.0
LONGEST_BYTES = 64 << 20

Object = dict[str, Any]


class ApiError(Exception):
    """The server refused or could not be asked; `status` is 0 without an answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Api:
    """A server by its address."""

    host: str
    port: int
    context: ssl.SSLContext | None = field(default=None, repr=False)
    """None: plain HTTP."""
    account: Path | None = None
    """Folder of a service account's token; None: no token is sent."""

    @staticmethod
    def of_cluster(environment: Mapping[str, str]) -> Api:
        """The API server, as every pod finds it."""
        return Api(
            environment["KUBERNETES_SERVICE_HOST"],
            int(environment["KUBERNETES_SERVICE_PORT"]),
            ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")),
            ACCOUNT,
        )

    @staticmethod
    def of_url(url: str) -> Api:
        """A server by http://host:port; ValueError for another form."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
            raise ValueError(f"{url!r} is not http://HOST:PORT; give such an address")
        return Api(parts.hostname, parts.port or 80)

    def get(self, path: str) -> Object:
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: Object | None = None) -> Object:
        """The answer's JSON; ApiError for a status that is no success."""
        connection = self._connection()
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, self._headers())
            response = connection.getresponse()
            text = response.read(LONGEST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(f"{method} {path[:200]}: {error!r}") from error
        finally:
            connection.close()
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            said = f"{response.status} {text[:300].decode(errors='replace')}"
            raise ApiError(f"{method} {path[:200]}: {said}", response.status)
        try:
            found: Object = json.loads(text)
        except ValueError as error:
            raise ApiError(f"{method} {path[:200]}: {error}") from error
        return found

    def _connection(self) -> http.client.HTTPConnection:
        if self.context:
            return http.client.HTTPSConnection(
                self.host, self.port, timeout=REQUEST_SECONDS, context=self.context
            )
        return http.client.HTTPConnection(self.host, self.port, timeout=REQUEST_SECONDS)

    def _headers(self) -> dict[str, str]:
        headers = {
            "accept": "application/json",
            "content-type": "application/json",
            "user-agent": "slipway-rollout",
        }
        if self.account:
            # Read each time: the kubelet renews it within the hour.
            token = (self.account / "token").read_text().strip()
            headers["authorization"] = f"Bearer {token}"
        return headers
