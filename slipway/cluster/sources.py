"""What must be there of a stack's cluster before the engine works on the stack."""

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
"""What Pulumi's CLI says of a stack that its backend does not know."""


def require_kubeconfig(stack: str, rendered: Rendered) -> None:
    """SettingsError if a kubeconfig that is used cannot serve: nothing is asked of it.

    The provider would take a path that is not there for the kubeconfig's content, and
    would go without the credentials that it does not find.
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
    """What is wrong with the kubeconfig of a provider, each with the value shown."""
    path, context = str(inputs.get("kubeconfig") or ""), inputs.get("context")
    files = [Path(path)] if path else ambient()
    if path.startswith("{"):
        return  # content that we made, of a cluster's outputs
    if not path and not any(file.exists() for file in files):
        return  # in a pod the provider has the pod's own account
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
    """Relative paths that the provider does not take as kubectl would."""
    if path:  # it reads the file and forgets where it lay
        for name, relative in access.relative_paths():
            yield f"its {name} is the relative path {relative}"
    for file in files:
        if not file.is_absolute():
            yield f"{VARIABLE} has the relative path {file}"


def unmade(
    stacks: Iterable[str], workspace: Workspace, environment: Mapping[str, str]
) -> frozenset[str]:
    """Those of the stacks that have no outputs yet."""
    return frozenset(s for s in stacks if not _has_outputs(s, workspace, environment))


def require_made(stack: str, missing: Collection[str]) -> None:
    """SettingsError if a stack that `stack` reads is yet to be made."""
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
    # Not workspace.stack_outputs(): that one asks for the secrets in plain text.
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
