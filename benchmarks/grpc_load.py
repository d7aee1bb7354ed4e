"""Closed-loop gRPC load: callers with one call each under way on one channel.

python -m benchmarks.grpc_load HOST:PORT FILE CALLERS SECONDS
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import grpc

from benchmarks.load import percentile

METHOD = "/inference.GRPCInferenceService/ModelInfer"


def main() -> None:
    """Print calls, seconds, p50, p99 and errors, as `benchmarks.load` does."""
    address, file, callers, seconds = sys.argv[1:]
    body = Path(file).read_bytes()
    latencies: list[float] = []
    errors: list[str] = []
    end = time.perf_counter() + float(seconds)
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(METHOD)

        def ask() -> None:
            """Call until the end, and once where a busy machine is there already."""
            now = time.perf_counter()
            while True:
                started = now
                try:
                    call(body)
                except grpc.RpcError as error:
                    errors.append(str(error))
                now = time.perf_counter()
                latencies.append(now - started)
                if now >= end:
                    return

        started = time.perf_counter()
        threads = [threading.Thread(target=ask) for _ in range(int(callers))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall = time.perf_counter() - started
    p50, p99 = (percentile(latencies, share) for share in (0.5, 0.99))
    print(len(latencies), wall, p50, p99, len(errors))


if __name__ == "__main__":
    main()
