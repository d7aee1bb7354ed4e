"""Whether a container's memory suffices for the largest body that is read at once.

Numbers are read in blocks (large_body.py). Each text is an object of 50 bytes and more
until onnxruntime has it, and settings of a stack do not know which models have some.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from model_server import cgroup
from model_server.config import PREFIX, Config
from model_server.datatypes import TEXT
from model_server.model import Model

SERVER_MIB = 80
"""Resident memory of the server with a small model, measured (2026-11-29)."""
MEMORY_PER_BODY = 26
"""What reading a body takes in times its size, itself included: 24 for texts of one
character, measured on 8 MiB (2026-11-29)."""


def without_room(
    models: Iterable[Model], config: Config, root: Path = Path("/")
) -> list[str]:
    """Return a problem for each model with texts whose largest body does not fit.

    `root` is where the container's limit is read.
    """
    memory_limit = cgroup.memory_limit(root)
    needed = SERVER_MIB + math.ceil(MEMORY_PER_BODY * config.max_body_bytes / 2**20)
    if memory_limit is None or memory_limit >= needed * 2**20:
        return []
    return [
        f"{manifest.name}: has inputs of texts, of which a body of "
        f"{PREFIX}MAX_BODY_BYTES={config.max_body_bytes} takes up to "
        f"{needed - SERVER_MIB} MiB beside the server's {SERVER_MIB}; the container's "
        f"limit is {memory_limit // 2**20} MiB: it would be killed; give {needed} MiB "
        f"or lower {PREFIX}MAX_BODY_BYTES"
        for manifest in (model.manifest for model in models)
        if any(tensor.datatype == TEXT for tensor in manifest.inputs)
    ]
