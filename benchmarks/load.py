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
from urllib.parse import urlsplit

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


async def _own(
    url: str, body: bytes, connections: int, seconds: float, headers: list[str]
) -> Load:
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", *headers]
    lines.append(f"content-length: {len(body)}\r\n\r\n")
    raw = "\r\n".join(lines).encode() + body
    latencies: list[float] = []
    errors = 0
    end = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            while time.perf_counter() < end:
                started = time.perf_counter()
                writer.write(raw)
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
                latencies.append(time.perf_counter() - started)
                errors += not head.startswith(b"HTTP/1.1 200")
        finally:
            writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(connections)))
    wall = time.perf_counter() - started
    return Load(
        len(latencies),
        wall,
        percentile(latencies, 0.5),
        percentile(latencies, 0.99),
        errors,
    )


if __name__ == "__main__":
    found = asyncio.run(
        _own(
            sys.argv[1],
            Path(sys.argv[2]).read_bytes(),
            int(sys.argv[3]),
            float(sys.argv[4]),
            sys.argv[5:],
        )
    )
    print(found.requests, found.seconds, found.p50, found.p99, found.errors)
