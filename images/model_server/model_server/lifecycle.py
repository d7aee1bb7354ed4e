"""Start and stop of the process: sockets first, models next, and the drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import signal
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import uvicorn

from model_server.config import Config
from model_server.connection import Connection
from model_server.manifest import ModelError
from model_server.service import Service
from model_server.uvicorn_options import BACKLOG

if TYPE_CHECKING:
    from model_server.grpc_server import GrpcServer

LOG_FLUSH_SECONDS = 2.0
SAMPLE_SECONDS = 1.0
CHECK_SECONDS = 0.25
TURNS = 5
"""Iterations of the event loop for a connection: accept, create it, read; and two to
spare."""

logger = logging.getLogger("model_server")


class Server(uvicorn.Server):
    """uvicorn's server without its own handling of signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take who has connected and what they have sent before listening ends.

        The event loop accepts one connection a turn. It goes on until the kernel has
        none left, at most the backlog: clients may connect as fast as it accepts.
        """
        waiting = select.poll()
        for listener in sockets or []:
            waiting.register(listener, select.POLLIN)
        for _ in range(BACKLOG):
            if not waiting.poll(0):
                break
            await asyncio.sleep(0)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        await super().shutdown(sockets)


class Lifecycle:
    """Runs a service in a server until a signal or a fault ends it."""

    def __init__(self, config: Config, service: Service, server: Server) -> None:
        self._config = config
        self._service = service
        self._server = server
        service.count_connections = lambda: len(server.server_state.connections)
        self._grpc: GrpcServer | None = None
        self._grpc_stopping: asyncio.Task[None] | None = None
        self._exit_code = 0
        self._stopping: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Serve; return the process's exit code."""
        try:
            listener = _listen(self._config.host, self._config.port)
            await self._start_grpc()
        except OSError as error:
            logger.error(  # noqa: TRY400, the reason says it all
                "cannot listen on MODEL_SERVER_HOST=%s MODEL_SERVER_PORT=%s "
                "MODEL_SERVER_GRPC_PORT=%s: %s",
                self._config.host,
                self._config.port,
                self._config.grpc_port,
                error,
            )
            return 2
        host, port = listener.getsockname()[:2]
        grpc_port = self._config.grpc_port
        logger.info(
            "listening", extra={"host": host, "port": port, "grpc_port": grpc_port}
        )
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop, True)
        loop.add_signal_handler(signal.SIGINT, self._stop, False)
        loading = asyncio.create_task(self._load())
        sampling = asyncio.create_task(self._sample())
        checking = asyncio.create_task(self._check_connections())
        await self._server.serve(sockets=[listener])
        for task in (loading, sampling, checking):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._abort_connections()
        self._stop_grpc()
        if self._grpc_stopping:
            await self._grpc_stopping
        await asyncio.to_thread(self._service.close, LOG_FLUSH_SECONDS)
        logger.info("stopped", extra={"exit_code": self._exit_code})
        return self._exit_code

    async def _start_grpc(self) -> None:
        """Serve gRPC if it is asked for; without it, nothing of it is imported."""
        if self._config.grpc_port:
            from model_server.grpc_server import GrpcServer

            self._grpc = GrpcServer(self._service, self._config)
            await self._grpc.start()

    def _stop_grpc(self) -> None:
        """Take no new calls; those under way have as long as HTTP's requests."""
        if self._grpc and self._grpc_stopping is None:
            self._grpc_stopping = asyncio.create_task(
                self._grpc.stop(self._config.drain_seconds)
            )

    async def _load(self) -> None:
        try:
            await self._service.load()
        except ModelError as error:
            for problem in error.problems:
                logger.error(problem)  # noqa: TRY400, the reason says it all
            self._fail()
        except Exception:
            logger.exception("the models could not be loaded")
            self._fail()

    def _fail(self) -> None:
        self._exit_code = 1
        self._server.should_exit = True

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            self._service.sample_usage()

    async def _abort_connections(self) -> None:
        """Cut off what the drain did not finish: the loop cannot close before."""
        left = list(self._server.server_state.connections)
        if left:
            logger.warning("connections cut off", extra={"connections": len(left)})
        for connection in left:
            connection.transport.abort()
        await asyncio.sleep(0)

    async def _check_connections(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            now = loop.time()
            for connection in list(self._server.server_state.connections):
                if isinstance(connection, Connection):
                    connection.check(now)
            if self._grpc:
                self._grpc.check(now)

    def _stop(self, deregister: bool) -> None:
        if self._stopping:
            logger.warning("a second signal: leaving without waiting")
            self._server.force_exit = True
            self._server.should_exit = True
            if self._grpc:
                self._grpc_stopping = asyncio.create_task(self._grpc.stop(0))
            return
        self._stopping = asyncio.create_task(self._drain(deregister=deregister))

    async def _drain(self, *, deregister: bool) -> None:
        """Stay ready while load balancers learn; then finish what is in flight."""
        seconds = self._config.deregistration_seconds if deregister else 0.0
        logger.info(
            "draining", extra={"seconds": seconds, "inflight": self._service.inflight}
        )
        self._service.is_draining = True
        await asyncio.sleep(seconds)
        self._service.stop_taking()
        logger.info("closing", extra={"inflight": self._service.inflight})
        self._stop_grpc()
        self._server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.setblocking(False)
    return listener
