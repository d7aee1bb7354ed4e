"""The API server by the standard library: a connection for each request and watch.

For programs of threads; `api_client_async` is for those of an event loop.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlsplit

from pod_parts import api_server
from pod_parts.api_server import ACCOUNT, ApiError, Object, refusal

WATCH_SECONDS = 60
"""The server ends a watch after so long; the next goes on where it ended."""
SILENT_SECONDS = 15.0
"""Time beyond a watch's own after which its connection counts as dead."""
REQUEST_SECONDS = 10.0
PAGE = 500
LONGEST_BYTES = 64 << 20


@dataclass(frozen=True)
class Api:
    """A server that speaks JSON: the API server, or Prometheus."""

    host: str
    port: int
    agent: str
    """The program's name in requests to the server."""
    context: ssl.SSLContext | None = field(default=None, repr=False)
    """None: plain HTTP."""
    account: Path | None = None
    """Folder of a service account's token; None: no token is sent."""

    @staticmethod
    def of_cluster(environment: Mapping[str, str], agent: str) -> Api:
        """The API server, as every pod finds it."""
        return Api(
            environment["KUBERNETES_SERVICE_HOST"],
            int(environment["KUBERNETES_SERVICE_PORT"]),
            agent,
            api_server.context(),
            ACCOUNT,
        )

    @staticmethod
    def of_url(url: str, agent: str) -> Api:
        """A server by http://host:port; ValueError for another form."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
            raise ValueError(f"{url!r} is not http://HOST:PORT; give such an address")
        return Api(parts.hostname, parts.port or 80, agent)

    def get(self, path: str) -> Object:
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: Object | None = None) -> Object:
        """The answer's JSON; ApiError for a status that is not a success."""
        asked = f"{method} {path[:200]}"
        connection, response = self._send(method, path, body, REQUEST_SECONDS)
        try:
            found: Object = json.loads(response.read(LONGEST_BYTES))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(f"{asked}: {type(error).__name__}: {error}") from error
        finally:
            response.close()
            connection.close()
        return found

    def list(self, path: str, selector: str = "") -> tuple[list[Object], str]:
        """All objects that the labels select, page by page, and the version to watch.

        `selector` as of kubectl; empty: all.
        """
        items: list[Object] = []
        more = ""
        while True:
            page = self.get(f"{path}?limit={PAGE}{_selected(selector)}{more}")
            items += page["items"]
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return items, metadata["resourceVersion"]
            more = f"&continue={metadata['continue']}"

    def watch(
        self, path: str, version: str, selector: str = ""
    ) -> Generator[tuple[str, Object], None, None]:
        """(ADDED, MODIFIED, DELETED or BOOKMARK, object) until the server ends it.

        ExpiredError if the server no longer knows the version.
        """
        query = (
            f"watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}"
            f"&resourceVersion={version}{_selected(selector)}"
        )
        seconds = WATCH_SECONDS + SILENT_SECONDS
        connection, response = self._send("GET", f"{path}?{query}", None, seconds)
        try:
            for line in response:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    code, message = status.get("code", 0), status.get("message", "")
                    raise refusal(f"watch of {path}", code, message)
                yield event["type"], event["object"]
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(
                f"watch of {path}: {type(error).__name__}: {error}"
            ) from error
        finally:
            response.close()
            connection.close()

    def _send(
        self, method: str, path: str, body: Object | None, seconds: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """The head of an answer that is a success; whoever reads it closes both."""
        asked = f"{method} {path[:200]}"
        connection = self._connection(seconds)
        try:
            content = None if body is None else json.dumps(body).encode()
            headers = api_server.headers(self.agent, method, self.account)
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                return connection, response
            text = response.read(LONGEST_BYTES).decode(errors="replace")
            response.close()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ApiError(f"{asked}: {type(error).__name__}: {error}") from error
        connection.close()
        raise refusal(asked, response.status, text)

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        if self.context:
            return http.client.HTTPSConnection(
                self.host, self.port, timeout=seconds, context=self.context
            )
        return http.client.HTTPConnection(self.host, self.port, timeout=seconds)


def _selected(selector: str) -> str:
    return f"&labelSelector={quote(selector, safe='')}" if selector else ""
