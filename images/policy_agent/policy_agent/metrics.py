"""The agent's metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from policy_agent.agent import Agent


class MetricsCollector(Collector):
    """Counted by the agent's loop, collected by the scrapes' threads."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def collect(self) -> Iterator[Metric]:
        agent, rules = self._agent, self._agent.ruleset
        yield _gauge("rules", "Rules in force.", rules.count)
        yield _gauge("pods", "Pods' addresses on the node.", len(rules.known))
        isolated = GaugeMetricFamily(
            "policy_agent_isolated_pods",
            "Pod addresses that policies select.",
            labels=["direction"],
        )
        isolated.add_metric(["ingress"], len(rules.ingress))
        isolated.add_metric(["egress"], len(rules.egress))
        yield isolated
        yield _gauge(
            "last_apply_timestamp_seconds",
            "Time at which rules were last applied.",
            agent.applied_at,
        )
        yield _counter("applies", "Times that rules were applied.", agent.applications)
        yield _counter("apply_seconds", "Time spent applying.", agent.apply_seconds)
        age = "Age of the oldest change that is not applied."
        yield _gauge("pending_seconds", age, agent.pending_seconds)
        yield _counter(
            "restored", "Lost tables that were restored.", agent.restorations
        )
        yield _counter("refused", "Refused pairs of addresses.", agent.refusals)
        errors = CounterMetricFamily(
            "policy_agent_errors", "Errors by source.", labels=["what"]
        )
        for what in ("api", "nft"):
            errors.add_metric([what], agent.errors[what])
        yield errors


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"policy_agent_{name}", text, value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"policy_agent_{name}", text, value)
