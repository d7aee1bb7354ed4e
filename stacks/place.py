"""Where parts of a cluster's inside are made, and after what."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes


@dataclass(frozen=True)
class Place:
    """Where parts are made, and after what."""

    provider: kubernetes.Provider
    after: tuple[pulumi.Resource, ...] = ()

    def then(self, *more: pulumi.Resource) -> Place:
        return Place(self.provider, (*self.after, *more))

    @property
    def options(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            provider=self.provider, depends_on=list(self.after)
        )
