"""Accepted names in the header `Host`.

A foreign site can point its own name at the console's address in the reader's network,
and then read these pages as its own (DNS rebinding). The browser still sends that name.
Accepted are addresses, names without a dot and names of a Service, which no outsider
can own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from http import HTTPStatus

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_-]{1,63}")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:]*)(?::[0-9]{1,5})?")
_OF_SERVICES = (".svc", ".svc.cluster.local")


class KnownHosts:
    """Answers 421 (RFC 9110, 15.5.20) to requests for another host."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        """names: in lower case, beside those that are always known."""
        self._app, self._names = app, frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = [value for name, value in scope["headers"] if name == b"host"]
            if len(given) != 1 or not self._is_known(given[0].decode("latin-1")):
                said = (
                    "The console is not known by this name. Open it by its address, or "
                    "add the name to monitor.console.hosts.\n"
                )
                answer = PlainTextResponse(said, HTTPStatus.MISDIRECTED_REQUEST)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_known(self, value: str) -> bool:
        parts = _HOST.fullmatch(value.strip())
        if parts is None:
            return False
        host = parts[1].removesuffix(".").lower()
        if _is_address(host):
            return True
        return NAME.fullmatch(host) is not None and (
            "." not in host or host.endswith(_OF_SERVICES) or host in self._names
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
