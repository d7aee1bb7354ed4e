"""uvicorn's server, ended by its own program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn


class Server(uvicorn.Server):
    """Told to end by `should_exit` alone: signals are the program's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
