"""The ConfigMaps from which a Grafana's sidecar loads dashboards."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.observability.dashboards.board import Board
from components.observability.settings import DashboardSettings

LARGEST_BYTES = 1024 * 1024
"""Maximum size of a ConfigMap in the API server."""


class Dashboards(pulumi.ComponentResource):
    """The dashboards of one stack.

    Creates:

    - ConfigMap `dashboard-<name>` for each, with one file of JSON and the labels and
      annotations that the sidecar looks for.

    Their namespace is there already.
    """

    def __init__(
        self,
        name: str,
        settings: DashboardSettings,
        boards: Sequence[Board],
        *,
        namespace: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`namespace`: where they go unless the settings name another."""
        super().__init__(
            "slipway:observability/dashboards:Dashboards", name, None, opts
        )
        # Grafana's SDK takes time to load, and most stacks have no dashboards.
        from components.observability.dashboards import drawing

        for board in boards:
            called = f"dashboard-{board.name}"
            own = naming.labels("dashboard", instance=board.uid, component="dashboards")
            kubernetes.core.v1.ConfigMap(
                called,
                metadata={
                    "name": called,
                    "namespace": settings.namespace or namespace,
                    "labels": {**settings.labels, **own},
                    "annotations": dict(settings.annotations),
                },
                data={f"{called}.json": drawing.text(board)},
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
