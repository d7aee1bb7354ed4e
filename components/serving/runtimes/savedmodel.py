"""Our own server for SavedModels, on TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal

from components.serving.runtimes.facts import Facts
from components.serving.runtimes.ours import SERVER, Memory
from components.serving.runtimes.own_server import FACTS, OwnServer
from components.serving.settings.replica_args import ReplicaArgs
from components.settings import Problem

IMAGE = "model-server-tensorflow"
"""The image that has TensorFlow (images/model_server_tensorflow)."""
IMPORT_CPU_SECONDS = 12
"""CPU time to import TensorFlow and load a small model: 5.7 s measured, on a machine
of 2026 (2026-12-01); twice that, for slower ones."""


class SavedModel(OwnServer):
    """Our server on TensorFlow: TensorFlow Serving's REST predict, too."""

    # TensorFlow and a small model: 494 MiB, beside the server (2026-12-01). A body of
    # REST predict is read at once: 31 times its size for rows that are objects or lists
    # of one digit, measured on 4 MiB (2026-12-01).
    MEMORY: ClassVar[Memory] = Memory(server_mib=576, per_body=32)
    FACTS: ClassVar[Facts] = replace(
        FACTS,
        # The version is a part of the last step of a path (`m:predict`), as in
        # TensorFlow Serving.
        public=(*SERVER.public, "/v1/models"),
        runs_here=True,
        cannot=(
            "run models that are not SavedModels",
            "speak TensorFlow Serving's gRPC, classify or regress",
            "use a GPU",
        ),
    )
    IMAGE_FIX: ClassVar[str] = f"set image: {IMAGE}, which is built on demand"
    kind: Literal["savedmodel"]
    """Our server for SavedModels, with TensorFlow; set `image` to
    model-server-tensorflow."""

    def problems(self, args: ReplicaArgs) -> Iterator[Problem]:
        yield from super().problems(args)
        millicores = args.resources.cpu_limit_millicores
        needed = math.ceil(1000 * IMPORT_CPU_SECONDS / millicores)
        if args.lifecycle.startup_seconds < needed:
            yield Problem(
                "lifecycle.startup_seconds",
                args.lifecycle.startup_seconds,
                f"importing TensorFlow takes up to {IMPORT_CPU_SECONDS} s of a CPU, so "
                f"{needed} s with resources.cpu_limit_millicores = {millicores}: the "
                "replica would be killed before it is ready",
                f"give at least {needed} and what the model itself takes, or a higher "
                "CPU limit",
            )
