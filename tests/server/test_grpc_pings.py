"""Clients that ping keep their connection; those that flood lose it."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest

from tests.support.grpc_calls import free_port

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY = 4, 6, 7
ACKNOWLEDGED = 1
ENHANCE_YOUR_CALM = 11
PINGS = 8


def frame(kind: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return (
        struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + bytes(4) + payload
    )


async def pings(port: int, seconds: float) -> list[int]:
    """Ping without a call; return the kinds of frames that answer the pings."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(PREFACE + frame(SETTINGS))
    found = []
    for number in range(PINGS):
        await asyncio.sleep(seconds)
        writer.write(frame(PING, struct.pack(">Q", number)))
        try:
            found.append(await asyncio.wait_for(answered(reader), 20))
        except (asyncio.IncompleteReadError, ConnectionError):
            break
        if found[-1] == GOAWAY:
            break
    writer.close()
    return found


async def answered(reader: asyncio.StreamReader) -> int:
    """Return the kind of the next frame that is a ping's answer or the end."""
    while True:
        head = await reader.readexactly(9)
        payload = await reader.readexactly(int.from_bytes(head[:3]))
        if head[3] == PING and head[4] & ACKNOWLEDGED:
            return PING
        if head[3] == GOAWAY:
            assert int.from_bytes(payload[4:8]) == ENHANCE_YOUR_CALM
            return GOAWAY


@pytest.mark.parametrize(("least", "outcome"), [(0.01, {PING}), (60.0, {PING, GOAWAY})])
def test_pings_without_a_call(
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    least: float,
    outcome: set[int],
) -> None:
    """Pings 50 ms apart, where that is more and where it is less than the least."""
    from model_server import grpc_server
    from model_server.config import read
    from model_server.service import Service

    monkeypatch.setattr(grpc_server, "LEAST_PING_SECONDS", least)
    port = free_port()
    settings = {
        "MODEL_SERVER_MODELS": str(models),
        "MODEL_SERVER_HOST": "127.0.0.1",
        "MODEL_SERVER_GRPC_PORT": str(port),
        "MODEL_SERVER_PREDICTION_LOG": "",
    }

    async def run() -> list[int]:
        config = read(settings)
        server = grpc_server.GrpcServer(Service(config, None), config)
        await server.start()
        try:
            return await pings(port, 0.05)
        finally:
            await server.stop(0)

    found = asyncio.run(run())
    assert set(found) == outcome
    assert (len(found) == PINGS) == (GOAWAY not in outcome)


def test_the_usual_interval_of_clients_is_allowed() -> None:
    """10 s is what their documents name; the README says our least."""
    from model_server.grpc_server import LEAST_PING_SECONDS

    from tests.support.model_server import SERVER

    assert LEAST_PING_SECONDS <= 8
    readme = " ".join((SERVER / "README.md").read_text().split())
    assert f"least {LEAST_PING_SECONDS:g} s apart" in readme
