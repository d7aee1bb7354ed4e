"""Requests as files: the request itself never changes; its state is a file beside it.

    retraining/<request>.json         contracts/retraining_request.yaml
    retraining/<request>.state.json   causes that have ended, and the webhook's answer

The name of a request is its id: model, revision and day, made fit for a file's name.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from model_monitor.store import whole_files
from model_monitor.store.names import quoted
from model_monitor.store.store import Store

STATE = ".state.json"
LONGEST_REVISION = 60
"""Characters of a revision in an id; longer ones are distinguished by a digest."""


@dataclass(frozen=True)
class Delivery:
    """The result of sending a request; times are seconds since 1970."""

    attempts: int = 0
    next_attempt: float = 0.0
    delivered: float | None = None
    answer: str = ""
    """The last one: a status, or why there was none."""


@dataclass(frozen=True)
class State:
    """The state of a request."""

    absent_since: dict[str, str | None]
    """By cause, the first day of its current absence; None: it is present."""
    ended: tuple[str, ...] = ()
    """Causes that are over: absent for long enough, or the revision was replaced."""
    delivery: Delivery = field(default_factory=Delivery)


@dataclass(frozen=True)
class Stored:
    """A request and its state; without a state, its writing was interrupted."""

    path: Path
    content: dict[str, Any]
    state: State | None

    @property
    def id(self) -> str:
        return str(self.content["id"])

    @property
    def causes(self) -> list[str]:
        return list(self.content["causes"])

    @property
    def is_open(self) -> bool:
        """Return whether any of its causes is still present."""
        return self.state is None or not set(self.causes) <= set(self.state.ended)

    def digest(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def with_state(self, state: State) -> Stored:
        """Write the state, and return the request with it."""
        content = json.dumps(asdict(state), indent=1).encode() + b"\n"
        whole_files.write_whole(_state_path(self.path), content)
        return replace(self, state=state)


def folder(store: Store) -> Path:
    return store.root / "retraining"


def new_id(store: Store, model: str, revision: str, day: str) -> str:
    """Return an id that no request has; the second of a day ends in ".2"."""
    name = quoted(revision)
    if len(name) > LONGEST_REVISION:
        digest = hashlib.sha256(revision.encode()).hexdigest()[:12]
        name = f"{name[:LONGEST_REVISION]}~{digest}"
    first = f"{quoted(model)}-{name}-{day}"
    found, number = first, 1
    while (folder(store) / f"{found}.json").exists():
        number += 1
        found = f"{first}.{number}"
    return found


def write(store: Store, content: dict[str, Any]) -> Stored:
    """Write a request; it has no state yet."""
    path = folder(store) / f"{content['id']}.json"
    text = json.dumps(content, indent=1, allow_nan=False).encode() + b"\n"
    whole_files.write_whole(path, text)
    return Stored(path, content, None)


def read_all(store: Store, model: str | None = None) -> Iterator[Stored]:
    """Yield the requests, of one model or of all, the oldest first.

    `damaged` names the files that are left out.
    """
    found = []
    for path in _paths(store):
        content = _content(path)
        if content is not None and model in (None, content["model"]):
            found.append(Stored(path, content, _state(path)))
    yield from sorted(found, key=lambda it: (it.content["created"], it.id))


def damaged(store: Store) -> list[Path]:
    """Return the files of requests that hold none."""
    return [it for it in _paths(store) if it.exists() and _content(it) is None]


def _paths(store: Store) -> list[Path]:
    return [
        it
        for it in sorted(folder(store).glob("*.json"))
        if not it.name.endswith(STATE) and not it.name.startswith(".")
    ]


def remove(request: Stored) -> None:
    """Delete a request; the state goes last, so that nobody takes it for a new one."""
    whole_files.remove(request.path)
    whole_files.remove(_state_path(request.path))


def _state_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".json") + STATE)


def _content(path: Path) -> dict[str, Any] | None:
    """Return what a request says; None of a file that is gone or damaged."""
    raw = _read(path)
    try:
        dt.datetime.fromisoformat(raw["created"])
        texts = [raw["id"], raw["model"], raw["revision"], *raw["causes"]]
    except (KeyError, TypeError, ValueError):
        return None
    return dict(raw) if all(isinstance(it, str) for it in texts) else None


def _state(path: Path) -> State | None:
    """Return how a request stands; None if that is damaged: it is written anew."""
    raw = _read(_state_path(path))
    try:
        return State(
            dict(raw["absent_since"]), tuple(raw["ended"]), Delivery(**raw["delivery"])
        )
    except (KeyError, TypeError, ValueError):
        return None


def _read(path: Path) -> Any:
    """Return what a file holds; None if it is gone or no JSON."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
