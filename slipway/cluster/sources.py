"""Requirements on a stack's cluster before the engine runs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pulumi.automation import Workspace
from pulumi.automation.errors import CommandError

from components.cluster.existing.kubeconfig_files import (
    CONTEXT,
    VARIABLE,
    Access,
    Kubeconfig,
    KubeconfigError,
    ambient,
)
from components.settings import Problem, SettingsError
from slipway import stack_files
from slipway.cluster import connection
from slipway.rendering.recorder import KUBERNETES_PROVIDER
from slipway.rendering.render import Rendered

NO_STACK = "no stack named"
"""Message of Pulumi's CLI about a stack that its backend does not know."""


def require_kubeconfig(stack: str, rendered: Rendered) -> None:
    """Raise SettingsError for an unusable kubeconfig, without a request.

    The provider would treat a missing path as the kubeconfig's content, and would send
    no credentials if it finds none.
    """
    problems = [
        Problem(f"cluster.{error.setting}", value, error.reason, error.fix)
        for resource in rendered.resources
        if resource.type == KUBERNETES_PROVIDER
        for value, error in _kubeconfig_errors(resource.inputs)
    ]
    if problems:
        raise SettingsError(stack_files.name(stack), problems)


def _kubeconfig_errors(
    inputs: Mapping[str, Any],
) -> Iterator[tuple[str, KubeconfigError]]:
    """Return the errors in a provider's kubeconfig, each with the value shown."""
    path, context = str(inputs.get("kubeconfig") or ""), inputs.get("context")
    files = [Path(path)] if path else ambient()
    if path.startswith("{"):
        return  # generated from a cluster's outputs
    if not path and not any(file.exists() for file in files):
        return  # in a pod, the provider uses the pod's service account
    try:
        access = Kubeconfig.of_files(files).access(context)
        connection.require_usable(access)
    except KubeconfigError as error:
        shown = context or "(current)" if error.setting == CONTEXT else path
        yield str(shown or "ambient"), error
        return
    for reason in _not_for_the_provider(path, files, access):
        yield (
            path or "ambient",
            KubeconfigError(
                f"{reason}, which Pulumi's Kubernetes provider would resolve against "
                "another folder",
                "make the path absolute, or embed the file: `kubectl config view "
                f"--flatten`; or give `ambient` and {VARIABLE}={path or '<absolute>'}",
            ),
        )


def _not_for_the_provider(
    path: str, files: list[Path], access: Access
) -> Iterator[str]:
    """Return relative paths that the provider resolves in another way than kubectl."""
    if path:  # it reads the file but not relative to its folder
        for name, relative in access.relative_paths():
            yield f"its {name} is the relative path {relative}"
    for file in files:
        if not file.is_absolute():
            yield f"{VARIABLE} has the relative path {file}"


def unmade(
    stacks: Iterable[str], workspace: Workspace, environment: Mapping[str, str]
) -> frozenset[str]:
    """Return the stacks that have no outputs yet."""
    return frozenset(s for s in stacks if not _has_outputs(s, workspace, environment))


def require_made(stack: str, missing: Collection[str]) -> None:
    """Raise SettingsError if `stack` reads a stack that has not been deployed."""
    problems = [
        Problem(
            path="cluster.stack",
            value=name,
            reason="it has not been created, so its cluster is unknown",
            fix=f"create it first: slipway up {name}",
        )
        for name in sorted(missing)
    ]
    if problems:
        raise SettingsError(stack_files.name(stack), problems)


def _has_outputs(
    stack: str, workspace: Workspace, environment: Mapping[str, str]
) -> bool:
    # Not workspace.stack_outputs(): it requests the secrets in plain text.
    try:
        found = workspace.pulumi_command.run(
            ["stack", "output", "--json", "--stack", stack],
            cwd=workspace.work_dir,
            additional_env=environment,
        )
    except CommandError as error:
        if NO_STACK in str(error):
            return False
        raise
    return bool(json.loads(found.stdout))
