"""Leads ports of the machine's loopback into the lab; one process for all of a lab.

    python -m lab.forward FOLDER OFFSET

The listening sockets are made first and stay in the machine's network namespace; the
process then enters the lab's one. A child serves them from there, and another takes
over should it end: who connects meanwhile waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn, cast

from lab import linux, ports
from lab.network import Network
from lab.processes import ProcessRecord
from lab.services import Service
from lab.settings import FORWARDS, LabSettings

_HIGH_WATER_BYTES = 256 * 1024
_CHILD_MINIMUM_SECONDS = 1.0
"""Seconds from the start of one child to that of the next."""


@dataclass(frozen=True)
class Forwards:
    """The forwards of the lab whose state is in `folder`."""

    folder: Path

    @property
    def service(self) -> Service:
        return Service(self.folder, self.folder, "forward", "lab.forward")

    @property
    def process(self) -> ProcessRecord | None:
        return self.service.process

    def up(self, settings: LabSettings) -> bool:
        """Starts the process unless it runs with these ports and this network."""
        wanted = self._wanted(settings)
        kept = self.folder / "forward.wanted"
        if self.process and kept.is_file() and kept.read_text() == wanted:
            return False
        self.service.stop()
        ports.check_free(settings.ports())
        self.service.start(self.folder, str(settings.port_offset))
        kept.write_text(wanted)
        return True

    def _wanted(self, settings: LabSettings) -> str:
        return f"{settings.ports()} {Network(self.folder).holder}"


class _Pipe(asyncio.Protocol):
    """One end of a forwarded connection; what it reads is written to its peer."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: _Pipe | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        if self.peer and self.peer.transport and self.peer.transport.can_write_eof():
            with contextlib.suppress(OSError):
                self.peer.transport.write_eof()
        return True  # the other direction goes on

    def connection_lost(self, _: Exception | None) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.close()

    def pause_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.resume_reading()


class _Listener(_Pipe):
    """The end that a client of the machine connected to."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._target = (host, port)
        self._task: asyncio.Task[None] | None = None
        self._early = b""
        self._early_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = asyncio.get_running_loop().create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        if self.peer:
            super().data_received(data)
        elif self.transport:
            # Not paused before it began: uvloop 0.22 would never begin.
            self._early += data
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._early_end = self.peer is None
        return super().eof_received()

    async def _connect(self) -> None:
        assert self.transport
        try:
            _, peer = await asyncio.get_running_loop().create_connection(
                _Pipe, *self._target
            )
        except OSError:
            self.transport.abort()  # the client sees a reset, as if nothing listened
            return
        if self.transport.is_closing():
            assert peer.transport
            peer.transport.close()
            return
        peer.peer, self.peer = self, peer
        if self._early:
            super().data_received(self._early)
            self.transport.resume_reading()
        if self._early_end:
            super().eof_received()


async def _serve(listeners: list[tuple[socket.socket, str, int]]) -> None:
    loop = asyncio.get_running_loop()
    for listener, host, port in listeners:
        await loop.create_server(partial(_Listener, host, port), sock=listener)
    await asyncio.Event().wait()


def _run_child(
    listeners: list[tuple[socket.socket, str, int]], parent: int
) -> NoReturn:
    """Serves in a forked process, which never returns into main."""
    try:
        linux.die_with_parent(parent)
        faulthandler.enable()
        with contextlib.suppress(ImportError):
            import uvloop

            uvloop.install()
        asyncio.run(_serve(listeners))
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def main(folder: Path, offset: int) -> None:
    """Serves until it is killed."""
    service = Forwards(folder).service
    service.hold()
    settings = LabSettings(port_offset=offset)
    control_plane = settings.hosts()[0].address
    by_name = settings.ports()
    listeners = [
        (ports.listen(by_name[forward.name]), control_plane, forward.target_port)
        for forward in FORWARDS
    ]
    network = Network(folder)
    holder = network.holder
    if holder is None:
        sys.exit("Error: the lab's network is down")
    linux.enter_network(holder.pid)
    service.ready()
    own = os.getpid()
    while True:
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            _run_child(listeners, own)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        at = time.strftime("%H:%M:%S", time.gmtime())
        print(f"{at} the process that serves ended with {status}", flush=True)
        time.sleep(max(0.0, start + _CHILD_MINIMUM_SECONDS - time.monotonic()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
