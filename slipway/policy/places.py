"""Locates a finding in a stack's file: the nearest setting that names the object.

Rendered objects do not name their settings. The line is that of the first key with the
object's name (of the model, the pool, the identity), otherwise the first.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from slipway import stack_files
from slipway.policy.objects import Judged
from toolchain import paths

INSTANCE = "app.kubernetes.io/instance"


class Lines:
    """The lines of one stack's file, in the project or in another checkout."""

    def __init__(self, stack: str, checkout: Path | None = None) -> None:
        self._path = stack_files.path(stack, checkout)
        self._root = checkout or paths.PROJECT

    @property
    def file(self) -> str:
        """The file, relative to the project or the checkout."""
        if self._path.is_relative_to(self._root):
            return str(self._path.relative_to(self._root))
        return str(self._path)

    @cached_property
    def _keys(self) -> dict[str, int]:
        """The first line of each key, by the key without `slipway:`."""
        found: dict[str, int] = {}
        for number, line in enumerate(self._path.read_text().splitlines(), start=1):
            if match := re.match(
                r"\s*(?:- )?(?:slipway:)?\"?([\w.-]+)\"?:(\s|$)", line
            ):
                found.setdefault(match[1], number)
        return found

    def of(self, judged: Judged) -> int:
        """The line of the nearest setting."""
        name = judged.name.rpartition("/")[2]
        parts = name.split("-")
        names = [judged.labels.get(INSTANCE, ""), name]
        # storage-predictions is a part of `storage`, pool-h100 one of the pool `h100`.
        names += ["-".join(parts[1:]), *("-".join(parts[:n]) for n in (2, 1))]
        return next((self._keys[n] for n in names if n in self._keys), 1)
