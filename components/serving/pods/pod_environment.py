"""Variables of a model server's container: its own, the settings', from Secrets."""

from __future__ import annotations

from collections.abc import Mapping

from pulumi_kubernetes.core import v1 as core

from components.serving.runtimes.base import Program
from components.serving.settings.secret_settings import SecretUse


def literal(value: str) -> str:
    """Escape a value so that Kubernetes passes it unchanged.

    Kubernetes replaces `$(NAME)` by a variable, and `$$` by `$`.
    https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
    """
    return value.replace("$", "$$") if "$(" in value or "$$" in value else value


def variables(
    program: Program,
    revision: str,
    environment: Mapping[str, str],
    secrets: Mapping[str, SecretUse],
    names: Mapping[str, str],
) -> list[core.EnvVarArgs]:
    """Return all variables, each once; `names`: Secrets in the cluster by setting."""
    values = dict(program.environment)
    if revision and program.revision_variable:
        values[program.revision_variable] = revision
    found = [core.EnvVarArgs(name=key, value=value) for key, value in values.items()]
    if program.namespace_variable:
        place = core.ObjectFieldSelectorArgs(
            api_version="v1", field_path="metadata.namespace"
        )
        source = core.EnvVarSourceArgs(field_ref=place)
        found.append(
            core.EnvVarArgs(name=program.namespace_variable, value_from=source)
        )
    # Sorted: the engine passes mappings sorted, `slipway render` in their given order.
    found += [
        core.EnvVarArgs(name=key, value=literal(value))
        for key, value in sorted(environment.items())
    ]
    for secret, use in sorted(secrets.items()):
        for key, entry in sorted(use.variables.items()):
            selector = core.SecretKeySelectorArgs(name=names[secret], key=entry)
            source = core.EnvVarSourceArgs(secret_key_ref=selector)
            found.append(core.EnvVarArgs(name=key, value_from=source))
    return found
