"""Closed-loop load on loopback: wrk where it is installed, else our own generator."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
LOAD_CORE = "1"
JSON = {"content-type": "application/json"}
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Load:
    """What one round of load met: seconds are wall time, latencies in seconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int


def has_wrk() -> bool:
    return shutil.which("wrk") is not None


def generate(
    url: str,
    body: bytes,
    connections: int,
    seconds: int,
    headers: Mapping[str, str] = JSON,
) -> Load:
    """Post the body over keep-alive connections for some seconds, from core 1.

    A url of `grpc://` means calls of ModelInfer with the body as message.
    """
    with tempfile.TemporaryDirectory() as folder:
        if has_wrk() and headers == JSON and url.startswith("http"):
            return _wrk(url, body, connections, seconds, Path(folder))
        file = Path(folder) / "body"
        file.write_bytes(body)
        module, target = "benchmarks.load", url
        more = [f"{name}: {value}" for name, value in headers.items()]
        if url.startswith("grpc://"):
            module, target, more = "benchmarks.grpc_load", urlsplit(url).netloc, []
        text = subprocess.run(
            [
                *("taskset", "-c", LOAD_CORE, sys.executable, "-m", module),
                *(target, str(file), str(connections), str(seconds), *more),
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=seconds + 30,
        ).stdout
        count, wall, p50, p99, errors = text.split()
        return Load(int(count), float(wall), float(p50), float(p99), int(errors))


def _wrk(url: str, body: bytes, connections: int, seconds: int, folder: Path) -> Load:
    script = folder / "post.lua"
    script.write_text(
        'wrk.method = "POST"\n'
        f"wrk.body = [==[{body.decode()}]==]\n"
        'wrk.headers["content-type"] = "application/json"\n'
    )
    text = subprocess.run(
        [
            *("taskset", "-c", LOAD_CORE, "wrk", "--latency", "-t", "1"),
            *("--timeout", "30s"),
            *("-c", str(connections), "-d", f"{seconds}s", "-s", str(script), url),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 30,
    ).stdout
    return parse_wrk(text)


def parse_wrk(text: str) -> Load:
    """Read wrk's report."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s)", text)
    if total is None:
        raise ValueError(f"not a report of wrk:\n{text}")
    faults = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    sockets = re.search(r"Socket errors: (.*)", text)
    errors = int(faults[1]) if faults else 0
    if sockets:
        errors += sum(int(number) for number in re.findall(r"\d+", sockets[1]))
    return Load(
        requests=int(total[1]),
        seconds=float(total[2]) * UNITS[total[3]],
        p50=_percentile_of(text, "50%"),
        p99=_percentile_of(text, "99%"),
        errors=errors,
    )


def _percentile_of(text: str, name: str) -> float:
    found = re.search(rf"\s{name}\s+([\d.]+)(us|ms|s)", text)
    if found is None:
        raise ValueError(f"no {name} in the report of wrk:\n{text}")
    return float(found[1]) * UNITS[found[2]]


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Caller(asyncio.Protocol):
    """One connection that asks, and asks again as soon as it has the answer."""

    def __init__(self, raw: bytes, end: float, done: asyncio.Future[None]) -> None:
        self._raw, self._end, self._done = raw, end, done
        self._received = b""
        self._missing = 0
        self.latencies: list[float] = []
        self.errors = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport  # uvloop's have no class of asyncio's
        self._ask()

    def _ask(self) -> None:
        self._started = time.perf_counter()
        if self._started < self._end:
            self._transport.write(self._raw)
        else:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._received += data
            head, found, body = self._received.partition(b"\r\n\r\n")
            if not found:
                return
            length = LENGTH.search(head)
            self._missing = (int(length[1]) if length else 0) - len(body)
            self.errors += not head.startswith(b"HTTP/1.1 200")
            self._received = b""
        if self._missing <= 0:
            self._missing = 0
            self.latencies.append(time.perf_counter() - self._started)
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.errors += exc is not None
        if not self._done.done():
            self._done.set_result(None)


async def _own(
    url: str, body: bytes, connections: int, seconds: float, headers: list[str]
) -> Load:
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", *headers]
    lines.append(f"content-length: {len(body)}\r\n\r\n")
    raw = "\r\n".join(lines).encode() + body
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    callers = []
    for _ in range(connections):
        done = loop.create_future()
        _, caller = await loop.create_connection(
            lambda done=done: _Caller(raw, started + seconds, done),  # type: ignore[misc]
            parts.hostname or "",
            parts.port or 80,
        )
        callers.append((caller, done))
    await asyncio.gather(*(done for _, done in callers))
    wall = time.perf_counter() - started
    latencies = [it for caller, _ in callers for it in caller.latencies]
    return Load(
        len(latencies),
        wall,
        percentile(latencies, 0.5),
        percentile(latencies, 0.99),
        sum(caller.errors for caller, _ in callers),
    )


if __name__ == "__main__":
    found = uvloop.run(
        _own(
            sys.argv[1],
            Path(sys.argv[2]).read_bytes(),
            int(sys.argv[3]),
            float(sys.argv[4]),
            sys.argv[5:],
        )
    )
    print(found.requests, found.seconds, found.p50, found.p99, found.errors)
