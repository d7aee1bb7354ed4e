"""Progress of a request, as lines; a kill can only damage the last one."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model_monitor.requests.answer import Outcome
from model_monitor.store.erasure_receipt import Change
from model_monitor.store.whole_files import FILE_MODE, sync

STEPS: dict[str, dict[str, type]] = {
    "begun": {"time": str},
    "known": {"names": list},
    "file": {"path": str, "rows": int, "before": str},
    "settled": {"files": list},
    "failed": {"reason": str},
    "receipt": {"receipt": dict},
    "carried out": {"outcome": dict},
}
"""Fields of each step besides its name."""


class Journal:
    """The steps of one request, in the file of `path`. It never has a value."""

    def __init__(self, path: Path | None, request: str) -> None:
        """path: None keeps them in memory, for work that no other run takes up.

        Raises OSError, and ValueError if the file is not a journal.
        """
        self._path, self.request = path, request
        self._size, self._steps = read(path) if path else (0, [])

    @property
    def attempts(self) -> int:
        """Return how often the work was started."""
        return sum(it["step"] == "begun" for it in self._steps)

    @property
    def outcome(self) -> Outcome | None:
        """Return the result, once it was carried out."""
        found = self._last("carried out")
        return None if found is None else Outcome.of_json(found["outcome"])

    @property
    def changes(self) -> list[Change]:
        """Changes that an erasure had in mind since the last `settle`."""
        found = list[Change]()
        for it in self._steps:
            if it["step"] == "settled":
                found = []
            elif it["step"] == "file":
                found.append(Change(it["path"], it["rows"], it["before"]))
        return found

    @property
    def settled(self) -> list[dict[str, Any]]:
        """Files that an erasure had changed when it failed last."""
        found = self._last("settled")
        return [] if found is None else found["files"]

    @property
    def files(self) -> int:
        """Files that an erasure has changed, or had in mind to change."""
        settled = {it["path"] for it in self.settled}
        return len(settled | {it.path for it in self.changes})

    @property
    def failure(self) -> str:
        """Why the work failed the last time that it did; "" if it never did."""
        found = self._last("failed")
        return "" if found is None else found["reason"]

    @property
    def receipt(self) -> dict[str, Any] | None:
        """The receipt of an erasure whose files are done."""
        found = self._last("receipt")
        return None if found is None else found["receipt"]

    @property
    def known(self) -> list[str] | None:
        """Names of files of labels that were imported before; None: not noted yet."""
        found = self._last("known")
        return None if found is None else found["names"]

    @property
    def begun(self) -> str:
        """When the work was begun the first time; "" before."""
        return next((it["time"] for it in self._steps if it["step"] == "begun"), "")

    def begin(self, time: str) -> None:
        self._add({"step": "begun", "time": time})

    def record_known_names(self, names: list[str]) -> None:
        self._add({"step": "known", "names": names})

    def changing(self, change: Change) -> None:
        """Note a change of a file before it is made."""
        self._add({"step": "file", **asdict(change)})

    def settle(self, files: list[dict[str, Any]]) -> None:
        """Note the files that an erasure has changed, for they may change again."""
        self._add({"step": "settled", "files": files})

    def failed(self, reason: str) -> None:
        self._add({"step": "failed", "reason": reason})

    def finished(self, receipt: dict[str, Any]) -> None:
        self._add({"step": "receipt", "receipt": receipt})

    def carried_out(self, outcome: Outcome) -> None:
        self._add({"step": "carried out", "outcome": asdict(outcome)})

    def _last(self, step: str) -> dict[str, Any] | None:
        return next((it for it in reversed(self._steps) if it["step"] == step), None)

    def _add(self, step: dict[str, Any]) -> None:
        if self._path:
            self._write(self._path, json.dumps(step).encode() + b"\n")
        self._steps.append(step)

    def _write(self, path: Path, line: bytes) -> None:
        is_new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, FILE_MODE)
        try:
            # Remove the remains of a killed write.
            os.ftruncate(descriptor, self._size)
            os.pwrite(descriptor, line, self._size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync(path.parent)
        self._size += len(line)


def read(path: Path) -> tuple[int, list[dict[str, Any]]]:
    """Return the bytes of a journal's steps, and these. Raises OSError, ValueError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return 0, []
    whole = content[: content.rfind(b"\n") + 1]
    steps = []
    for number, line in enumerate(whole.splitlines(), 1):
        step = _step(line)
        if step is None:
            raise ValueError(f"{path}:{number}: is not a step of a journal")
        steps.append(step)
    return len(whole), steps


def _step(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("step") not in STEPS:
        return None
    expected = STEPS[found["step"]]
    return (
        found
        if all(isinstance(found.get(it), expected[it]) for it in expected)
        else None
    )
