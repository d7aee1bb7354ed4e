"""Work on parts of something, in forks of this process where that is safe.

A fork has at once what this process has imported and read; a process that started anew
would take 1 s of CPU time to get there. Only a process with a single thread is forked:
a lock that another thread holds would never be free in the fork.
"""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.context
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")
_THREADS = Path("/proc/self/task")
_LOOKS = 20
"""For threads that have been joined: the kernel takes a moment longer to end them."""


def each(
    work: Callable[[Part], Result], parts: Sequence[Part]
) -> Iterator[tuple[Part, Result]]:
    """Each part with what `work` makes of it, in the order of the parts.

    Results of forks are pickled. A part whose fork failed or was ended is worked on
    again in this process, which raises the error if there is one.
    """
    number = min(_cores(), len(parts))
    if number < 2 or not _may_fork():
        yield from ((part, work(part)) for part in parts)
        return
    context = multiprocessing.get_context("fork")
    workers: list[multiprocessing.context.ForkProcess] = []
    ends: list[Connection] = []
    try:
        for index in range(number):
            ours, theirs = context.Pipe(duplex=False)
            own = parts[index::number]
            # A daemon: it ends where this process exits, but not where it is killed.
            worker = context.Process(
                target=_work, args=(work, own, theirs, [*ends, ours]), daemon=True
            )
            worker.start()
            theirs.close()
            workers.append(worker)
            ends.append(ours)
        for index, part in enumerate(parts):
            done, found = _received(ends[index % number])
            yield part, found if done else work(part)
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
        for end in ends:
            end.close()


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else 1


def _may_fork() -> bool:
    """Threads of libraries count, so the kernel is asked and not Python."""
    if sys.platform != "linux" or multiprocessing.current_process().daemon:
        return False
    for _ in range(_LOOKS):
        with suppress(OSError):
            if len(list(_THREADS.iterdir())) == 1:
                return True
        time.sleep(0.001)
    return False


def _work(
    work: Callable[[Part], Result],
    parts: Sequence[Part],
    out: Connection,
    others: Sequence[Connection],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    for end in others:
        end.close()  # else it would stay open for as long as this process lives
    gc.freeze()  # else the first collection would copy all that the fork shares
    with suppress(OSError):  # a parent that was killed receives nothing
        for part in parts:
            try:
                out.send((True, work(part)))
            except Exception:  # noqa: BLE001 raised where it is worked on again
                out.send((False, None))


def _received(end: Connection) -> tuple[bool, Any]:
    try:
        found: tuple[bool, Any] = end.recv()
    except (EOFError, OSError):
        return False, None
    return found
