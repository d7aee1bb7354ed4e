"""Runs the waker.

Settings: the JSON file of WAKER_MODELS (waker/settings.py), the pod by POD_NAMESPACE,
POD_NAME, POD_UID, POD_ADDRESS and POD_NODE, and WAKER_OWNER, its Deployment's name.

On SIGTERM it takes itself out of the models' endpoints, goes on to answer until the
gateway knows, finishes what it holds, and ends with 0.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import uvicorn

from bounded_http.server import Server
from pod_parts.api_client_async import AsyncApi
from waker import connections, settings
from waker.cluster import Cluster
from waker.connections import Bound
from waker.keeper import SETTLE_SECONDS, Keeper
from waker.log import log
from waker.proxy import Proxy
from waker.settings import METRICS_PORT, Pod
from waker.web import Application

BACKLOG = 2048


def _sockets(address: str, ports: list[int]) -> list[socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = []
    for port in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::" if ":" in address else "0.0.0.0", port))  # noqa: S104
        listener.listen(BACKLOG)
        found.append(listener)
    return found


def _log_failure(rounds: asyncio.Task[None]) -> None:
    """Log what ended the rounds, if anything did: the waker ends with them."""
    if rounds.done() and not rounds.cancelled():
        log(f"the rounds ended: {rounds.exception()!r}", level="error")


async def serve(environment: Mapping[str, str]) -> int:
    pod = Pod.of(environment)
    models = settings.models(Path(environment["WAKER_MODELS"]))
    cluster = Cluster(AsyncApi.of_cluster(environment, "slipway-waker"), pod)
    keeper = Keeper(cluster, models)
    proxy = Proxy(keeper)
    bound = Bound(sum(model.buffer_requests for model in models))
    longest = max((model.wake_seconds for model in models), default=0)
    server = Server(
        uvicorn.Config(
            Application(keeper, proxy, bound),
            # Its targets are as they came; httptools keeps a path alone, and drops the
            # body of a request that offers an upgrade.
            http=connections.protocol(bound),
            log_config=None,
            access_log=False,
            lifespan="off",
            backlog=BACKLOG,
            timeout_graceful_shutdown=int(longest) + 1,
            server_header=False,
            date_header=False,
        )
    )
    ports = [METRICS_PORT, *keeper.kept]
    rounds = asyncio.create_task(keeper.run())
    serving = asyncio.create_task(server.serve(_sockets(pod.address, ports)))
    log(f"keeps {len(models)} models", ports=ports)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({stopped, serving, rounds}, return_when="FIRST_COMPLETED")
    _log_failure(rounds)
    if stopped.done():
        orphaned = await cluster.is_gone(environment["WAKER_OWNER"])
        log("stopping", orphaned=orphaned)
        await keeper.leave(orphaned)
        await asyncio.sleep(SETTLE_SECONDS)
    server.should_exit = True
    await serving
    rounds.cancel()
    await asyncio.gather(rounds, return_exceptions=True)
    for part in (proxy, keeper, cluster):
        await part.close()
    return 0 if stopped.done() else 1


def main() -> int:
    return asyncio.run(serve(os.environ))


if __name__ == "__main__":
    sys.exit(main())
