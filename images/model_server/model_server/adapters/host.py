"""Where a service runs: the application's own event loop, or a thread with one."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import uvloop

from model_server.adapters.drain import CLOSING, DRAINING, LOG_FLUSH_SECONDS, Drain
from model_server.config import Config
from model_server.manifest import ModelError
from model_server.pages import Pages
from model_server.prediction_log import open_prediction_log, unwritable_log
from model_server.service import Service

SAMPLE_SECONDS = 1.0
POLL_SECONDS = 0.1
EXIT_CODE = 3
"""gunicorn gives up, rather than start the worker again and again, at this code."""

Result = TypeVar("Result")

logger = logging.getLogger("model_server")


class Host:
    """A service and the event loop that it runs in."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self.service = service
        self.pages = Pages(service)
        self.loop = loop
        self.pid = os.getpid()

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function in the loop, from any thread."""
        self.loop.call_soon_threadsafe(function, *arguments)

    def ask(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Return what a function gives in the loop; call it from another thread."""
        future: Future[Result] = Future()

        def run() -> None:
            try:
                future.set_result(function(*arguments))
            except BaseException as error:  # noqa: BLE001, the caller gets it
                future.set_exception(error)

        self.call(run)
        return future.result()


async def load(service: Service) -> bool:
    """Load the service's models; False if they cannot be, the log says why."""
    try:
        await service.load()
    except ModelError as error:
        for problem in error.problems:
            logger.error(problem)  # noqa: TRY400, the reason says it all
    except Exception:
        logger.exception("the models could not be loaded")
    else:
        return True
    return False


class LoopThread:
    """A thread whose event loop runs a service until `close`.

    Start it after the last fork: threads do not pass one. If the service cannot live,
    nor can the process, for it would answer nothing and look alive.
    """

    def __init__(self, config: Config, runtime: str, drain: Drain) -> None:
        self._config = config
        self._runtime = runtime
        self._drain = drain
        self._is_closing = False
        self._host: Future[Host] = Future()
        self._thread = threading.Thread(
            target=self._run, name="model-server", daemon=True
        )
        self._thread.start()

    @property
    def host(self) -> Host:
        """The service and its loop; waits for the thread's first moments."""
        return self._host.result()

    def close(self) -> None:
        """Write out the prediction log and end the thread; answer nothing more."""
        self._is_closing = True
        self._thread.join(LOG_FLUSH_SECONDS + 1)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except OSError as error:
            logger.error(unwritable_log(self._config, error))  # noqa: TRY400
        except Exception:
            logger.exception("the model server's loop ended")
        if not self._is_closing:
            os._exit(EXIT_CODE)

    async def _serve(self) -> None:
        log = open_prediction_log(self._config)
        service = Service(self._config, log, self._runtime)
        self._host.set_result(Host(service, asyncio.get_running_loop()))
        loading = asyncio.create_task(load(service))
        sampled_at = time.monotonic()
        while not self._is_closing:
            await asyncio.sleep(POLL_SECONDS)
            self._follow(service)
            if loading.done() and not loading.result():
                return
            if time.monotonic() - sampled_at >= SAMPLE_SECONDS:
                service.sample_usage()
                sampled_at = time.monotonic()
        await asyncio.to_thread(service.close, LOG_FLUSH_SECONDS)
        logger.info("stopped", extra={"inflight": service.inflight})

    def _follow(self, service: Service) -> None:
        """Do as the process that got SIGTERM says."""
        state = self._drain.state
        if state >= DRAINING and not service.is_draining:
            logger.info("draining", extra={"inflight": service.inflight})
            service.is_draining = True
        if state >= CLOSING and service.is_ready:
            service.stop_taking()
            logger.info("closing", extra={"inflight": service.inflight})
