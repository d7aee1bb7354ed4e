"""The calls of Pulumi's analyzer protocol, answered by the rules.

https://github.com/pulumi/pulumi/blob/v3.259.0/proto/pulumi/analyzer.proto. The engine
calls ConfigureStack, GetAnalyzerInfo and Configure in this order, then Remediate and
Analyze for each resource before it is made, and AnalyzeStack at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2 as proto
from pulumi.runtime.proto import analyzer_pb2_grpc, plugin_pb2

from components.security.rules import Rule
from slipway.engine.pulumi_cli import slipway_version
from slipway.policy.evaluation import Evaluator
from slipway.policy.objects import PARTS
from slipway.policy_pack import resources, stack_context
from slipway.policy_pack.judging import Judge, Outcome
from slipway.policy_pack.resources import Seen
from slipway.policy_pack.stack_context import StackContext

NAME = "slipway"
HIDDEN = "[secret]"
IDS = ("id", "bucket")
"""Outputs by which parts name their whole where no dependency says so."""
SEVERITY = {
    "error": proto.POLICY_SEVERITY_HIGH,
    "warning": proto.POLICY_SEVERITY_LOW,
}


class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):
    """The rules as policies of one run of the engine."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._version = slipway_version()
        self._seen: dict[str, Seen] = {}
        self._begin(StackContext(environment="", production=False))

    def Handshake(self, request: Any, _: Any) -> Any:  # noqa: ARG002, N802
        return proto.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request: Any, _: Any) -> Any:  # noqa: ARG002, N802
        return plugin_pb2.PluginInfo(version=self._version)

    def ConfigureStack(self, request: Any, _: Any) -> Any:  # noqa: N802
        """What holds depends on the stack: its environment, and whether production."""
        self._begin(
            stack_context.of(request.project, request.stack, dict(request.config))
        )
        return proto.AnalyzerStackConfigureResponse()

    def GetAnalyzerInfo(self, request: Any, _: Any) -> Any:  # noqa: ARG002, N802
        return proto.AnalyzerInfo(
            name=NAME,
            displayName="Slipway",
            version=self._version,
            supportsConfig=True,
            policies=[self._policy(rule) for rule in self._rules],
        )

    def Configure(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Levels that the user's --policy-pack-config sets, and ours for all others."""
        for name, given in request.policyConfig.items():
            self._levels[name] = given.enforcementLevel
        return empty_pb2.Empty()

    def Remediate(self, request: Any, _: Any) -> Any:  # noqa: ARG002, N802
        """No rule corrects what it finds."""
        return proto.RemediateResponse()

    def Analyze(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Evaluate rules on a resource's inputs, before it is created."""
        if not self._judge.sees(resources.kind(request.type)):
            return proto.AnalyzeResponse()
        one = resources.seen(request)
        self._seen[request.urn] = one
        return self._response(self._judge.resource(one))

    def AnalyzeStack(self, request: Any, _: Any) -> Any:  # noqa: N802
        """What they say of resources beside others, by the inputs that Analyze saw.

        The engine sends outputs here, with all that APIs fill in.
        """
        there = [it for it in request.resources if it.urn in self._seen]
        others = {it.urn: self._seen[it.urn] for it in there}
        for it in there:
            if self._seen[it.urn].kind not in PARTS.values():
                continue  # a part may have the id of its whole
            fields = it.properties.fields
            names = [fields[key].string_value for key in IDS if key in fields]
            others |= {name: self._seen[it.urn] for name in names if name}
        every = [
            resources.linked(self._seen[it.urn], _depends(it), others) for it in there
        ]
        return self._response(self._judge.stack(every))

    def Cancel(self, request: Any, _: Any) -> Any:  # noqa: ARG002, N802
        """Do nothing: no work is in progress between two calls."""
        return empty_pb2.Empty()

    def _begin(self, where: StackContext) -> None:
        today = datetime.now(tz=UTC).date()
        self._judge = Judge(self._evaluator, where, today)
        self._rules = list(self._evaluator.rules.rules.values())
        self._levels = {rule.id: level(rule, where) for rule in self._rules}

    def _policy(self, rule: Rule) -> Any:
        of_one = rule.by_itself
        return proto.PolicyInfo(
            name=rule.id,
            displayName=rule.message,
            description=rule.why,
            message=rule.message,
            remediation_steps=rule.fix,
            enforcementLevel=self._levels[rule.id],
            severity=SEVERITY[rule.severity],
            policy_type=(
                proto.POLICY_TYPE_RESOURCE if of_one else proto.POLICY_TYPE_STACK
            ),
        )

    def _response(self, found: Iterable[Outcome]) -> Any:
        hidden = {text for one in self._seen.values() for text in one.secrets}
        answer = proto.AnalyzeResponse()
        for outcome in found:
            name = outcome.rule.id
            if self._levels[name] == proto.DISABLED:
                continue
            if outcome.skipped:
                reason = f"{outcome.name}: {outcome.skipped}"
                answer.not_applicable.add(policy_name=name, reason=reason)
            else:
                answer.diagnostics.append(self._diagnostic(outcome, hidden))
        return answer

    def _diagnostic(self, outcome: Outcome, hidden: Iterable[str]) -> Any:
        rule = outcome.rule
        wrong = ", ".join(outcome.wrong)
        for text in sorted(filter(None, hidden), key=len, reverse=True):
            wrong = wrong.replace(text, HIDDEN)
        return proto.AnalyzeDiagnostic(
            policyName=rule.id,
            policyPackName=NAME,
            policyPackVersion=self._version,
            description=rule.message,
            message=f"{outcome.name}: {wrong}. {rule.why} {rule.fix}",
            enforcementLevel=self._levels[rule.id],
            severity=SEVERITY[rule.severity],
            urn=outcome.urn,
        )


def level(rule: Rule, where: StackContext) -> Any:
    """How the engine enforces a rule: as `slipway check` does for its exit status."""
    if rule.production_only and not where.production:
        return proto.DISABLED
    is_error = rule.severity == "error" and where.production
    return proto.MANDATORY if is_error else proto.ADVISORY


def _depends(resource: Any) -> dict[str, tuple[str, ...]]:
    """URNs of what each input was made of."""
    found = resource.propertyDependencies.items()
    return {key: tuple(value.urns) for key, value in found}
