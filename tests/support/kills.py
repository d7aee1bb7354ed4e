"""Work that is killed: in a child, at one of its steps on files or at any moment."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable

EVENTS = {"open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir"}
"""Audit events of Python's own steps on files; the engine's writes lie between them."""

Task = Callable[[], object]


def start(task: Task) -> int:
    """Begin a task in a child; its process number.

    A fork, since a new interpreter would take most of the time.
    """
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            task()
            os._exit(0)
        os._exit(1)
    return child


def wait(child: int) -> int:
    """The wait status of a child that has ended."""
    return os.waitpid(child, 0)[1]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def is_killed(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def run_until(task: Task, point: int = 0, path: str = "") -> tuple[int, int]:
    """Run a task in a child that is killed at its so-manyth step on files, if any.

    path: a part of the paths that count, several with `|` between. Returns the wait
    status and, of a child that was not killed, its steps.
    """
    read, write = os.pipe()

    def counting() -> None:
        steps, parts = 0, path.split("|")

        def look(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal steps
            text = str(arguments[0]) if arguments else ""
            if event in EVENTS and any(part in text for part in parts):
                steps += 1
                if steps == point:
                    die()

        sys.addaudithook(look)
        task()
        os.write(write, str(steps).encode())

    child = start(counting)
    os.close(write)
    with os.fdopen(read) as told:
        steps = int(told.read() or 0)
    return wait(child), steps


def point_of(number: int, points: int, steps: int) -> int:
    """A step in one of as many equal parts of a run, so that no part is left out."""
    width = steps / points
    return 1 + int(width * number + random.Random(number).random() * width)


def kill_twice(task: Task, seconds: float, seed: int) -> None:
    """Begin a task and kill it within its usual time, and the same once more."""
    chance = random.Random(seed)
    for _ in range(2):
        child = start(task)
        time.sleep(chance.random() * seconds)
        os.kill(child, signal.SIGKILL)
        wait(child)
