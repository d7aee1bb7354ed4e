"""One model server: everything that a model needs to be served, scaled and watched."""

from __future__ import annotations

import pulumi
from pulumi_kubernetes import apps, autoscaling, core, networking, policy
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core import v1 as core_v1
from pulumi_kubernetes.meta import v1 as meta
from pydantic import TypeAdapter

from components import images, naming
from components.security import pod_defaults
from components.serving import autoscaling as scaling
from components.serving import network_policy, route, rules, workload
from components.serving.model_server_args import ModelServerArgs, Route
from components.serving.surroundings import Surroundings
from components.setting_types import ModelName

PROGRAM = "model-server"
DEPLOY_SECONDS = 300
"""Beyond the load of one replica: what a rolling update of a few may take."""


class ModelServer(pulumi.ComponentResource):
    """A model behind one port, by the contract of every model server.

    Creates, all in the models' namespace but the last:

    - ServiceAccount `<name>` that no pod gets a token of
    - NetworkPolicy `<name>`: in from the gateway and Prometheus, out to DNS, no more
    - Deployment `<name>`: restricted pods, the model as an image volume, drained on
      stop; its replicas belong to the autoscaler
    - Service `<name>`: port 80
    - PodDisruptionBudget `<name>`
    - HorizontalPodAutoscaler `<name>`: by CPU; or, by requests in flight, the
      ScaledObject `<name>`, of which KEDA makes the HorizontalPodAutoscaler
      `keda-hpa-<name>`
    - HTTPRoute `<name>`, if the arguments have a route
    - ConfigMap `rules-<namespace>-<name>` in the monitoring namespace: recording rules
      and alerts

    `name` is the model's name in its model.yaml. Raises pydantic's ValidationError if
    it is no name that Kubernetes takes. The outputs: `service` (its name), `path` (the
    public prefix or nothing) and `version` (first digits of the model's digest).
    """

    service: pulumi.Output[str]
    path: pulumi.Output[str | None]
    version: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: ModelServerArgs,
        surroundings: Surroundings | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        TypeAdapter(ModelName).validate_python(name)
        super().__init__("slipway:serving:ModelServer", name, None, opts)
        self._model = name
        self._args = args
        self._around = surroundings or Surroundings()
        self._revision = images.short_digest(args.model_image)
        self._selector = naming.selector(PROGRAM, instance=name)
        account, fence = self._account(), self._network_policy()
        deployment = self._deployment([account, fence])
        service = self._service()
        self._disruption_budget()
        self._autoscaler(deployment)
        if args.route:
            self._route(args.route, [deployment, service])
        # After the pods: else a first start would be told as an outage.
        self._rules(deployment)
        self.service = pulumi.Output.from_input(name)
        self.path = pulumi.Output.from_input(args.route.prefix if args.route else None)
        self.version = pulumi.Output.from_input(self._revision)
        self.register_outputs(
            {"service": self.service, "path": self.path, "version": self.version}
        )

    def _labels(self, component: str = "server") -> dict[str, str]:
        return naming.labels(
            PROGRAM,
            instance=self._model,
            component=component,
            version=self._revision,
        )

    def _metadata(self, component: str = "server") -> meta.ObjectMetaArgs:
        return meta.ObjectMetaArgs(
            name=self._model,
            namespace=self._around.namespace,
            labels=self._labels(component),
        )

    def _child(
        self, depends_on: list[pulumi.Resource] | None = None
    ) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=depends_on)

    def _account(self) -> pulumi.Resource:
        account: pulumi.Resource = core.v1.ServiceAccount(
            self._model,
            **pod_defaults.service_account(
                self._model, self._around.namespace, self._labels()
            ),
            opts=self._child(),
        )
        return account

    def _network_policy(self) -> pulumi.Resource:
        fence: pulumi.Resource = networking.v1.NetworkPolicy(
            self._model,
            metadata=self._metadata("network-policy"),
            spec=network_policy.policy_spec(
                self._selector, workload.PORT, self._around
            ),
            opts=self._child(),
        )
        return fence

    def _deployment(self, depends_on: list[pulumi.Resource]) -> pulumi.Resource:
        seconds = self._args.lifecycle.startup_seconds + DEPLOY_SECONDS
        limits = pulumi.CustomTimeouts(create=f"{seconds}s", update=f"{seconds}s")
        # Whoever takes over a Deployment that has replicas must not reset them:
        # https://github.com/pulumi/pulumi-kubernetes/issues/2491
        autoscaled = pulumi.ResourceOptions(
            ignore_changes=["spec.replicas"], custom_timeouts=limits
        )
        deployment: pulumi.Resource = apps.v1.Deployment(
            self._model,
            metadata=self._metadata(),
            spec=workload.deployment_spec(
                self._model, self._args, self._labels(), self._selector
            ),
            opts=pulumi.ResourceOptions.merge(self._child(depends_on), autoscaled),
        )
        return deployment

    def _service(self) -> pulumi.Resource:
        port = core_v1.ServicePortArgs(
            name=workload.PORT_NAME,
            port=route.SERVICE_PORT,
            target_port=workload.PORT_NAME,
            protocol="TCP",
        )
        service: pulumi.Resource = core.v1.Service(
            self._model,
            metadata=self._metadata(),
            spec=core_v1.ServiceSpecArgs(
                type="ClusterIP", selector=self._selector, ports=[port]
            ),
            opts=self._child(),
        )
        return service

    def _disruption_budget(self) -> None:
        policy.v1.PodDisruptionBudget(
            self._model,
            metadata=self._metadata("disruption-budget"),
            spec=scaling.disruption_spec(self._selector, self._args.scaling),
            opts=self._child(),
        )

    def _autoscaler(self, deployment: pulumi.Resource) -> None:
        if self._args.scaling.signal == "inflight":
            api_version, kind = scaling.SCALED_OBJECT
            CustomResource(
                f"{self._model}-scaled",
                api_version=api_version,
                kind=kind,
                metadata=self._metadata("autoscaler"),
                spec=scaling.scaled_object_spec(
                    self._model,
                    self._args.scaling,
                    self._around.keda,
                    rules.selector(self._model, self._around.namespace),
                ),
                opts=self._child([deployment]),
            )
            return
        autoscaling.v2.HorizontalPodAutoscaler(
            self._model,
            metadata=self._metadata("autoscaler"),
            spec=scaling.autoscaler_spec(self._model, self._args.scaling),
            opts=self._child([deployment]),
        )

    def _route(self, public: Route, depends_on: list[pulumi.Resource]) -> None:
        CustomResource(
            self._model,
            api_version=route.API_VERSION,
            kind=route.KIND,
            metadata=self._metadata("route"),
            spec=route.route_spec(self._model, public, self._args, self._around),
            opts=self._child(depends_on),
        )

    def _rules(self, deployment: pulumi.Resource) -> None:
        namespace = self._around.namespace
        name = f"rules-{namespace}-{self._model}"
        core.v1.ConfigMap(
            name,
            metadata=meta.ObjectMetaArgs(
                name=name,
                namespace=self._around.monitoring_namespace,
                labels={**self._labels("rules"), naming.RULES_LABEL: "true"},
            ),
            data={
                f"{namespace}.{self._model}.yaml": rules.rule_file(
                    self._model, namespace, self._args
                )
            },
            opts=self._child([deployment]),
        )
