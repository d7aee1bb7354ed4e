"""Objects that were written as YAML, each as a resource of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pulumi

RIGHTS = ("ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
PROGRAMS = ("Deployment", "DaemonSet", "StatefulSet", "Job", "CronJob")
"""What starts pods: some programs try once what they have no right to yet, and go on
without it. Envoy Gateway 1.9 does so with its server for Wasm modules."""


def token(api_version: str, kind: str) -> str:
    """The type token by which the Kubernetes provider knows a kind."""
    group = api_version if "/" in api_version else f"core/{api_version}"
    return f"kubernetes:{group}:{kind}"


def add(
    content: Mapping[str, Any], name: str, opts: pulumi.ResourceOptions
) -> pulumi.CustomResource:
    """One object of any kind, as the API server is to get it."""
    return pulumi.CustomResource(
        token(content["apiVersion"], content["kind"]),
        name,
        dict(content),
        opts,
    )


class Manifest(pulumi.ComponentResource):
    """Objects as they were written.

    Creates:

    - each of the objects, named `<name>-<kind>-<object's name>`; programs after the
      rights among them.

    Previews, policies and `slipway render` see every one of them.
    """

    def __init__(
        self,
        name: str,
        objects: Iterable[Mapping[str, Any]],
        opts: pulumi.ResourceOptions | None = None,
        child: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`child`: further options of every object."""
        super().__init__("slipway:platform:Manifest", name, None, opts)
        self.objects: list[pulumi.CustomResource] = []
        rights: list[pulumi.Resource] = []
        for content in sorted(objects, key=lambda it: it["kind"] in PROGRAMS):
            kind, metadata = content["kind"], content["metadata"]
            where = metadata.get("namespace")
            parts = [name, kind.lower(), where, metadata["name"]]
            after = rights if kind in PROGRAMS else None
            options = pulumi.ResourceOptions.merge(
                child, pulumi.ResourceOptions(parent=self, depends_on=after)
            )
            made = add(content, "-".join(filter(None, parts)), options)
            self.objects.append(made)
            if kind in RIGHTS:
                rights.append(made)
        self.register_outputs({})
