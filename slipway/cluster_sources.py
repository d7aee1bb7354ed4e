"""What must be there of a stack's cluster before the engine works on the stack."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pulumi.automation import Workspace
from pulumi.automation.errors import CommandError

from components.settings import Problem, SettingsError
from slipway import stack_files
from slipway.monitor import KUBERNETES_PROVIDER
from slipway.render import Rendered

NO_STACK = "no stack named"
"""What Pulumi's CLI says of a stack that its backend does not know."""


def require_kubeconfig(stack: str, rendered: Rendered) -> None:
    """SettingsError if a kubeconfig that is given by its path is not there.

    The provider would take the path for the kubeconfig's content, and say that it
    cannot be parsed.
    """
    given = [
        str(resource.inputs.get("kubeconfig", ""))
        for resource in rendered.resources
        if resource.type == KUBERNETES_PROVIDER
    ]
    missing = [p for p in given if p.startswith("/") and not Path(p).is_file()]
    if missing:
        problem = Problem(
            path="cluster.kubeconfig",
            value=missing[0],
            reason="there is no such file",
            fix="start the lab (slipway local up), or give another kubeconfig",
        )
        raise SettingsError(stack_files.name(stack), [problem])


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
            reason="it has not been made, so that nothing is known of its cluster",
            fix=f"make it first: slipway up {name}",
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
