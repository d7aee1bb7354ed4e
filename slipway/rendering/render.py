"""`slipway render`: a stack's program run in this process under Pulumi's test monitor.

Gives apply-ready manifests and the list of cloud resources. Nothing is deployed, no
cluster, cloud or network is touched, and neither Pulumi's CLI nor a provider is needed.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pulumi.runtime.settings import Settings

from components import images as images_lock
from components import lookups
from components.setting_secrets import PLACEHOLDER
from slipway import stack_files
from slipway.rendering import (
    grouped,
    invented,
    manifests,
    program_run,
    writing,
)
from slipway.rendering.recorder import (
    KUBERNETES,
    KUBERNETES_PROVIDER,
    STACK_REFERENCE,
    Recording,
    RecordingEngine,
    RecordingMonitor,
    Resource,
)
from stacks import groups, layers
from stacks.groups import Group

HEADER = "# Rendered by `slipway render {stack}`; do not edit.\n"
LEFT_OUT = "left out: they hold secret values (--secrets)"


@dataclass(frozen=True)
class Rendered:
    """The content of a stack."""

    stack: str
    resources: tuple[Resource, ...]
    """All resources, components and providers among them, by URN."""
    outputs: dict[str, Any]
    messages: tuple[str, ...] = ()
    """Warnings that the program logged."""

    @cached_property
    def objects(self) -> dict[str, Resource]:
        """Every Kubernetes object by its file's name, in order to be applied."""
        ordered = manifests.in_order(self.resources)
        return {manifests.file_name(manifests.content(r)): r for r in ordered}

    @cached_property
    def manifests(self) -> list[dict[str, Any]]:
        """Every Kubernetes object, in an order in which they can be applied."""
        return [manifests.manifest(r) for r in manifests.in_order(self.resources)]

    @cached_property
    def cloud(self) -> list[dict[str, Any]]:
        """Every other resource that a provider would make: type, name, inputs."""
        return [
            {"type": r.type, "name": r.name, "urn": r.urn, "inputs": r.inputs}
            for r in self.resources
            if r.custom
            and not manifests.is_object(r)
            and not r.type.startswith("pulumi:")
        ]

    @cached_property
    def secrets(self) -> list[str]:
        """File names of objects with values that the program marked as secret."""
        return [
            manifests.file_name(manifests.content(r))
            for r in self.resources
            if r.has_secrets and manifests.is_object(r)
        ]

    @cached_property
    def sealed(self) -> list[str]:
        """Of these, the ones whose values only the engine decrypts.

        Here a placeholder replaces them. It is public: applied as a key, it would give
        everybody access.
        """
        known = (PLACEHOLDER, base64.b64encode(PLACEHOLDER.encode()).decode())
        return [
            name
            for name, resource in self.objects.items()
            if resource.has_secrets
            and any(f'"{text}"' in json.dumps(resource.inputs) for text in known)
        ]

    @cached_property
    def secret_cloud(self) -> frozenset[str]:
        """URNs of the other resources with such values."""
        cloud = {one["urn"] for one in self.cloud}
        return frozenset(r.urn for r in self.resources if r.has_secrets) & cloud

    @cached_property
    def written_by_others(self) -> dict[str, tuple[str, ...]]:
        """Return fields that controllers write once they run, by file name."""
        return {
            manifests.file_name(manifests.content(r)): r.ignore_changes
            for r in self.resources
            if "spec.rules" in r.ignore_changes and manifests.is_object(r)
        }

    @property
    def urns(self) -> list[str]:
        return [resource.urn for resource in self.resources]

    @property
    def uses_kubernetes(self) -> bool:
        """Return whether the engine needs the Kubernetes provider for this stack."""
        return any(
            r.type.startswith((KUBERNETES, KUBERNETES_PROVIDER)) for r in self.resources
        )

    @property
    def references(self) -> list[str]:
        """Stacks of this project whose outputs the program reads."""
        return [
            str(r.inputs["name"]).rpartition("/")[2]
            for r in self.resources
            if r.type == STACK_REFERENCE
        ]

    def files(self, *, secrets: bool = False) -> dict[str, str]:
        """Content of every manifest's file by its name.

        Objects with secret values are left out unless `secrets` asks for them; those
        that are encrypted in the stack file, always.
        """
        header = HEADER.format(stack=self.stack)
        return {
            name: writing.text(header, resource)
            for name, resource in self._shown(secrets).items()
        }

    def _shown(self, secrets: bool) -> dict[str, Resource]:
        left_out = frozenset(self.sealed if secrets else self.secrets)
        return {n: r for n, r in self.objects.items() if n not in left_out}

    def write(self, out: Path, *, secrets: bool = False) -> list[Path]:
        """Writes `<out>/<stack>/`, and `<out>/<stack>.cloud.json` if there is any.

        With `secrets` objects with secret values, too, for their owner's eyes only.

        Files of an earlier rendering that no longer belong are deleted; files that
        `render` did not write are left alone.
        """
        folder = out / self.stack
        folder.mkdir(parents=True, exist_ok=True)
        shown = self._shown(secrets)
        for old in folder.glob("*.yaml"):
            if old.name not in shown and _is_rendered(old):
                old.unlink()
        header = HEADER.format(stack=self.stack)
        writing.objects(folder, header, shown, frozenset(self.secrets))
        written = [folder / name for name in shown]
        cloud = out / f"{self.stack}.cloud.json"
        if not self.cloud:
            cloud.unlink(missing_ok=True)
            return written
        writing.file(cloud, self._listed(secrets), private=bool(self.secret_cloud))
        return [*written, cloud]

    def _listed(self, secrets: bool) -> str:
        made_up = invented.texts(self.resources)
        listed = [
            one | {"inputs": invented.marked(one["inputs"], made_up)}
            if secrets or one["urn"] not in self.secret_cloud
            else one | {"inputs": LEFT_OUT}
            for one in self.cloud
        ]
        return json.dumps(listed, indent=2, sort_keys=True) + "\n"


def _is_rendered(file: Path) -> bool:
    return file.read_text().startswith(HEADER.partition("{")[0])


def render(
    stack_name: str,
    config: dict[str, Any] | None = None,
    images: dict[str, str] | None = None,
    program: layers.Program | None = None,
    *,
    look_up: bool = False,
) -> Rendered:
    """Runs the stack's program and returns what it registered.

    `config` stands in for the stack file (field or `namespace:key` to value), `images`
    for images.lock (name to reference), `program` for the module of the stack's layer.
    `look_up` lets settings look at what lies outside of the checkout, as a Terraform
    state does; another stack's outputs are placeholders even so.
    Raises what the program raises, SettingsError among them. May be called any number
    of times in one process: each run has Pulumi's global state to itself.
    """
    values = (
        stack_files.program_config(stack_name)
        if config is None
        else stack_files.encoded(config, stack_files.name(stack_name))
    )
    run = runs(stack_name, values, program, look_up=look_up)
    divided = [] if program or look_up else grouped.groups(stack_name, values)
    with images_in_place(images):
        return rendered(stack_name, _in_groups(run, divided) or run(None))


def runs(
    stack_name: str,
    values: dict[str, str],
    program: layers.Program | None = None,
    *,
    look_up: bool = False,
) -> grouped.Run:
    """What runs the stack's program with this configuration, for a group or as a whole.

    `values`: by full key, as `stack_files.program_config` gives them; all else as in
    `render`.
    """
    run = program or layers.program(stack_name)

    def recorded(group: Group | None) -> Recording:
        found = Recording()
        looking = nullcontext() if look_up else lookups.none()

        def call() -> None:
            with looking, groups.only(group):
                _run(stack_name, values, run, found)

        program_run.alone(call)
        return found

    return recorded


def rendered(stack_name: str, recording: Recording) -> Rendered:
    """A recording in the form in which it is shown, compared and written."""
    return Rendered(
        stack=stack_name,
        resources=tuple(sorted(recording.resources, key=lambda r: r.urn)),
        outputs=recording.outputs,
        messages=tuple(recording.messages),
    )


def _in_groups(run: grouped.Run, divided: Sequence[Group]) -> Recording | None:
    """None if the stack is not divided, or if a group has an error.

    The program is then run as a whole, so that errors are those of the whole.
    """
    if not divided:
        return None
    try:
        return grouped.recorded(run, divided)
    except Exception:  # noqa: BLE001 raised again by the run of the whole
        return None


def _run(
    stack: str,
    config: dict[str, str],
    program: layers.Program,
    recording: Recording,
) -> None:
    project = stack_files.project_name()
    settings = Settings(
        project=project,
        stack=stack,
        monitor=RecordingMonitor(recording, project, stack),
        engine=RecordingEngine(recording),
        dry_run=False,
        organization="organization",
    )
    # The program chooses its stack's lock file, for itself only.
    with images_lock.using(images_lock.Lock()):
        program_run.run(program, settings, config, stack_files.encrypted(config))


_one_lock_file = threading.Lock()


@contextmanager
def images_in_place(images: dict[str, str] | None) -> Iterator[None]:
    """Puts a lock file of its own in place of images.lock while a program runs."""
    if images is None:
        yield
        return
    variable = "SLIPWAY_IMAGES_LOCK"
    with _one_lock_file, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.lock"
        file.write_text(json.dumps(images))
        before = os.environ.get(variable)
        os.environ[variable] = str(file)
        try:
            with images_lock.instead(file):
                yield
        finally:
            os.environ.pop(variable)
            if before is not None:
                os.environ[variable] = before
