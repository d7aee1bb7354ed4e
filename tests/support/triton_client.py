"""NVIDIA's own client of the Open Inference Protocol, in an environment of its own.

Its pins clash with ours, so it runs as a process that takes one call a line in JSON and
gives one answer a line.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from toolchain import own_venv

REQUIREMENTS = Path(__file__).parents[1] / "server/requirements-triton.txt"
SCRIPT = Path(__file__).with_name("triton_run.py")


class TritonError(Exception):
    """What the client raised: a gRPC status or HTTP status, and the message."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Triton:
    """The client, connected by `kind`, "grpc" or "http"; use it in a `with`.

    `authority`: file with the certificate to trust; it then speaks gRPC over TLS.
    """

    def __init__(self, kind: str, address: str, authority: str = "") -> None:
        self._command = [str(own_venv.python(REQUIREMENTS)), "-I", str(SCRIPT)]
        self._command += [kind, address, *([authority] if authority else [])]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=20)

    def ask(self, call: str, **arguments: Any) -> Any:
        """Call a method of the client or of `triton_run`; raise `TritonError`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"call": call, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise TritonError(*answer["error"])
        return answer["result"]
