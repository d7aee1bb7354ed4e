"""Objects that were written as YAML, each as a resource of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pulumi


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

    - each of the objects, named `<name>-<kind>-<object's name>`.

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
        for content in objects:
            metadata = content["metadata"]
            where = metadata.get("namespace")
            parts = [name, content["kind"].lower(), where, metadata["name"]]
            options = pulumi.ResourceOptions.merge(
                child, pulumi.ResourceOptions(parent=self)
            )
            self.objects.append(add(content, "-".join(filter(None, parts)), options))
        self.register_outputs({})
