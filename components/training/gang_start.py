"""Runs in workers' pods, with their image's Python: answers and awaits its peers.

`serve PORT` answers connections for as long as the pod lives, so that others see it.
`wait PORT SECONDS RUN SERVICE WORKERS` returns when all workers answer. It exits with
75 (EX_TEMPFAIL) if they do not within the time: an incomplete gang releases its nodes.

Other people's images run it: nothing but the standard library of Python 3.8.
"""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import sys
import time

TIMED_OUT = 75
CONNECT_SECONDS = 2.0
PAUSE_SECONDS = 1.0
TELL_SECONDS = 30.0


def serve(port: int) -> None:
    """Answers each connection by closing it, until SIGTERM."""
    # Not sys.exit: that may interrupt the start of a thread, and fail on its end.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    handler = socketserver.BaseRequestHandler
    with socketserver.ThreadingTCPServer(("", port), handler) as server:
        server.serve_forever()


def answers(name: str, port: int) -> bool:
    """Return whether the address accepts connections."""
    try:
        with socket.create_connection((name, port), CONNECT_SECONDS):
            return True
    except OSError:
        return False


def wait(port: int, seconds: float, names: list[str]) -> int:
    """Wait for all names, and print missing ones; return the exit status."""
    start = said = time.monotonic()
    missing = names
    while True:
        missing = [name for name in missing if not answers(name, port)]
        now = time.monotonic()
        if not missing:
            print(f"all {len(names)} workers run, after {now - start:.0f} s")
            return 0
        if now - start > seconds:
            print(f"after {now - start:.0f} s these do not run: {', '.join(missing)}")
            return TIMED_OUT
        if now - said > TELL_SECONDS:
            said = now
            print(f"waiting for {', '.join(missing)}", flush=True)
        time.sleep(PAUSE_SECONDS)


def main(words: list[str]) -> int:
    """The exit status."""
    verb, port = words[0], int(words[1])
    if verb == "serve":
        serve(port)
        return 0
    seconds, run, service, workers = words[2:]
    names = [f"{run}-{index}.{service}" for index in range(int(workers))]
    return wait(port, float(seconds), names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
