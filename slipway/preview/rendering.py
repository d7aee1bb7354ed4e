"""Both sides rendered, each by its own code, in processes of their own.

Where both have the same code, one process renders the two, and once what did not change
(docs/decisions/0068-what-did-not-change-is-rendered-once.md). The processes get none of
the caller's variables, so no token and no kubeconfig, and a home folder that is empty
and temporary. Only the cache of downloads is the caller's. Where the kernel lets them,
they leave the machine's network. That is not a sandbox: who renders code of strangers
does so on a machine without secrets.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from slipway.preview import child, shapes, sources
from slipway.preview.likeness import Likeness, likeness
from slipway.preview.sides import Side
from slipway.rendering import placeholders
from slipway.rendering.recorder import Resource
from toolchain import paths
from toolchain.errors import OperatorError

Graph = Mapping[str, tuple[Resource, ...]]
"""Resources by stack."""
LIMIT_SECONDS = 300
"""For one side with all its stacks; ten stacks take about 10 s."""
_TOGETHER = "slipway/rendering/pair.py"
"""File of a side that supports rendering another one beside itself."""
_OTHER_SIDE = "other-side.json"
"""In the folder of a process: what child.main takes as `other`."""
NOWHERE = "/nonexistent"
"""The state folder of both sides, so that no path of this machine differs."""
LONGEST_REASON = 500
FIX = "\n  fix: correct it in the program that declares it"


class RenderError(OperatorError):
    """A side cannot be rendered."""


@dataclass(frozen=True)
class Rendered:
    """The graphs of all sides, and what their processes could reach."""

    graphs: list[Graph]
    networked: str
    """Why a process kept the machine's network; empty if none did."""


def render(
    sides: Sequence[tuple[Side, Sequence[str]]],
    locks: Sequence[Path | None],
    work: Path,
) -> Rendered:
    """The stacks of each side.

    Two sides with the same code are rendered by one process, as far as it can be shown
    that this changes nothing, and all other sides at the same time. Resources that are
    the same on two sides are the same objects.
    `locks`: for each side its images.lock, or none for placeholders. `work` is an
    empty folder. RenderError says which stacks of which side failed, and why.
    """
    try:
        return _rendered(sides, locks, work)
    except RenderError:
        if not sources.fetched(stack for _, stacks in sides for stack in stacks):
            raise
    again = work / "again"
    again.mkdir()
    return _rendered(sides, locks, again)


def _rendered(
    sides: Sequence[tuple[Side, Sequence[str]]],
    locks: Sequence[Path | None],
    work: Path,
) -> Rendered:
    folders = [work / str(number) for number in range(len(sides))]
    for folder in folders:
        (folder / "home").mkdir(parents=True)
    given = _locks(sides, locks, work)
    pipes: list[BinaryIO] = []
    try:
        graphs = _together(sides, given, folders, pipes)
        if graphs is None:
            graphs = _apart(sides, given, folders, pipes)
        reasons = [(pipe.read() or b"").decode(errors="replace") for pipe in pipes]
    finally:
        for pipe in pipes:
            pipe.close()
    first, *others = graphs
    shared = [first, *(_shared(first, other) for other in others)]
    return Rendered(shared, shown(next(filter(None, reasons), "")))


def _locks(
    sides: Sequence[tuple[Side, Sequence[str]]],
    locks: Sequence[Path | None],
    work: Path,
) -> list[Path]:
    """Lock files; of placeholders one for all sides."""
    invented = work / "images.lock"
    if None in locks:
        names: dict[str, str] = {}
        for one, _ in sides:
            names |= placeholders.images(one.folder)
        invented.write_text(json.dumps(names))
    return [lock or invented for lock in locks]


def _apart(
    sides: Sequence[tuple[Side, Sequence[str]]],
    locks: Sequence[Path],
    folders: Sequence[Path],
    pipes: list[BinaryIO],
) -> list[Graph]:
    """Each side by a process of its own. `pipes`: see _start."""
    started: list[subprocess.Popen[str]] = []
    try:
        for (one, stacks), lock, folder in zip(sides, locks, folders, strict=True):
            started.append(_start(one, stacks, lock, folder, pipes))
        return [
            _result(one, process, folder, stacks)
            for (one, stacks), process, folder in zip(
                sides, started, folders, strict=True
            )
        ]
    finally:
        for process in started:
            _end(process)


def _together(
    sides: Sequence[tuple[Side, Sequence[str]]],
    locks: Sequence[Path],
    folders: Sequence[Path],
    pipes: list[BinaryIO],
) -> list[Graph] | None:
    """Both sides by one process with the code of the first.

    What of the second cannot be rendered there is rendered by itself. None if that is
    so of the whole from the beginning. `pipes`: see _start.
    """
    like = _likeness(sides, locks)
    if like is None:
        return None
    (base, stacks), (head, _) = sides
    other = folders[0] / _OTHER_SIDE
    about = {"folder": str(head.folder), "files": sorted(like.same)}
    about["folders"] = sorted({str(p) for n in like.same for p in Path(n).parents})
    other.write_text(json.dumps(about))
    process = _start(base, stacks, locks[0], folders[0], pipes)
    try:
        before = _result(base, process, folders[0], stacks, sides=2)
    finally:
        _end(process)
    with _as_render_errors(base):
        after = _checked(head, _beside(base, before, folders[0]))
    left = [stack for stack in stacks if stack not in after]
    if left:
        (own,) = _apart([(head, left)], locks[1:], folders[1:], pipes)
        after = {**after, **own}
    return [before, {stack: after[stack] for stack in stacks}]


def _likeness(
    sides: Sequence[tuple[Side, Sequence[str]]], locks: Sequence[Path]
) -> Likeness | None:
    if len(sides) != 2 or sides[0][1] != sides[1][1]:
        return None
    base, head = (one.folder for one, _ in sides)
    if not (base / _TOGETHER).is_file() or _content(locks[0]) != _content(locks[1]):
        return None
    found = likeness(base, head)
    return found if found and found.may_render_together else None


def _content(lock: Path) -> bytes | None:
    return lock.read_bytes() if lock.is_file() else None


def _beside(base: Side, before: Graph, folder: Path) -> Graph:
    """Return the part of head that base's process has rendered."""
    found = _read(base, folder / child.OTHER_GRAPH)
    known = {name: {r.urn: r for r in some} for name, some in before.items()}
    return {
        name: tuple(
            known[name][one] if isinstance(one, str) else _resource(one)
            for one in of["resources"]
        )
        for name, of in found.items()
    }


def _shared(first: Graph, other: Graph) -> Graph:
    """The other graph, with the first one's resources where they are the same."""
    found = {}
    for stack, resources in other.items():
        known = {r.urn: r for r in first.get(stack, ())}
        found[stack] = tuple(_same(known.get(r.urn), r) for r in resources)
    return found


def _same(known: Resource | None, one: Resource) -> Resource:
    if known is None or known is one or known.digest != one.digest:
        return one
    # As text, because 1, 1.0 and True are equal. Keys may have another order.
    texts = (json.dumps(vars(r), sort_keys=True) for r in (known, one))
    return known if len(set(texts)) == 1 else one


def _start(
    one: Side,
    stacks: Sequence[str],
    lock: Path,
    folder: Path,
    pipes: list[BinaryIO],
) -> subprocess.Popen[str]:
    """Starts the renderer of a side.

    `pipes` gets a pipe with the reason why the process keeps the machine's network, or
    nothing. The process closes it before code of the side runs, so that this code
    cannot take the reason back. The folder may describe a side that the same process is
    to render.
    """
    beside = folder / _OTHER_SIDE
    other = str(beside) if beside.is_file() else ""
    read, write = os.pipe()
    os.set_blocking(read, False)
    pipes.append(open(read, "rb", buffering=0))  # noqa: PTH123, SIM115 the caller closes
    try:
        return subprocess.Popen(
            # -I: nothing of the caller's PYTHONPATH or of its folder is importable.
            [sys.executable, "-I", "-B", child.__file__, str(write)]
            + [str(one.folder), str(folder), other, *stacks],
            cwd=one.folder,
            env=_environment(folder / "home", lock),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # a group to end with all forks, see _end
            pass_fds=(write,),
        )
    finally:
        os.close(write)


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


def _result(
    one: Side,
    process: subprocess.Popen[str],
    folder: Path,
    stacks: Sequence[str],
    sides: int = 1,
) -> Graph:
    limit = LIMIT_SECONDS * sides
    try:
        _, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise RenderError(f"{one.name}: not rendered in {limit} s") from None
    file = folder / child.GRAPH
    if process.returncode != 0 or not file.is_file():
        raise RenderError(
            f"{one.name}: the renderer ended with status {process.returncode}:\n"
            + shown(errors[-2000:])
        )
    with _as_render_errors(one):
        graph = _graph(one, _read(one, file))
    if left := [stack for stack in stacks if stack not in graph]:
        raise RenderError(
            f"{one.name}: the renderer wrote nothing of {', '.join(left)}"
        )
    return graph


@contextmanager
def _as_render_errors(one: Side) -> Iterator[None]:
    """Whatever is wrong with the form of what a renderer wrote is RenderError."""
    try:
        yield
    except RecursionError:
        raise RenderError(
            f"{one.name}: the renderer wrote no graph: too deep"
        ) from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        why = shown(str(error))[:LONGEST_REASON]
        raise RenderError(f"{one.name}: the renderer wrote no graph: {why}") from None


def _read(one: Side, file: Path) -> dict[str, Any]:
    """Read a renderer's output; both sides use the same name for their folder."""
    text = file.read_text().replace(str(one.folder), "CHECKOUT")
    found: dict[str, Any] = json.loads(text, parse_constant=_no_number)
    if "\\ud" in text:  # half a surrogate pair is no text that could be written
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _graph(one: Side, found: dict[str, Any]) -> Graph:
    failed = {name: of["error"] for name, of in found.items() if "error" in of}
    if failed:
        texts = [f"{one.name}: {name}: {text}" for name, text in failed.items()]
        raise RenderError(shown("\n".join(texts)))
    return _checked(
        one,
        {n: tuple(_resource(r) for r in of["resources"]) for n, of in found.items()},
    )


def _checked(one: Side, graph: Graph) -> Graph:
    """The graph; RenderError for a resource that has not the form of one."""
    for stack, resources in graph.items():
        for resource in resources:
            if wrong := shapes.wrong(resource):
                text = f"{one.name}: {stack}: {wrong}"
                raise RenderError(shown(text) + FIX)
    return graph


def _resource(found: dict[str, Any]) -> Resource:
    for key in ("ignore_changes", "depends_on"):
        found[key] = tuple(found.get(key) or ())
    return Resource(**found)


def shown(text: str) -> str:
    """Text of a side without what a terminal would obey."""
    return "".join(c for c in text if c.isprintable() or c == "\n")
