"""The rules of policies/ as admission policies: the API server judges by the same text.

https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.security.admission_settings import AdmissionSettings
from components.security.network import NAMESPACE_LABEL
from components.security.rules import API_KINDS, Rule, RuleList, load

PREFIX = "slipway-"
PARAMETERS = "slipway-rules"
"""The ConfigMap with the rules' parameters and waivers."""
COMPONENT = "admission"
WAIVER = "waived."
"""Before a rule's id: the key of the objects that it leaves alone."""
_WAIVED = (
    "(request.kind.kind + '/' + (object.metadata.?namespace.hasValue() "
    "? object.metadata.namespace + '/' : '') + object.metadata.?name.orValue('')) "
    "in params.?data[?'{key}'].orValue('').split(' ')"
)
_WHOLE = re.compile(r"\bobject\b(?!\.)")
_FIELD = re.compile(r"\bobject\.\??(?:metadata\.\??)?\w+")
_CONTROLLERS = {
    ("Job", "batch/v1", "CronJob"): (
        "system:serviceaccount:kube-system:cronjob-controller",
        "system:kube-controller-manager",
    ),
    ("HorizontalPodAutoscaler", "keda.sh/v1alpha1", "ScaledObject"): (
        f"system:serviceaccount:{naming.KEDA_NAMESPACE}:keda-operator",
    ),
}
"""Controllers that create objects for others: users by the object's kind, its owner's
version and kind.
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles: without
--use-service-account-credentials all controllers are one user."""


def _made_by(kind: str, version: str, owner: str, users: Iterable[str]) -> str:
    """CEL: whether the request is a controller's, or leaves what it made as it is."""
    return (
        f"request.kind.kind == '{kind}' && object.metadata.?ownerReferences.orValue([])"
        f".exists(o, o.?controller.orValue(false) && o.apiVersion == '{version}' "
        f"&& o.kind == '{owner}') && (request.userInfo.username in {[*users]} "
        "|| (request.operation == 'UPDATE' && object.spec == oldObject.spec))"
    )


_NOT_CONTROLLED = "!({})".format(
    " || ".join(f"({_made_by(*key, it)})" for key, it in _CONTROLLERS.items())
)
"""A controller's objects are judged by their owners: a Job by its CronJob. KEDA must be
able to make the HorizontalPodAutoscaler of a model that sleeps. Anybody may write an
owner into an object; only a controller is its user."""


def _changed(rules: RuleList, expression: str) -> str:
    """CEL: whether an update changes a field that a rule reads; empty for any update.

    All else is let through: controllers must be able to remove finalizers and write
    annotations of objects that are older than the rule, or these could not be deleted.
    """
    texts = (expression, *rules.variables_of(expression).values())
    read = {one.replace("?", "") for text in texts for one in _FIELD.findall(text)}
    if not read or any(_WHOLE.search(text) for text in texts):
        return ""
    conditions = ["request.operation != 'UPDATE'"]
    for new in sorted(read):
        old = new.replace("object", "oldObject", 1)
        conditions.append(f"has({new}) != has({old}) || (has({new}) && {new} != {old})")
    return " || ".join(conditions)


class Admission(pulumi.ComponentResource):
    """Rules that the API server holds objects to.

    Creates:

    - ConfigMap `slipway-rules` in the gateway's namespace: parameters, and objects with
      a waiver that has not ended;
    - for each rule about Kubernetes objects a ValidatingAdmissionPolicy and its
      bindings: for objects in the models' namespaces, and for objects of this project
      that have no namespace.

    Rules of errors refuse in production. All others, and all rules elsewhere, warn
    whoever sends the object, and leave a mark in the audit log.
    """

    def __init__(
        self,
        name: str,
        settings: AdmissionSettings,
        models: Iterable[str],
        *,
        environment: str,
        production: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`models`: the namespaces whose objects are judged."""
        super().__init__("slipway:security:Admission", name, None, opts)
        listed = load()
        child = pulumi.ResourceOptions(parent=self)
        today = datetime.now(tz=UTC).date()
        kubernetes.core.v1.ConfigMap(
            f"{name}-parameters",
            **parameters(listed, environment, today, naming.GATEWAY_NAMESPACE),
            opts=child,
        )
        v1 = kubernetes.admissionregistration.v1
        for rule in enforced(listed, production=production):
            refuses = production and rule.severity == "error" and not settings.warn_only
            policy = v1.ValidatingAdmissionPolicy(
                f"{name}-{rule.id}",
                **policy_of(rule, listed, refuses=refuses),
                opts=child,
            )
            for binding in bindings(
                rule, list(models), naming.GATEWAY_NAMESPACE, refuses=refuses
            ):
                v1.ValidatingAdmissionPolicyBinding(
                    f"{name}-{binding['metadata']['name'].removeprefix(PREFIX)}",
                    **binding,
                    opts=pulumi.ResourceOptions(parent=policy),
                )
        self.register_outputs({})


def enforced(rules: RuleList, *, production: bool) -> list[Rule]:
    """The rules that the API server judges by."""
    return [
        rule
        for rule in rules.rules.values()
        if rule.in_cluster and (production or not rule.production_only)
    ]


def parameters(
    rules: RuleList, environment: str, today: date, namespace: str
) -> dict[str, Any]:
    """Arguments of the ConfigMap that the policies read."""
    waived = {
        f"{WAIVER}{rule}": " ".join(objects)
        for rule, objects in rules.waivers_of(environment, today).items()
        if rules.rules[rule].in_cluster
    }
    return {
        "metadata": {**_metadata(PARAMETERS), "namespace": namespace},
        "data": {**rules.parameters_of(environment), **waived},
    }


def policy_of(rule: Rule, rules: RuleList, *, refuses: bool) -> dict[str, Any]:
    """Arguments of a rule's ValidatingAdmissionPolicy."""
    variables = rules.variables_of(rule.expression)
    variables |= {
        "wrong": rule.expression,
        "waived": _WAIVED.format(key=f"{WAIVER}{rule.id}"),
    }
    message = f"{json.dumps(f'{rule.id}: {rule.message}: ', ensure_ascii=False)}"
    fix = json.dumps(f". {rule.fix}", ensure_ascii=False)
    spec: dict[str, Any] = {
        # A policy that cannot be evaluated blocks requests only if it is enforced.
        "failure_policy": "Fail" if refuses else "Ignore",
        "param_kind": {"api_version": "v1", "kind": "ConfigMap"},
        "match_constraints": {"resource_rules": _resource_rules(rule.object_kinds)},
        "variables": [{"name": n, "expression": e} for n, e in variables.items()],
        "validations": [
            {
                "expression": "variables.waived || size(variables.wrong) == 0",
                "message": f"{rule.id}: {rule.message}",
                "message_expression": f"{message} + variables.wrong.join(', ') + {fix}",
            }
        ],
    }
    conditions = {"not-controlled": _NOT_CONTROLLED}
    if changed := _changed(rules, rule.expression):
        conditions["changed"] = changed
    spec["match_conditions"] = [
        {"name": n, "expression": e} for n, e in conditions.items()
    ]
    why = {"slipway.dev/why": rule.why}
    return {
        "metadata": {**_metadata(f"{PREFIX}{rule.id}"), "annotations": why},
        "spec": spec,
    }


def bindings(
    rule: Rule, models: list[str], parameters_in: str, *, refuses: bool
) -> Iterator[dict[str, Any]]:
    """Arguments of a rule's bindings: for kinds in namespaces, for those in none."""
    inside = {kind for kind in rule.object_kinds if API_KINDS[kind].namespaced}
    scopes: Mapping[str, tuple[set[str], dict[str, Any]]] = {
        "": (inside, {"namespace_selector": _in(NAMESPACE_LABEL, models)}),
        # The cluster's own roles and classes are not checked.
        "-of-cluster": (
            set(rule.object_kinds) - inside,
            {"object_selector": {"match_labels": _ours()}},
        ),
    }
    for suffix, (kinds, selector) in scopes.items():
        if not kinds:
            continue
        yield {
            "metadata": _metadata(f"{PREFIX}{rule.id}{suffix}"),
            "spec": {
                "policy_name": f"{PREFIX}{rule.id}",
                "validation_actions": ["Deny"] if refuses else ["Warn", "Audit"],
                "param_ref": {
                    "name": PARAMETERS,
                    "namespace": parameters_in,
                    # Without its parameters no rule holds: models go on being served.
                    "parameter_not_found_action": "Allow",
                },
                "match_resources": {
                    **selector,
                    "resource_rules": _resource_rules(kinds),
                },
            },
        }


def _resource_rules(kinds: Iterable[str]) -> list[dict[str, Any]]:
    """Return the requests for these kinds, by API group."""
    by_group: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for kind in sorted(kinds):
        found = API_KINDS[kind]
        by_group.setdefault((found.group, found.versions), []).append(found.resource)
    return [
        {
            "api_groups": [group],
            "api_versions": list(versions),
            "operations": ["CREATE", "UPDATE"],
            "resources": resources,
        }
        for (group, versions), resources in by_group.items()
    ]


def _in(label: str, values: list[str]) -> dict[str, Any]:
    expression = {"key": label, "operator": "In", "values": values}
    return {"match_expressions": [expression]}


def _ours() -> dict[str, str]:
    return {"app.kubernetes.io/part-of": naming.PART_OF}


def _metadata(name: str) -> dict[str, Any]:
    return {"name": name, "labels": naming.labels(name, component=COMPONENT)}
