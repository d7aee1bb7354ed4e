"""Two revisions of a model behind two API versions, in the lab, for a while.

A stack of its own beside the lab's, with a server of another name, so that the lab's
own stays as it is. Both revisions are the same model; they differ in the name that they
report.
"""

from __future__ import annotations

import http.client
import shutil
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from slipway.engine.engine import Engine
from slipway.engine.results import StackResult
from toolchain import paths

STACK, SERVER, MODEL = "models.versions", "versions", "employment"
OLD, NEW = "/versions/v1", "/versions/v2"
REVISION = "x-model-revision"
JSON = {"content-type": "application/json"}


def revision(weight: int, arm: str = "stable") -> dict[str, Any]:
    return {"model_image": MODEL, "weight": weight, "arm": arm}


@dataclass
class Versioned:
    """The stack, brought up with any weights."""

    root: Path
    """A copy of the files that the engine needs of the checkout."""
    settings: dict[str, Any] = field(default_factory=dict)
    moving: Callers | None = None
    """Who called while the server moved to revisions."""

    def up(self, weights: Mapping[str, int]) -> StackResult:
        """Without weights a server without revisions."""
        revisions = {n: revision(w) for n, w in weights.items()}
        model = {
            "model": MODEL,
            **self.settings,
            **({"revisions": revisions} if revisions else {"model_image": MODEL}),
        }
        content = {
            "slipway:cluster": {"kubeconfig": "lab"},
            "slipway:models": {SERVER: model},
        }
        files = self.root / "stacks" / "config"
        files.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths.ROOT / "Pulumi.yaml", self.root)
        file = files / f"Pulumi.{STACK}.yaml"
        file.write_text(yaml.safe_dump({"config": content}))
        return self._engine().up(STACK)

    def down(self) -> None:
        self._engine().destroy(STACK)

    def _engine(self) -> Engine:
        return Engine(root=self.root)


class Callers:
    """Callers that ask again as soon as they were answered, until the block ends."""

    def __init__(self, url: str, body: bytes, *, most: int, callers: int = 4) -> None:
        self.revisions: Counter[str] = Counter()
        """Answers with status 200 by the revision that gave them."""
        self.failed: Counter[str] = Counter()
        """All others by status or error."""
        self._url, self._body = httpx.URL(url), body
        assert self._url.host == "127.0.0.1", url
        self._stop = threading.Event()
        shares = [most // callers + (n < most % callers) for n in range(callers)]
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in shares]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self.wait()

    def wait(self) -> Self:
        """Until all have asked as often as they were to."""
        for thread in self._threads:
            thread.join()
        return self

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._url.port or 80, timeout=20
        )
        found: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for _ in range(number):
            if self._stop.is_set():
                break
            try:
                connection.request("POST", self._url.path, self._body, JSON)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as problem:
                failed[type(problem).__name__] += 1
                connection.close()
                continue
            if answer.status == httpx.codes.OK:
                found[answer.getheader(REVISION) or "nobody"] += 1
            else:
                failed[str(answer.status)] += 1
        connection.close()
        with _ADDING:
            self.revisions += found
            self.failed += failed


_ADDING = threading.Lock()
