"""An API server that does nothing but keep objects and judge by admission policies.

It evaluates policies and bindings as the API server's documentation has it
(https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/),
and fills in no defaults. The cluster tier shows that the real one says the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings

from components.security.rules import API_KINDS
from tests.policy.corpus import changed
from tests.support.dry_run import path

Object = dict[str, Any]
OPERATIONS = {"POST": "CREATE", "PUT": "UPDATE", "PATCH": "UPDATE", "DELETE": "DELETE"}
SEEN = ("object", "oldObject", "request", "params", "variables")
POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
USER = "kubernetes-admin"
OF_ONE_POLICY = {"wrong", "waived"}
"""Variables whose expressions differ from policy to policy."""


@cache
def _environment() -> cel.Env:
    return cel.NewEnv(
        variables=dict.fromkeys(SEEN, cel.Type.DYN),
        extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()],
    )


@cache
def _compiled(text: str) -> cel.Expression:
    return _environment().compile(text)


@dataclass
class Request:
    """One request, and what expressions have said of it."""

    operation: str
    kind: str
    new: Object
    old: Object | None
    parameters: Object
    _values: dict[str, Any] = field(default_factory=dict)
    _activations: dict[tuple[str, ...], cel.Activation] = field(default_factory=dict)

    def value(self, text: str, variables: Mapping[str, str]) -> Any:
        """The expression's value; AssertionError where it fails.

        `variables`: expressions by name, each of which may use those before it.
        """
        if text in self._values:
            return self._values[text]
        values: Object = {}
        before: dict[str, str] = {}
        for name, expression in variables.items():
            if f"variables.{name}" in text:
                values[name] = self.value(expression, before)
            before = {**before, name: expression}
        found = _compiled(text).eval(self._activation(values))
        assert found.type() != cel.Type.ERROR, (text, found.plain_value())
        value = found.plain_value()
        if OF_ONE_POLICY.isdisjoint(values):
            self._values[text] = value
        return value

    def _activation(self, variables: Object) -> cel.Activation:
        names = tuple(sorted(variables))
        if names in self._activations:
            return self._activations[names]
        about = {"kind": {"kind": self.kind}, "operation": self.operation}
        activation = _environment().Activation(
            {
                "object": self.new,
                "oldObject": self.old,
                "request": {**about, "userInfo": {"username": USER}},
                "params": self.parameters,
                "variables": variables,
            }
        )
        if OF_ONE_POLICY.isdisjoint(names):
            self._activations[names] = activation
        return activation


class Model:
    """A handler for httpx.MockTransport; `judge` gives it its policies."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.namespaces: dict[str, Object] = {}
        """Labels by name."""
        self._policies: list[tuple[Object, list[Object]]] = []
        self._parameters: Object = {}

    def judge(self, made: Iterable[Object]) -> None:
        """These policies, bindings and parameters in place of those before."""
        by_kind: dict[str, list[Object]] = {}
        for one in made:
            by_kind.setdefault(one["kind"], []).append(one)
        (self._parameters,) = by_kind["ConfigMap"]
        self._policies = [
            (
                policy,
                [
                    binding
                    for binding in by_kind[BINDING]
                    if binding["spec"]["policyName"] == policy["metadata"]["name"]
                ],
            )
            for policy in by_kind[POLICY]
        ]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        target, verb = request.url.path, request.method
        if verb == "GET":
            return httpx.Response(200, json=self.objects[target])
        sent: Object = json.loads(request.content or b"{}")
        if verb == "POST":
            target = f"{target}/{sent['metadata']['name']}"
            if target in self.objects:
                return _status(409, f'"{target}" already exists')
        old = self.objects.get(target)
        new: Object = changed(old, sent) if verb == "PATCH" else sent
        told, refused = self._judged(OPERATIONS[verb], new, old)
        if refused:
            return _status(422, f"{target} is forbidden: {refused[0]}", told)
        if "dryRun" not in request.url.params:
            new["metadata"]["resourceVersion"] = "1"
            self.objects[target] = new
        return httpx.Response(200, headers=told, json=new)

    def _judged(
        self, operation: str, new: Object, old: Object | None
    ) -> tuple[list[tuple[str, str]], list[str]]:
        """Headers with warnings, and texts of refusals."""
        about = new or old
        assert about
        request = Request(operation, about["kind"], new, old, self._parameters)
        told: list[tuple[str, str]] = []
        refused: list[str] = []
        for policy, bindings in self._policies:
            name = policy["metadata"]["name"]
            for binding in bindings:
                text = self._failed(request, about, policy["spec"], binding["spec"])
                if not text:
                    continue
                by = f"{POLICY} '{name}' with binding '{binding['metadata']['name']}'"
                if "Deny" in binding["spec"]["validationActions"]:
                    refused.append(f"{by} denied request: {text}")
                if "Warn" in binding["spec"]["validationActions"]:
                    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
                    told.append(
                        ("Warning", f'299 - "Validation failed for {by}: {quoted}"')
                    )
        return told, refused

    def _failed(
        self, request: Request, about: Object, policy: Object, binding: Object
    ) -> str:
        """What the policy says against it; empty if it does not."""
        matched = binding["matchResources"]
        rules = (policy["matchConstraints"], matched)
        if not all(_named(one["resourceRules"], request, about) for one in rules):
            return ""
        if not self._selected(matched, about):
            return ""
        conditions = policy.get("matchConditions", ())
        if not all(request.value(one["expression"], {}) for one in conditions):
            return ""
        variables = {one["name"]: one["expression"] for one in policy["variables"]}
        (validation,) = policy["validations"]
        if request.value(validation["expression"], variables):
            return ""
        return str(request.value(validation["messageExpression"], variables))

    def _selected(self, matched: Object, about: Object) -> bool:
        metadata = about["metadata"]
        labels = metadata.get("labels", {})
        if "objectSelector" in matched:
            wanted = matched["objectSelector"]["matchLabels"]
            return bool(wanted.items() <= labels.items())
        of_space = self.namespaces.get(metadata.get("namespace", ""), {})
        return all(
            of_space.get(one["key"]) in one["values"]
            for one in matched["namespaceSelector"]["matchExpressions"]
        )


def _named(rules: Iterable[Object], request: Request, about: Object) -> bool:
    group, _, version = path(about).removeprefix("/apis/").partition("/")
    group, version = ("", "v1") if about["apiVersion"] == "v1" else (group, version)
    resource = API_KINDS[about["kind"]].resource
    return any(
        group in one["apiGroups"]
        and version.partition("/")[0] in one["apiVersions"]
        and request.operation in one["operations"]
        and resource in one["resources"]
        for one in rules
    )


def _status(
    code: int, message: str, headers: list[tuple[str, str]] | None = None
) -> httpx.Response:
    content = {"kind": "Status", "code": code, "message": message}
    return httpx.Response(code, headers=headers, json=content)
