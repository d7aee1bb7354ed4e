"""Lists and watches of the API server, by the pod's own token."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
WATCH_SECONDS = 60
"""The server ends a watch after so long; the next goes on where it ended."""
SILENT_SECONDS = 15.0
"""What a watch may last longer before its connection counts as dead."""
REQUEST_SECONDS = 10.0
PAGE = 500

Object = dict[str, Any]


class ApiError(Exception):
    """The API server refused or could not be asked."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class ExpiredError(ApiError):
    """The server no longer knows the version to go on from: list anew."""


@dataclass(frozen=True)
class Api:
    """An API server."""

    host: str
    port: int
    account: Path = ACCOUNT
    context: ssl.SSLContext | None = field(default=None, repr=False)
    """None: plain HTTP, for tests."""

    @staticmethod
    def of_cluster(environment: dict[str, str]) -> Api:
        """As every pod finds it."""
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        return Api(
            environment["KUBERNETES_SERVICE_HOST"],
            int(environment["KUBERNETES_SERVICE_PORT"]),
            context=context,
        )

    def get(self, path: str) -> Object:
        connection, response = self._ask(path, REQUEST_SECONDS)
        try:
            found: Object = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(f"{path}: {error}") from error
        finally:
            response.close()
            connection.close()
        return found

    def list(self, path: str) -> tuple[list[Object], str]:
        """All objects, page by page, and the version to watch from."""
        items: list[Object] = []
        more = ""
        while True:
            page = self.get(f"{path}?limit={PAGE}{more}")
            items += page["items"]
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return items, metadata["resourceVersion"]
            more = f"&continue={metadata['continue']}"

    def watch(self, path: str, version: str) -> Iterator[tuple[str, Object]]:
        """(ADDED, MODIFIED, DELETED or BOOKMARK, object) until the server ends it."""
        query = (
            f"watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}"
            f"&resourceVersion={version}"
        )
        seconds = WATCH_SECONDS + SILENT_SECONDS
        connection, response = self._ask(f"{path}?{query}", seconds)
        try:
            for line in response:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    self._fail(event["object"])
                yield event["type"], event["object"]
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(f"watch of {path}: {error}") from error
        finally:
            response.close()
            connection.close()

    @staticmethod
    def _fail(status: Object) -> None:
        code, message = status.get("code", 0), status.get("message", "")
        kind = ExpiredError if code == HTTPStatus.GONE else ApiError
        raise kind(f"the watch ended: {message}", code)

    def _ask(
        self, path: str, seconds: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = (
            http.client.HTTPSConnection(
                self.host, self.port, timeout=seconds, context=self.context
            )
            if self.context
            else http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        )
        try:
            # Read each time: the kubelet renews it within the hour.
            token = (self.account / "token").read_text().strip()
            headers = {
                "authorization": f"Bearer {token}",
                "accept": "application/json",
                "user-agent": "slipway-policy-agent",
            }
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ApiError(f"{path}: {error}") from error
        if response.status != HTTPStatus.OK:
            text = response.read(500).decode(errors="replace")
            response.close()
            connection.close()
            kind = ExpiredError if response.status == HTTPStatus.GONE else ApiError
            raise kind(f"{path}: {response.status} {text}", response.status)
        return connection, response
