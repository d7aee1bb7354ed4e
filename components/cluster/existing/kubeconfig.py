"""The kubeconfig of an EKS cluster: address, CA, and how to get a token."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi

EXEC_API = "client.authentication.k8s.io/v1beta1"
"""What `aws eks update-kubeconfig` writes, and every client since Kubernetes 1.22
takes."""


@dataclass(frozen=True)
class Connection:
    """Data for connecting to a cluster; none of them are secret."""

    name: pulumi.Input[str]
    region: pulumi.Input[str]
    endpoint: pulumi.Input[str]
    certificate_authority: pulumi.Input[str]
    """PEM, base64."""


def kubeconfig(
    name: str,
    region: str,
    endpoint: str,
    certificate_authority: str,
    role: str | None = None,
) -> str:
    """A kubeconfig as JSON, which is YAML.

    It holds no credentials: each client runs `aws eks get-token`, which signs a token
    of 15 minutes with the caller's own, as `role` if one is given.
    """
    arguments = ["--region", region, "eks", "get-token", "--cluster-name", name]
    arguments += ["--output", "json"]
    if role:
        arguments += ["--role-arn", role]
    user: dict[str, Any] = {
        "exec": {
            "apiVersion": EXEC_API,
            "command": "aws",
            "args": arguments,
            "interactiveMode": "Never",
        }
    }
    cluster = {"server": endpoint, "certificate-authority-data": certificate_authority}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
    }
    return json.dumps(content, sort_keys=True)


def output(connection: Connection, role: str | None = None) -> pulumi.Output[str]:
    """The kubeconfig once all of the connection is known."""
    known = pulumi.Output.all(
        connection.name,
        connection.region,
        connection.endpoint,
        connection.certificate_authority,
    )
    return known.apply(lambda k: kubeconfig(k[0], k[1], k[2], k[3], role))
