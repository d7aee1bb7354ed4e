"""The API server by httpx, for programs of an event loop that have it anyway.

Connections are kept, since such a program asks every second.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx

from pod_parts import api_server
from pod_parts.api_server import ACCOUNT, ApiError, Object, refusal

REQUEST_SECONDS = 5.0


class AsyncApi:
    """The API server, by the pod's own token."""

    def __init__(
        self,
        base: str,
        agent: str,
        account: Path = ACCOUNT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """base: https://host:port, with the account's CA; or http:// for tests."""
        self._agent, self._account = agent, account
        self._client = httpx.AsyncClient(
            base_url=base,
            verify=base.startswith("https:") and api_server.context(account),
            timeout=REQUEST_SECONDS,
            trust_env=False,
            transport=transport,
        )

    @staticmethod
    def of_cluster(environment: Mapping[str, str], agent: str) -> AsyncApi:
        """The API server, as every pod finds it."""
        host = environment["KUBERNETES_SERVICE_HOST"]
        host = f"[{host}]" if ":" in host else host
        port = environment["KUBERNETES_SERVICE_PORT"]
        return AsyncApi(f"https://{host}:{port}", agent)

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str) -> Object:
        return await self.ask("GET", path)

    async def ask(self, method: str, path: str, body: Object | None = None) -> Object:
        """The answer's JSON; ApiError for a status that is not a success."""
        asked = f"{method} {path[:200]}"
        try:
            headers = api_server.headers(self._agent, method, self._account)
            answer = await self._client.request(
                method, path, json=body, headers=headers
            )
            if not answer.is_success:
                raise refusal(asked, answer.status_code, answer.text)
            found: Object = answer.json()
        except (OSError, httpx.HTTPError, ValueError) as error:
            raise ApiError(f"{asked}: {type(error).__name__}: {error}") from error
        return found
