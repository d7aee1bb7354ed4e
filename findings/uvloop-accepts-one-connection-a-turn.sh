#!/usr/bin/env bash
# uvloop: an event loop accepts one waiting connection a turn, however many wait.
#
# Guess: as asyncio's own loop does, uvloop accepts all that wait (up to the backlog) when
# its listening socket becomes readable, so that a few turns (`await asyncio.sleep(0)`)
# before `server.close()` are enough to take everyone who had connected by then.
# Behaviour: libuv, on which uvloop stands, calls accept once a turn. Of 40 clients that
# have connected and sent a request while the process was busy, ten turns take at most ten;
# closing the listening socket then resets the others, whose connect() had succeeded.
# Versions: uvloop 0.22.1 and 0.23.0, Python 3.11. Seen 2026-11-30:
#   asyncio: 40 of 40 accepted; uvloop: at most 10 of 40 accepted, the others reset
# What follows: before it closes, a server polls its listening socket and gives the loop
# turns until nothing waits (images/model_server/model_server/lifecycle.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat >"$folder/ask.py" <<'PY'
import asyncio
import socket
import sys

import uvloop

CLIENTS, TURNS = 40, 10


async def accepted():
    """How many of the waiting clients a few turns accept, and how many are reset."""
    connections = []

    class Connection(asyncio.Protocol):
        def connection_made(self, transport):
            connections.append(transport)

    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    listener.setblocking(False)
    address = listener.getsockname()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, sock=listener, backlog=64)
    await asyncio.sleep(0.1)
    clients = [socket.create_connection(address, 5) for _ in range(CLIENTS)]
    for client in clients:
        client.sendall(b"request")
    for _ in range(TURNS):
        await asyncio.sleep(0)
    server.close()
    listener.close()
    await asyncio.sleep(0.5)
    reset = 0
    for client in clients:
        client.setblocking(False)
        try:
            client.recv(1)
        except BlockingIOError:
            pass  # accepted, and not answered
        except ConnectionResetError:
            reset += 1
        client.close()
    for transport in connections:
        transport.abort()
    return len(connections), reset


counts = {loop.__name__: loop.run(accepted()) for loop in (asyncio, uvloop)}
print("counts:", counts, file=sys.stderr)
count, reset = counts["uvloop"]
few = 0 < count <= TURNS and count + reset == CLIENTS
print(
    f"asyncio: {counts['asyncio'][0]} of {CLIENTS} accepted; uvloop:",
    f"at most {TURNS} of {CLIENTS} accepted, the others reset" if few else counts["uvloop"],
)
PY
wanted="asyncio: 40 of 40 accepted; uvloop: at most 10 of 40 accepted, the others reset"
for version in 0.22.1 0.23.0; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "uvloop==$version"
  seen=$("$folder/venv/bin/python" "$folder/ask.py")
  echo "$version: $seen"
  if [ "$seen" != "$wanted" ]; then
    echo "changed: it was $wanted" >&2
    exit 1
  fi
done
