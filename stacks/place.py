"""The provider and the dependencies of parts inside a cluster."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes


@dataclass(frozen=True)
class Place:
    """The provider and the dependencies of new parts."""

    provider: kubernetes.Provider
    after: tuple[pulumi.Resource, ...] = ()

    def then(self, *more: pulumi.Resource) -> Place:
        return Place(self.provider, (*self.after, *more))

    @property
    def options(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            provider=self.provider, depends_on=list(self.after)
        )
