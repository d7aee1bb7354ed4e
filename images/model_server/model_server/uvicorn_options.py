"""uvicorn's options, as the settings have them."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import uvicorn

from model_server.config import Config

BACKLOG = 2048


def uvicorn_config(
    config: Config, app: Any, protocol: type[asyncio.Protocol]
) -> uvicorn.Config:
    """Return uvicorn's options for an ASGI application behind a protocol class."""
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=config.keepalive_seconds,
        timeout_graceful_shutdown=math.ceil(config.drain_seconds),
    )
