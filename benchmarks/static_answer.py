"""The least that HTTP can cost here: uvloop, and one fixed answer to whatever comes.

python -m benchmarks.static_answer PORT
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

BODY = b'{"outputs":[{"data":[0]},{"data":[0.5,0.5]}]}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
) % len(BODY) + BODY


class Static(asyncio.Protocol):
    """Answers each piece of data, unread; small requests come in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:  # noqa: ARG002
        """Answer, read or not."""
        self._write(ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Static, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))
