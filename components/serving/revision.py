"""One revision of a model: its pods, Service, scaling and disruption budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_kubernetes import apps, autoscaling, core, policy
from pulumi_kubernetes.apiextensions import CustomResource

from components import naming
from components.serving.alerts import rules
from components.serving.args.parts import Part
from components.serving.pods import autoscaling as scaling
from components.serving.pods import volumes, workload
from components.serving.routes import service
from components.serving.settings.serving_platform import ServingPlatform
from components.workload import disruption_spec

DEPLOY_SECONDS = 300
"""Seconds beyond the load time of one replica, for a rolling update of several."""


class Revision(pulumi.ComponentResource):
    """The objects that a model server has once per revision.

    Creates, all in the models' namespace, named after the server or, with `revisions`,
    `<server>-<revision>`:

    - Service: port 80; the gRPC port, if it is enabled
    - ConfigMap `<name>-<digest>` with the runtime's configuration, if it reads files
    - Deployment: restricted pods, the model as an image volume, drained on stop; its
      replicas belong to the autoscaler
    - PodDisruptionBudget
    - HorizontalPodAutoscaler by CPU; or, by requests in flight, a ScaledObject, of
      which KEDA makes the HorizontalPodAutoscaler `keda-hpa-<name>`

    `before` is what pods need before they start, such as their account. The parent is
    the ModelServer, which was the parent of these objects before (`aliases`).
    """

    def __init__(
        self,
        part: Part,
        platform: ServingPlatform,
        server: pulumi.ComponentResource,
        before: Sequence[pulumi.Resource],
    ) -> None:
        opts = pulumi.ResourceOptions(parent=server)
        super().__init__("slipway:serving:Revision", part.name, None, opts)
        self._part, self._platform, self._server = part, platform, server
        # The pods' drain lies between a route's change and the Service's end: a
        # gateway that sees both at once may drop the Service's cluster first.
        self.service = self._service()
        self.deployment = self._deployment([*before, self.service])
        self._disruption_budget()
        self._autoscaler()
        self.register_outputs({"service": part.name})

    def _metadata(
        self, component: str = "server", name: str = "", **more: Any
    ) -> dict[str, Any]:
        return {
            "name": name or self._part.name,
            "namespace": self._platform.namespace,
            "labels": self._part.labels(component),
            **more,
        }

    def _child(
        self, depends_on: list[pulumi.Resource] | None = None
    ) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=depends_on,
            aliases=[pulumi.Alias(parent=self._server)],
        )

    def _service(self) -> pulumi.Resource:
        made: pulumi.Resource = core.v1.Service(
            self._part.name,
            metadata=self._metadata(annotations=naming.SERVICE_WAIT),
            spec=service.service_spec(self._part.selector, self._part.args.runtime),
            opts=self._child(),
        )
        return made

    def _deployment(self, depends_on: list[pulumi.Resource]) -> pulumi.Resource:
        part = self._part
        seconds = part.args.ready_seconds + DEPLOY_SECONDS
        limits = pulumi.CustomTimeouts(create=f"{seconds}s", update=f"{seconds}s")
        # The new owner of a Deployment that has replicas must not reset them:
        # https://github.com/pulumi/pulumi-kubernetes/issues/2491
        files = self._files(depends_on)
        autoscaled = pulumi.ResourceOptions(
            ignore_changes=["spec.replicas"], custom_timeouts=limits
        )
        deployment: pulumi.Resource = apps.v1.Deployment(
            part.name,
            metadata=self._metadata(),
            spec=workload.deployment_spec(
                part.server,
                part.args,
                part.labels("server"),
                part.selector,
                revision=part.revision,
                files=files,
            ),
            opts=pulumi.ResourceOptions.merge(self._child(depends_on), autoscaled),
        )
        return deployment

    def _files(self, depends_on: list[pulumi.Resource]) -> str:
        """Return the name of the runtime's ConfigMap; empty if it has no files."""
        part = self._part
        found = part.args.runtime.files(part.args.served(part.server))
        if not found:
            return ""
        name = volumes.files_name(part.name, found)
        depends_on.append(
            core.v1.ConfigMap(
                f"{part.name}-files",
                metadata=self._metadata("files", name),
                data={volumes.key(path): text for path, text in found.items()},
                immutable=True,
                opts=self._child(),
            )
        )
        return name

    def _disruption_budget(self) -> None:
        policy.v1.PodDisruptionBudget(
            self._part.name,
            metadata=self._metadata("disruption-budget"),
            spec=disruption_spec(
                self._part.selector, self._part.args.scaling.max_unavailable
            ),
            opts=self._child(),
        )

    def _autoscaler(self) -> None:
        part = self._part
        chosen = rules.selector(part.server, self._platform.namespace, part.revision)
        if part.args.scaling.signal == "inflight":
            api_version, kind = scaling.SCALED_OBJECT
            CustomResource(
                f"{part.name}-scaled",
                api_version=api_version,
                kind=kind,
                metadata=self._metadata("autoscaler"),
                spec=scaling.scaled_object_spec(
                    part.name,
                    part.args.scaling,
                    self._platform.keda,
                    chosen,
                    more=part.args.runtime.scaling_triggers(chosen),
                ),
                opts=self._child([self.deployment]),
            )
            return
        autoscaling.v2.HorizontalPodAutoscaler(
            part.name,
            metadata=self._metadata("autoscaler"),
            spec=scaling.autoscaler_spec(part.name, part.args.scaling),
            opts=self._child([self.deployment]),
        )
