"""The list of rules in `policies/`: what each refuses, why, and what is excepted.

A rule's expression is CEL (https://github.com/google/cel-spec) over `object`. It gives
the list of what is wrong with the object, each as text, and an empty list where the
object conforms. `slipway check` and the tests evaluate it, and the API server does as a
ValidatingAdmissionPolicy, so it uses what both know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.security import rule_files
from components.setting_types import DnsLabel
from components.settings import Problem, Settings, parse, refuse
from toolchain import paths

FOLDER = "policies"
"""Folder of the rules, in Slipway and in its user's project, which adds its own."""
PACK = "PulumiPolicy.yaml"
"""Makes the folder a policy pack for Pulumi's CLI; no rules stand in it."""
VARIABLES = "variables.yaml"
ALL = "all"
"""Among parameters: values for all environments that do not have their own."""
STACK = "Stack"
"""The kind of a stack itself: its object is the stack's settings."""
AWS = "aws:"
_VARIABLE = re.compile(r"\bvariables\.(\w+)")
_BESIDE = re.compile(r"\b(related|settings)\b")
_ONLY_IN_CHECK = re.compile(r"\b(related|settings)\.")
"""Additional variables of a rule that the API server does not have."""


def _line(text: str) -> str:
    joined = " ".join(text.split())
    if not joined:
        refuse("it is empty", "say it in a sentence")
    return joined


Line = Annotated[str, AfterValidator(_line)]
"""Text on one line; line breaks become spaces."""


@dataclass(frozen=True)
class ApiKind:
    """A kind of Kubernetes objects, as an admission policy names it."""

    group: str
    resource: str
    namespaced: bool = True
    versions: tuple[str, ...] = ("v1",)


API_KINDS = {
    "ConfigMap": ApiKind("", "configmaps"),
    "CronJob": ApiKind("batch", "cronjobs"),
    "DaemonSet": ApiKind("apps", "daemonsets"),
    "Deployment": ApiKind("apps", "deployments"),
    "Job": ApiKind("batch", "jobs"),
    "StatefulSet": ApiKind("apps", "statefulsets"),
    "Service": ApiKind("", "services"),
    "ServiceAccount": ApiKind("", "serviceaccounts"),
    "PersistentVolumeClaim": ApiKind("", "persistentvolumeclaims"),
    "NetworkPolicy": ApiKind("networking.k8s.io", "networkpolicies"),
    "PodDisruptionBudget": ApiKind("policy", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": ApiKind(
        "autoscaling", "horizontalpodautoscalers", versions=("v2",)
    ),
    "Role": ApiKind("rbac.authorization.k8s.io", "roles"),
    "RoleBinding": ApiKind("rbac.authorization.k8s.io", "rolebindings"),
    "ClusterRole": ApiKind("rbac.authorization.k8s.io", "clusterroles", False),
    "ClusterRoleBinding": ApiKind(
        "rbac.authorization.k8s.io", "clusterrolebindings", False
    ),
    "Namespace": ApiKind("", "namespaces", False),
    "StorageClass": ApiKind("storage.k8s.io", "storageclasses", False),
    "Gateway": ApiKind("gateway.networking.k8s.io", "gateways"),
    "HTTPRoute": ApiKind("gateway.networking.k8s.io", "httproutes"),
    "EnvoyProxy": ApiKind(
        "gateway.envoyproxy.io", "envoyproxies", versions=("v1alpha1",)
    ),
    "NodePool": ApiKind("karpenter.sh", "nodepools", False),
    "EC2NodeClass": ApiKind("karpenter.k8s.aws", "ec2nodeclasses", False),
}
"""The kinds that rules can name."""
GROUPS = {
    "Workload": ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"),
}
"""Names for several kinds: those that make pods from a template."""


def _kind(name: str) -> str:
    if name not in (*API_KINDS, *GROUPS, STACK) and not name.startswith(AWS):
        refuse(
            "rules know no such kind",
            f"give one of {', '.join((*GROUPS, *API_KINDS, STACK))}, or a type of "
            "AWS's provider such as aws:s3/bucket:Bucket",
        )
    return name


Kind = Annotated[str, AfterValidator(_kind)]
"""A kind of objects, a group of kinds, a type of AWS's provider, or Stack."""


def _some(found: tuple[str, ...]) -> tuple[str, ...]:
    if not found:
        refuse("it is empty", "give at least one")
    return found


class Rule(Settings):
    """One rule."""

    id: DnsLabel
    """Its permanent name, used in waivers, reports and admission policies."""
    severity: Literal["error", "warning"]
    """`error` is refused in production, and reported as a warning elsewhere."""
    kinds: Annotated[tuple[Kind, ...], AfterValidator(_some)]
    """Kinds of objects that it is about."""
    expression: str
    """CEL that gives the list of what is wrong, as text; empty where all is well."""
    message: Line
    """The violation, in a few words before the expression's values."""
    why: Line
    """The consequence of a violation."""
    fix: Line
    """The fix."""
    since: date
    """When it became a rule."""
    production_only: bool = False
    """Whether it applies only to stacks in production."""
    check_only: bool = False
    """Whether the API server must not evaluate it, although it could."""

    @cached_property
    def object_kinds(self) -> frozenset[str]:
        """The kinds of objects, with groups written out."""
        return frozenset(k for name in self.kinds for k in GROUPS.get(name, (name,)))

    @property
    def in_cluster(self) -> bool:
        """Whether the API server can judge by it.

        Not where it is about AWS or settings, or needs other objects than its own.
        """
        if self.check_only or not self.object_kinds <= set(API_KINDS):
            return False
        return not _ONLY_IN_CHECK.search(self.expression)

    @property
    def by_itself(self) -> bool:
        """Whether an object alone is enough, without others, settings or the stack."""
        beside = _ONLY_IN_CHECK.search(self.expression)
        return not beside and STACK not in self.object_kinds


class Waiver(Settings):
    """An exception for a while."""

    rules: Annotated[tuple[DnsLabel, ...], AfterValidator(_some)]
    """Ids of the rules."""
    objects: Annotated[tuple[str, ...], AfterValidator(_some)]
    """Kind/namespace/name, or Kind/name where there is no namespace."""
    environments: tuple[str, ...] = ()
    """Environments that it holds in; all where none is named."""
    until: date
    """The last day on which it holds."""
    who: Line
    """Who decided it."""
    why: Line
    """The reason, for whoever is to prolong it."""

    def holds(self, environment: str, today: date) -> bool:
        """Return whether it is still valid, in that environment."""
        here = not self.environments or environment in self.environments
        return here and today <= self.until


class RuleList(Settings):
    """All rules with their variables, parameters and waivers."""

    rules: dict[DnsLabel, Rule]
    """By id."""
    waivers: tuple[Waiver, ...] = ()
    """The exceptions, those that have ended too."""
    variables: dict[str, Line] = Field(default={})
    """CEL by name, used in expressions as `variables.<name>`."""
    parameters: dict[str, dict[str, str]] = Field(default={})
    """Values by environment and name, used as `params.data.<name>`."""

    def contradictions(self) -> Iterator[Problem]:
        for number, waiver in enumerate(self.waivers):
            for name in sorted(set(waiver.rules) - set(self.rules)):
                yield Problem(
                    path=f"waivers.{number}.rules",
                    value=name,
                    reason="no rule has the id",
                    fix="give the id of a rule, or remove it",
                )
        texts = {f"rules.{r.id}.expression": r.expression for r in self.rules.values()}
        texts |= {f"variables.{name}": text for name, text in self.variables.items()}
        for path, text in texts.items():
            for name in sorted(set(_VARIABLE.findall(text)) - set(self.variables)):
                yield Problem(
                    path=path,
                    value=f"variables.{name}",
                    reason=f"{VARIABLES} has no such variable",
                    fix=f"add it to {VARIABLES}, or correct the name",
                )
        yield from self._circles()

    def _circles(self) -> Iterator[Problem]:
        used = {n: set(_VARIABLE.findall(t)) for n, t in self.variables.items()}
        try:
            TopologicalSorter(used).prepare()
        except CycleError as error:
            name, *others = error.args[1]
            yield Problem(
                path=f"variables.{name}",
                value=self.variables[name],
                reason=f"it uses itself, by {', '.join(others)}",
                fix="write one of them without the others",
            )

    def parameters_of(self, environment: str) -> dict[str, str]:
        """The values that hold in an environment."""
        own = self.parameters.get(environment, {})
        return {**self.parameters.get(ALL, {}), **own}

    def waivers_of(self, environment: str, today: date) -> dict[str, list[str]]:
        """Objects with a waiver that holds, by the rule's id."""
        found: dict[str, list[str]] = {}
        for waiver in self.waivers:
            if waiver.holds(environment, today):
                for rule in waiver.rules:
                    found.setdefault(rule, []).extend(waiver.objects)
        return found

    def variables_of(self, expression: str) -> dict[str, str]:
        """The variables that an expression uses, those first that others use."""
        found: dict[str, str] = {}
        for name in _VARIABLE.findall(expression):
            found |= (
                self.variables_of(self.variables[name]) if name not in found else {}
            )
            found.setdefault(name, self.variables[name])
        return found

    def beside(self, expression: str) -> frozenset[str]:
        """What it may look at beside its object, by itself or by its variables.

        `related` and `settings`; a word in a text counts, too.
        """
        texts = (expression, *self.variables_of(expression).values())
        return frozenset(name for text in texts for name in _BESIDE.findall(text))


def object_name(kind: str, name: str, namespace: str = "") -> str:
    """Return an object's name in waivers and reports."""
    return "/".join(filter(None, (kind, namespace, name)))


def load(*folders: Path) -> RuleList:
    """The rules of these folders, else Slipway's own and those of the user's project.

    A later folder adds rules, variables, parameters and waivers, and replaces those of
    the same name. SettingsError has all that is wrong, also with the files themselves.
    """
    places = folders or tuple(dict.fromkeys((paths.ROOT, paths.PROJECT)))
    files: list[Path] = []
    for place in places:
        folder = place if folders else place / FOLDER
        files += sorted(set(folder.glob("*.yaml")) - {folder / PACK})
    return parse(RuleList, rule_files.merged(files, FOLDER), FOLDER)
