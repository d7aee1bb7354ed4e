"""Runs a stack's program in this process, a monitor in the engine's place.

The same steps as the Automation API's language server takes for an inline program
(pulumi/automation/_server.py), and what makes them quick where nobody else asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

from pulumi.runtime import config as runtime_config
from pulumi.runtime.settings import Settings, configure
from pulumi.runtime.stack import run_in_stack

from slipway.rendering import quick_sdk

T = TypeVar("T")


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that does what is handed to other threads at once, in its own.

    The SDK asks its monitor in another thread, as the engine's answer takes time. Ours
    answers from memory: a change of threads would take longer than the answer. The
    monitor is thus asked in the order of the program, too.
    """

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 raised by who awaits the future
            future.set_exception(error)
        return future


def run(
    program: Callable[[], None],
    settings: Settings,
    config: Mapping[str, str],
    secret: list[str],
) -> None:
    """Runs the program with this configuration; raises what it raises.

    To be called within `alone`, where `settings` are made, too.
    """
    loop = _Loop()
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(lambda *_: None)  # all errors are raised below
    configure(settings)
    quick_sdk.here()
    runtime_config.set_all_config(dict(config), secret)
    try:
        loop.run_until_complete(run_in_stack(_until_quiet(program)))
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        asyncio.set_event_loop(None)
        loop.close()


def _until_quiet(program: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    """The program, and a wait until all that it has begun has ended.

    The SDK would wait for it, too, but in a way that takes the square of the number of
    outputs: it waits for the first of all that are left, again and again
    (pulumi/runtime/stack.py, wait_for_rpcs, of 3.259.0: half the time of a stack of 300
    resources). After an error the SDK is left to say what it was.
    """

    async def whole() -> None:
        program()
        own = asyncio.current_task()
        while others := asyncio.all_tasks() - {own}:
            done, _ = await asyncio.wait(others, return_when=asyncio.FIRST_EXCEPTION)
            if any(task.cancelled() or task.exception() for task in done):
                return

    return whole


def alone(function: Callable[[], None]) -> None:
    """Calls the function where Pulumi's state is new.

    All of Pulumi's global state is in context variables and in the thread's event loop:
    a new thread with an empty context has none of an earlier program, and leaves none.
    """
    errors: list[BaseException] = []

    def call() -> None:
        try:
            contextvars.Context().run(function)
        except BaseException as error:  # noqa: BLE001 raised again by the caller
            errors.append(error)

    thread = threading.Thread(target=call, name="slipway-render")
    with _uncollected():
        thread.start()
        thread.join()
    if errors:
        raise errors[0]


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without a search for cycles until the end, which then sees only what is new.

    Nearly all that the SDK makes is needed until its program has ended: a third of the
    time was spent on looking for what is not.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        gc.enable()
