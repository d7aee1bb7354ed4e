"""One model server: everything that a model needs to be served, scaled and watched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import pulumi
from pulumi_kubernetes import core, networking
from pulumi_kubernetes.apiextensions import CustomResource
from pydantic import TypeAdapter

from components import naming
from components.cluster.kubernetes_support import today
from components.security import pod_defaults
from components.serving.alerts import rules
from components.serving.args import external_secret
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import PROGRAM, parts
from components.serving.pods import network_policy, workload
from components.serving.revision import Revision
from components.serving.routes import access, grpc_route, references, route, traffic
from components.serving.settings import versions
from components.serving.settings.access_settings import Access
from components.serving.settings.serving_platform import ServingPlatform
from components.setting_types import ModelName


class ModelServer(pulumi.ComponentResource):
    """A model behind one port, with the contract of all model servers.

    Creates, in the models' namespace except for the last:

    - ServiceAccount `<name>`, whose token no pod gets
    - NetworkPolicy `<name>`: ingress only from the gateway and Prometheus, egress only
      to DNS and to the targets of `egress`
    - ExternalSecret `<name>-<secret>` for each of `secrets` that has `aws`
    - Revision `<name>`: pods, their Service, budget and autoscaler
    - HTTPRoute `<name>`, if the arguments have a route, and the HTTPRouteFilters
      `<name>-unknown-...`: the gateway's responses for unknown paths
    - HTTPRoute `<name>-traffic`, with a rollout or an experiment: the rules by weight,
      which the rollout controller changes from then on
    - GRPCRoute `<name>`, if the arguments have `grpc_route`
    - BackendTrafficPolicy `<name>` of these routes
    - SecurityPolicy `<name>`, if the arguments have `access` with credentials, and
      ConfigMap `<name>-jwks`, if they have an issuer's keys
    - ConfigMap `rules-<namespace>-<name>` in the monitoring namespace: recording rules
      and alerts

    With `revisions`, each has a Revision `<name>-<revision>`. All other objects are
    shared, and only one HTTPRoute has the weights.

    `name` is the model's name in its model.yaml; `known_prefixes` are the API versions
    of all models of the stack, which a 404 lists beside the model's own; `needs` are
    the objects that its access policies read and others create: the Secrets with
    callers' keys. Raises pydantic's ValidationError if Kubernetes would reject the
    name. The outputs:
    `service` (its name), `path` (the newest public prefix or nothing) and `version`
    (first digits of the model's digest); of revisions, `service` is the first and
    `version` names all.
    """

    service: pulumi.Output[str]
    path: pulumi.Output[str | None]
    version: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: ModelServerArgs,
        platform: ServingPlatform | None = None,
        opts: pulumi.ResourceOptions | None = None,
        known_prefixes: Sequence[str] = (),
        *,
        needs: Sequence[pulumi.Resource] = (),
    ) -> None:
        TypeAdapter(ModelName).validate_python(name)
        super().__init__("slipway:serving:ModelServer", name, None, opts)
        self._model = name
        self._args = args
        self._platform = platform or ServingPlatform()
        self._parts = parts(name, args)
        self._made: dict[references.Named, pulumi.Resource] = {}
        self._selector = naming.selector(PROGRAM, instance=name)
        before = [
            self._account(),
            self._network_policy(),
            *external_secret.resources(
                name,
                args,
                self._platform.namespace,
                self._labels("secret"),
                self._child(),
            ),
        ]
        deployments: list[pulumi.Resource] = []
        for part in self._parts:
            revision = Revision(part, self._platform, self, before)
            self._made["Service", part.name] = revision.service
            deployments.append(revision.deployment)
        self._add_routes(deployments, known_prefixes, needs)
        # After the pods: otherwise a first start would be reported as an outage.
        self._rules(deployments)
        first = self._parts[0]
        self.service = pulumi.Output.from_input(first.name)
        self.path = pulumi.Output.from_input(
            args.api_versions[-1].prefix if args.api_versions else None
        )
        self.version = pulumi.Output.from_input(
            ", ".join(f"{x.revision} {x.version}".strip() for x in self._parts)
        )
        self.register_outputs(
            {"service": self.service, "path": self.path, "version": self.version}
        )

    def _labels(self, component: str = "server") -> dict[str, str]:
        """Of an object that all revisions share."""
        only = self._parts[0].version if len(self._parts) == 1 else ""
        return naming.labels(
            PROGRAM, instance=self._model, component=component, version=only
        )

    def _metadata(self, component: str, name: str = "") -> dict[str, Any]:
        return {
            "name": name or self._model,
            "namespace": self._platform.namespace,
            "labels": self._labels(component),
        }

    def _child(
        self, depends_on: list[pulumi.Resource] | None = None
    ) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=depends_on)

    def _account(self) -> pulumi.Resource:
        account: pulumi.Resource = core.v1.ServiceAccount(
            self._model,
            **pod_defaults.service_account(
                self._model,
                self._platform.namespace,
                self._labels(),
                self._args.service_account.annotations,
            ),
            opts=self._child(),
        )
        return account

    def _network_policy(self) -> pulumi.Resource:
        policy: pulumi.Resource = networking.v1.NetworkPolicy(
            self._model,
            metadata=self._metadata("network-policy"),
            spec=network_policy.policy_spec(
                self._selector,
                list(workload.ports(self._args.runtime).values()),
                self._platform,
                streams=bool(self._args.runtime.weights),
                sleeps=bool(self._args.scaling.idle),
                egress=self._args.egress,
                pod_identity=self._args.service_account.pod_identity,
                log_sink=self._args.prediction_log.sink
                if self._args.ships_log
                else None,
            ),
            opts=self._child(),
        )
        return policy

    def _add_routes(
        self,
        pods: list[pulumi.Resource],
        known: Sequence[str],
        needs: Sequence[pulumi.Resource],
    ) -> None:
        """The public routes, by HTTP and by gRPC."""
        if not self._args.api_versions and not self._args.grpc_route:
            return
        filters: dict[str, route.Object] = {}
        if self._args.api_versions:
            for warning in versions.past(self._args.api_versions, today()):
                pulumi.log.warn(f"{self._model}: {warning}", self)
            filters |= route.filter_specs(self._model, self._args, self._parts, known)
        if self._args.grpc_route:
            filters |= route.unknown_revision(self._model, self._parts)
        self._route_filters(filters)
        # Policies before routes: no request passes without a check of its caller.
        before = [*pods, *self._access_policies(self._args.access, needs)]
        about = self._model, self._args, self._parts, self._platform
        if self._args.weights_moved:
            # Before the server's own route loses its weighted rules; the older of two
            # equal rules is the one that counts.
            guards = [*before, *self._traffic_policies(self._args.access, before)]
            before = [*before, self._traffic_route(route.traffic_spec(*about), guards)]
        if self._args.api_versions:
            self._route(route, route.route_spec(*about), before)
        if self._args.grpc_route:
            self._route(grpc_route, grpc_route.route_spec(*about), before)

    def _route(
        self,
        module: ModuleType,
        spec: route.Object,
        before: Sequence[pulumi.Resource],
    ) -> None:
        CustomResource(
            self._model,
            api_version=module.API_VERSION,
            kind=module.KIND,
            metadata=self._metadata("route"),
            spec=spec,
            opts=self._child([*before, *references.needed(spec, self._made)]),
        )

    def _traffic_route(
        self, spec: route.Object, before: Sequence[pulumi.Resource]
    ) -> pulumi.Resource:
        """The route that the rollout controller writes once it exists."""
        name = route.traffic_name(self._model)
        made: pulumi.Resource = CustomResource(
            name,
            api_version=route.API_VERSION,
            kind=route.KIND,
            metadata=self._metadata(naming.TRAFFIC, name),
            spec=spec,
            opts=pulumi.ResourceOptions.merge(
                self._child([*before, *references.needed(spec, self._made)]),
                pulumi.ResourceOptions(ignore_changes=["spec.rules"]),
            ),
        )
        return made

    def _route_filters(self, specs: dict[str, route.Object]) -> None:
        for name, spec in specs.items():
            self._made[route.FILTER_KIND, name] = CustomResource(
                name,
                api_version=route.FILTER_API_VERSION,
                kind=route.FILTER_KIND,
                metadata=self._metadata("route", name=name),
                spec=spec,
                opts=self._child(),
            )

    def _access_policies(
        self, asked: Access | None, needs: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        before = list(needs)
        if asked and asked.jwt and asked.jwt.jwks:
            name = access.jwks_name(self._model)
            keys = core.v1.ConfigMap(
                name,
                metadata=self._metadata("access", name=name),
                data=access.jwks_data(asked.jwt),
                opts=self._child(),
            )
            before.append(keys)
        policies = access.policies(self._model, asked, traffic.traffic(self._args))
        if self._args.grpc_route:
            policies = grpc_route.guarded(policies, self._model, self._args)
        return self._policies(self._model, policies, before)

    def _traffic_policies(
        self, asked: Access | None, needs: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """Policies of the traffic route alone.

        Whatever removes the route, be it the end of a rollout, of all revisions or of
        the server, deletes it before what it depends on: it is never without them.
        """
        name = route.traffic_name(self._model)
        shared = traffic.traffic(self._args)
        policies = access.policies(self._model, asked, shared, route=name)
        return self._policies(name, policies, needs)

    def _policies(
        self,
        name: str,
        policies: Iterable[access.Policy],
        before: Sequence[pulumi.Resource],
    ) -> list[pulumi.Resource]:
        return [
            CustomResource(
                f"{name}-{policy.kind.lower()}",
                api_version=access.API_VERSION,
                kind=policy.kind,
                metadata=self._metadata("access", name),
                spec=policy.spec,
                opts=self._child(list(before)),
            )
            for policy in policies
        ]

    def _rules(self, deployments: list[pulumi.Resource]) -> None:
        namespace = self._platform.namespace
        name = f"rules-{namespace}-{self._model}"
        core.v1.ConfigMap(
            name,
            metadata={
                "name": name,
                "namespace": self._platform.monitoring_namespace,
                "labels": {**self._labels("rules"), naming.RULES_LABEL: "true"},
            },
            data={
                f"{namespace}.{self._model}.yaml": rules.rule_file(
                    self._model, namespace, self._args, self._parts
                )
            },
            opts=self._child(deployments),
        )
