"""Reads and writes HDFS by hdfs-native, in a Python environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolchain import own_venv

REQUIREMENTS = Path(__file__).with_name("requirements-hdfs.txt")
CODE = """
import base64, json, sys
from hdfs_native import Client, WriteOptions

address, *asked = sys.argv[1:]
client = Client(address)
kind, path, *rest = asked
if kind == "write":
    with client.create(path, WriteOptions(overwrite=True)) as file:
        file.write(base64.b64decode(rest[0]))
    found = None
elif kind == "read":
    with client.read(path) as file:
        found = base64.b64encode(file.read()).decode()
else:
    found = [
        {"path": it.path, "length": it.length, "replication": it.replication}
        for it in client.list_status(path, recursive=True)
        if not it.isdir
    ]
print(json.dumps(found))
"""
SECONDS = 60.0


class HdfsError(Exception):
    """The client ended with an error; its text."""


def ask(address: str, *words: str, before: Sequence[str] = ()) -> Any:
    """What `write PATH BASE64`, `read PATH` (base64) or `list PATH` answers.

    `before`: a program and its arguments that run the client in another place.
    """
    client = [str(own_venv.python(REQUIREMENTS)), "-I", "-c", CODE, address, *words]
    done = subprocess.run(
        [*before, *client], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode:
        raise HdfsError(done.stderr[-2000:])
    return json.loads(done.stdout)
