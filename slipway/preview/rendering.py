"""Both sides rendered, each by its own code in a process of its own.

The processes get none of the caller's variables, so no token and no kubeconfig, and a
home folder that is empty and temporary. Only the cache of downloads is the caller's.
That is no sandbox: who renders code of strangers does so on a machine without secrets.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from slipway.preview import child
from slipway.preview.sides import Side
from slipway.rendering import placeholders
from slipway.rendering.recorder import Resource
from toolchain import paths
from toolchain.errors import OperatorError

Graph = Mapping[str, tuple[Resource, ...]]
"""Resources by stack."""
LIMIT_SECONDS = 300
"""For one side with all its stacks; ten stacks take about 10 s."""
NOWHERE = "/nonexistent"
"""The state folder of both sides, so that no path of this machine differs."""


class RenderError(OperatorError):
    """A side cannot be rendered."""


def render(
    sides: Sequence[tuple[Side, Sequence[str]]],
    locks: Sequence[Path | None],
    work: Path,
) -> list[Graph]:
    """The stacks of each side; all sides at the same time.

    `locks`: for each side its images.lock, or none for placeholders. `work` is an
    empty folder. RenderError says which stacks of which side failed, and why.
    """
    folders = [work / str(number) for number in range(len(sides))]
    started: list[subprocess.Popen[str]] = []
    try:
        for (one, stacks), lock, folder in zip(sides, locks, folders, strict=True):
            started.append(_start(one, stacks, lock, folder))
        return [
            _result(one, process, folder)
            for (one, _), process, folder in zip(sides, started, folders, strict=True)
        ]
    finally:
        for process in started:
            _end(process)


def _start(
    one: Side, stacks: Sequence[str], lock: Path | None, folder: Path
) -> subprocess.Popen[str]:
    home = folder / "home"
    home.mkdir(parents=True)
    if lock is None:
        lock = folder / "images.lock"
        lock.write_text(json.dumps(placeholders.images(one.folder)))
    return subprocess.Popen(
        # -I: nothing of the caller's PYTHONPATH or of its folder is importable.
        [sys.executable, "-I", "-B", child.__file__]
        + [str(one.folder), str(folder / "graph.json"), *stacks],
        cwd=one.folder,
        env=_environment(home, lock),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # a group to end with all forks, see _end
    )


def _end(process: subprocess.Popen[str]) -> None:
    """Ends the renderer if it runs, and its forks: they hold its standard error."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _environment(home: Path, lock: Path) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "XDG_STATE_HOME": NOWHERE,
        # Sources of others that the platform is made of, each held to its checksum.
        "XDG_CACHE_HOME": str(paths.cache().parent),
        "SLIPWAY_IMAGES_LOCK": str(lock.resolve()),
    }


def _result(one: Side, process: subprocess.Popen[str], folder: Path) -> Graph:
    try:
        _, errors = process.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        raise RenderError(f"{one.name}: not rendered in {LIMIT_SECONDS} s") from None
    file = folder / "graph.json"
    if process.returncode != 0 or not file.is_file():
        raise RenderError(
            f"{one.name}: the renderer ended with status {process.returncode}:\n"
            + shown(errors[-2000:])
        )
    try:
        found = json.loads(file.read_text().replace(str(one.folder), "CHECKOUT"))
        return _graph(one, found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RenderError(f"{one.name}: the renderer wrote no graph: {error}") from None


def _graph(one: Side, found: dict[str, Any]) -> Graph:
    failed = {name: of["error"] for name, of in found.items() if "error" in of}
    if failed:
        texts = [f"{one.name}: {name}: {text}" for name, text in failed.items()]
        raise RenderError(shown("\n".join(texts)))
    return {
        name: tuple(_resource(r) for r in of["resources"]) for name, of in found.items()
    }


def _resource(found: dict[str, Any]) -> Resource:
    for key in ("ignore_changes", "depends_on"):
        found[key] = tuple(found[key] or ())
    return Resource(**found)


def shown(text: str) -> str:
    """Text of a side without what a terminal would obey."""
    return "".join(c for c in text if c.isprintable() or c == "\n")
