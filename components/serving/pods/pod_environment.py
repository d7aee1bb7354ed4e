"""Variables of a model server's container: its own, the settings', from Secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
) -> list[dict[str, Any]]:
    """Return all variables, each once; `names`: Secrets in the cluster by setting."""
    values = dict(program.environment)
    if revision and program.revision_variable:
        values[program.revision_variable] = revision
    found: list[dict[str, Any]] = [
        {"name": key, "value": value} for key, value in values.items()
    ]
    if program.namespace_variable:
        place = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
        source = {"fieldRef": place}
        found.append({"name": program.namespace_variable, "valueFrom": source})
    # Sorted: the engine passes mappings sorted, `slipway render` in their given order.
    found += [
        {"name": key, "value": literal(value)}
        for key, value in sorted(environment.items())
    ]
    for secret, use in sorted(secrets.items()):
        for key, entry in sorted(use.variables.items()):
            source = {"secretKeyRef": {"name": names[secret], "key": entry}}
            found.append({"name": key, "valueFrom": source})
    return found
