"""Every type of resource that there is a handler for."""

from __future__ import annotations

from tests.support.aws import network
from tests.support.aws.handler import Handler

HANDLERS: dict[str, Handler] = {handler.type: handler for handler in (network.Vpc(),)}
