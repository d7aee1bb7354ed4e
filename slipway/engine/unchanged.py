"""Determine without the engine that a stack needs no update, if that is certain.

Whether the engine would change anything follows from what the program asks for, from
the state, and from the objects in the cluster. After an `up` a record of the first two
is kept beside the stack's work folder. While both are as they were, only the objects
can differ, and `slipway.cluster.drift` compares those with the state. Whatever is not
certain is left to the engine.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.settings import SettingsError
from slipway import stack_files
from slipway.cluster import drift
from slipway.cluster.kube_api import ForbiddenError, KubeApi, KubeApiError
from slipway.engine import locks, pulumi_cli, state_file, workspace
from slipway.engine.state_file import StateFile
from slipway.rendering import manifests
from slipway.rendering.recorder import (
    KUBERNETES,
    KUBERNETES_PROVIDER,
    STACK_TYPE,
    Resource,
)
from slipway.rendering.render import Rendered
from slipway.waiting import shortened
from toolchain import paths, programs, whole_files

FILE = "unchanged.json"
FORMAT = 1
"""Part of every record; raise it when the comparison changes."""
ROLLOUT_SECONDS = 60.0
API_SECONDS = 15.0
PAUSE_SECONDS = 0.5
OF_PROVIDER = "PULUMI_K8S_"
"""Prefix of variables that change the Kubernetes provider's behaviour."""


class UncertainError(Exception):
    """Why the engine has to run."""


@dataclass(frozen=True)
class Record:
    """Digests of the inputs and results of the last successful run."""

    engine: str
    """Of the CLI, the provider, the SDK, and variables that change their behaviour."""
    program: str
    """Of all requests of the program, and of the files with its settings."""
    state: str
    """Of the backend's file."""


@dataclass(frozen=True)
class Unchanged:
    """A stack in which the engine would change nothing."""

    count: int
    """Number of its resources, as the engine counts them."""
    outputs: dict[str, Any]
    """Same as `StackResult.outputs`."""


def is_recorded(stack: str) -> bool:
    """Return whether there is a record to compare."""
    return _file(stack).is_file()


def keep(stack: str, rendered: Rendered, root: Path | None = None) -> str:
    """Records the end of a run that changed or kept all as declared.

    If a later `look` could not be certain, it writes no record and returns the reason.
    """
    try:
        with _known():
            _file(stack).unlink(missing_ok=True)
            state = _state(stack, root)
            _require_comparable(rendered, state)
            program = _program(stack, rendered, root)
            _write(_file(stack), Record(_engine(), program, state.digest))
    except UncertainError as error:
        return str(error)
    return ""


def look(
    stack: str,
    rendered: Rendered,
    reach: Callable[[], KubeApi],
    root: Path | None = None,
) -> Unchanged:
    """Compare all that the engine would; UncertainError says why the engine has to run.

    `reach` gives the cluster's API; it is called if nothing else differs.
    """
    with _known():
        record = Record(**json.loads(_file(stack).read_text()))
        if record.engine != _engine():
            raise UncertainError("the last run was by another engine or provider")
        if record.program != _program(stack, rendered, root):
            raise UncertainError("the program or its settings have changed")
        state = _state(stack, root)
        if record.state != state.digest:
            raise UncertainError("the state has changed")
        objects = [
            drift.Recorded.of(resource)
            for resource in state.resources
            if resource["type"].startswith(KUBERNETES)
        ]
        if objects:
            with reach() as api:
                differences = _differences(api, stack, objects)
            if differences:
                raise UncertainError(shortened(differences))
        return Unchanged(len(state.resources), state.outputs)


def _differences(
    api: KubeApi, stack: str, objects: Sequence[drift.Recorded]
) -> list[str]:
    """The differences, after a wait for workloads that are still starting.

    This happens after the hosts of a lab were off: the engine would wait for workloads,
    too, and record their temporary state. An API server that has just started answers
    429 for custom resources at first.
    """
    started = time.monotonic()
    while True:
        waited = time.monotonic() - started
        try:
            found = drift.differences(api, stack, objects)
        except ForbiddenError:
            raise
        except KubeApiError:
            if waited >= API_SECONDS:
                raise
        else:
            if not drift.are_unready(found) or not found or waited >= ROLLOUT_SECONDS:
                return found
        time.sleep(PAUSE_SECONDS)


@contextmanager
def _known() -> Iterator[None]:
    """An unreadable or unexpected record is also uncertain."""
    try:
        yield
    except (KubeApiError, SettingsError, OSError) as error:
        raise UncertainError(str(error)) from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        text = f"not as expected ({type(error).__name__}: {error})"
        raise UncertainError(text) from None


def _file(stack: str) -> Path:
    return workspace.folder(stack) / FILE


def _write(file: Path, record: Record) -> None:
    whole_files.write(file, json.dumps(asdict(record)), 0o600)


def _state(stack: str, root: Path | None) -> StateFile:
    """Return the file backend's state, if no run is changing it."""
    backend, file = workspace.backend_folder(), workspace.state_file(stack, root)
    if backend is None or file is None:
        raise UncertainError("the state is not in a folder")
    state = state_file.read(file)
    # Read afterwards: a run that takes the lock now has not written yet.
    if locks.are_there(backend, stack_files.project_name(root), stack):
        raise UncertainError("another run holds the stack, or was killed")
    return state


def _require_comparable(rendered: Rendered, state: StateFile) -> None:
    """Raise UncertainError if rendering and objects are not sufficient."""
    if not state.is_whole:
        raise UncertainError("the last run left something unfinished")
    made = {r["urn"]: r for r in state.resources if r["type"] != STACK_TYPE}
    if set(made) != set(rendered.urns):
        raise UncertainError("the state has other resources than the program")
    for resource in rendered.resources:
        if resource.custom and resource.type != KUBERNETES_PROVIDER:
            _require_as_declared(resource, made[resource.urn])


def _require_as_declared(resource: Resource, made: Mapping[str, Any]) -> None:
    """Raise UncertainError if the engine's requests or results were different."""
    if not manifests.is_object(resource):
        # For example another stack's outputs, for which a rendering has placeholders.
        raise UncertainError(f"{resource.urn} is not an object of Kubernetes")
    # Outputs that only the cluster knows differ from the rendering's inputs.
    # A refresh has read ignored fields from the cluster.
    ignored = frozenset(resource.ignore_changes)
    for path in drift.differing(made["inputs"], resource.inputs, ignored):
        raise UncertainError(f"{resource.urn}: the engine has another {path}")
    # A value that the API server normalizes is an update at every run.
    one = drift.Recorded.of(made)
    if not one.has_secrets:
        for path in drift.differing(made["outputs"], one.declared, one.ignored):
            raise UncertainError(f"{resource.urn}: the cluster has another {path}")


def _engine() -> str:
    cli = programs.find(pulumi_cli.CLI)
    if cli is None:
        raise UncertainError("the engine is not on this machine yet")
    variables = {n: v for n, v in os.environ.items() if n.startswith(OF_PROVIDER)}
    sdk, provider = str(pulumi_cli.sdk_version()), pulumi_cli.provider_version()
    return _digest([FORMAT, cli.identity, sdk, provider, variables])


def _program(stack: str, rendered: Rendered, root: Path | None) -> str:
    # A rendering has placeholders for encrypted settings: their text counts.
    project = (root or paths.PROJECT) / stack_files.PROJECT_FILE
    files = [f.read_text() for f in (project, stack_files.path(stack, root))]
    asked = [(resource.urn, resource.digest) for resource in rendered.resources]
    return _digest([files, asked, rendered.outputs])


def _digest(words: list[Any]) -> str:
    written = json.dumps(words, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()
