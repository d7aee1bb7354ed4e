"""A team's own web application with our adapter in it."""

from __future__ import annotations

from typing import ClassVar

from components.serving.runtimes.facts import Facts
from components.serving.runtimes.ours import ADAPTER, Ours
from components.setting_types import PathPrefix


class Application(Ours):
    """The team's own image, which mounts the contract in one line; same variables."""

    FACTS: ClassVar[Facts] = ADAPTER
    paths: tuple[PathPrefix, ...] = ()
    """The application's own public paths, in addition to /infer and /v2; for example
    /score."""

    def public_paths(self, model: str) -> tuple[str, ...]:
        return (*super().public_paths(model), *self.paths)
