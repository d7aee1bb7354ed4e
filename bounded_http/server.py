"""uvicorn's server, ended by its own program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn


class Server(uvicorn.Server):
    """Ends by `should_exit` only; the program itself handles signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
