#!/usr/bin/env bash
# grpc.aio: a stop with a grace period cancels calls that have arrived already.
#
# Guess: `await server.stop(grace)` refuses new calls and finishes what had arrived before,
# as the documentation's "waits until all active RPCs are finished" reads and as the
# threaded server of the same package does.
# Behaviour: the event loop takes one call at a time from gRPC's core. Calls that the core
# has received and the loop has not taken are ended at once with CANCELLED, a status that
# most retry policies leave out. A loop that is busy for a moment before its stop loses
# all but those it has taken. Threads take calls while others work: there all are answered.
# Versions: grpcio 1.85.1, Python 3.11. Seen 2026-11-30:
#   asyncio: some of 8 waiting calls CANCELLED; threads: OK 8
# What follows: a server on grpc.aio waits, before `stop`, for a moment in which no call
# begins. Ours has HTTP/2 frames of its own since (docs/decisions/0067).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1
cat >"$folder/server.py" <<'PY'
import asyncio
import concurrent.futures
import sys
import threading
import time

import grpc
import grpc.aio


def answer(data, context):
    time.sleep(0.02)
    if data == b"first":
        time.sleep(1)  # what keeps the loop busy while the others arrive
        stop()
    return data


async def answer_in_loop(data, context):
    return answer(data, context)


def handlers(method):
    unary = grpc.unary_unary_rpc_method_handler(method)
    return [grpc.method_handlers_generic_handler("a.B", {"C": unary})]


async def serve_asyncio():
    global stop
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(handlers(answer_in_loop))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stopping = asyncio.Event()
    stop = stopping.set
    print(port, flush=True)
    await stopping.wait()
    await server.stop(30)


def serve_threads():
    global stop
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(handlers(answer))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stopping = threading.Event()
    stop = stopping.set
    print(port, flush=True)
    stopping.wait()
    server.stop(30).wait()


if sys.argv[1] == "asyncio":
    asyncio.run(serve_asyncio())
else:
    serve_threads()
PY
cat >"$folder/ask.py" <<'PY'
import subprocess
import sys
import time

import grpc

counts = {}
for kind in ("asyncio", "threads"):
    command = [sys.executable, sys.argv[1], kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            channel = grpc.insecure_channel(f"127.0.0.1:{int(server.stdout.readline())}")
            call = channel.unary_unary("/a.B/C")
            call(b"warm", timeout=20)
            first = call.future(b"first", timeout=20)
            time.sleep(0.3)
            others = [call.future(b"other", timeout=20) for _ in range(8)]
            assert first.code() == grpc.StatusCode.OK
            codes = [other.code().name for other in others]
            counts[kind] = {code: codes.count(code) for code in sorted(set(codes))}
            channel.close()
            server.wait(20)
        finally:
            server.kill()
print("counts:", counts, file=sys.stderr)
some = counts["asyncio"].get("CANCELLED", 0) > 0
print("asyncio:", "some of 8 waiting calls CANCELLED" if some else "none cancelled", end="; ")
print("threads:", *(f"{code} {count}" for code, count in counts["threads"].items()))
PY
seen=$("$folder/venv/bin/python" "$folder/ask.py" "$folder/server.py")
echo "$seen"
wanted="asyncio: some of 8 waiting calls CANCELLED; threads: OK 8"
if [ "$seen" != "$wanted" ]; then
  echo "changed: it was $wanted" >&2
  exit 1
fi
