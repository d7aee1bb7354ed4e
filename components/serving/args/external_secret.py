"""ExternalSecrets, from which the External Secrets Operator creates Secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from components.serving.args.server_args import ServerArgs
from components.serving.settings.secret_settings import SecretUse
from components.settings import Problem

API_VERSION, KIND = "external-secrets.io/v1", "ExternalSecret"
WAIT = {"pulumi.com/waitFor": "condition=Ready"}
"""So that `up` names the unreadable secret, not the pods that wait for it."""


def name(server: str, secret: str, use: SecretUse) -> str:
    """Return the name of the Secret in the cluster: each server fills its own."""
    return f"{server}-{secret}" if use.aws else secret


def specs(server: str, args: ServerArgs) -> dict[str, dict[str, Any]]:
    """Specs by the name of the ExternalSecret and of its Secret."""
    return {
        name(server, secret, use): _spec(name(server, secret, use), use)
        for secret, use in sorted(args.secrets.items())
        if use.aws
    }


def resources(
    server: str,
    args: ServerArgs,
    namespace: str,
    labels: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Declare all ExternalSecrets of a server."""
    return [
        CustomResource(
            f"{found}-external",
            api_version=API_VERSION,
            kind=KIND,
            metadata={
                "name": found,
                "namespace": namespace,
                "labels": dict(labels),
                "annotations": WAIT,
            },
            spec=spec,
            opts=opts,
        )
        for found, spec in specs(server, args).items()
    ]


def _spec(target: str, use: SecretUse) -> dict[str, Any]:
    aws = use.aws
    assert aws
    return {
        "refreshInterval": f"{aws.refresh_minutes}m",
        "secretStoreRef": {"kind": aws.store_kind, "name": aws.store},
        # Kept if the secret is deleted in AWS, so that later pods can still start.
        "target": {
            "name": target,
            "creationPolicy": "Owner",
            "deletionPolicy": "Retain",
        },
        "data": [
            {"secretKey": key, "remoteRef": _remote(aws.secret, key, aws.form)}
            for key in use.keys
        ],
    }


def _remote(secret: str, key: str, form: str) -> dict[str, str]:
    return {"key": secret, **({"property": key} if form == "json" else {})}


def clashes(
    models: Mapping[str, ServerArgs], others: Iterable[str]
) -> Iterator[Problem]:
    """Report Secrets that two would fill; `others`: those that have an owner."""
    owners = dict.fromkeys(others, "it holds clients' API keys")
    for server, args in sorted(models.items()):
        for secret, use in sorted(args.secrets.items()):
            if not use.aws:
                continue
            made, path = (
                name(server, secret, use),
                f"models.{server}.secrets.{secret}",
            )
            if made in owners:
                yield Problem(
                    path,
                    secret,
                    f"the Secret {made} would be filled from AWS, but {owners[made]}",
                    "rename one of them",
                )
            owners.setdefault(made, f"{path} also fills it")
