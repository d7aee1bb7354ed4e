"""The PriorityClass of jobs that give their place to whoever has more priority."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming

VALUE = -10
"""Below 0, which pods without a class have; not below the Cluster Autoscaler's cutoff,
under which no node is added for a pod (--expendable-pods-priority-cutoff).
https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md"""


class PreemptibleJobs(pulumi.ComponentResource):
    """What lets training jobs be evicted.

    Creates:

    - PriorityClass `slipway-preemptible`: pods of it evict nobody.
    """

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:platform:PreemptibleJobs", name, None, opts)
        kubernetes.scheduling.v1.PriorityClass(
            f"{name}-priority",
            metadata={
                "name": naming.PREEMPTIBLE,
                "labels": naming.labels(naming.PREEMPTIBLE, component="training"),
            },
            value=VALUE,
            preemption_policy="Never",
            description="Training jobs that go on from a checkpoint after an eviction",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
