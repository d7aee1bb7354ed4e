"""Readiness, liveness and metrics of the agent over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from policy_agent.agent import Agent

TIMEOUT_SECONDS = 5.0


def metrics(agent: Agent) -> str:
    """Prometheus text."""
    rules = agent.ruleset
    families: list[tuple[str, str, str, dict[str, float]]] = [
        ("rules", "gauge", "Rules in force.", {"": rules.count}),
        ("pods", "gauge", "Pods' addresses on the node.", {"": len(rules.known)}),
        (
            "isolated_pods",
            "gauge",
            "Addresses that policies select.",
            {
                '{direction="ingress"}': len(rules.ingress),
                '{direction="egress"}': len(rules.egress),
            },
        ),
        (
            "last_apply_timestamp_seconds",
            "gauge",
            "When rules were applied last.",
            {"": agent.applied_at},
        ),
        ("applies_total", "counter", "Applied rules.", {"": agent.applications}),
        ("apply_seconds_total", "counter", "Time for it.", {"": agent.apply_seconds}),
        ("pending_seconds", "gauge", "Age of a change.", {"": agent.pending_seconds}),
        ("restored_total", "counter", "Lost tables.", {"": agent.restorations}),
        ("refused_total", "counter", "Refused pairs.", {"": agent.refusals}),
        (
            "errors_total",
            "counter",
            "Failures.",
            {f'{{what="{w}"}}': agent.errors[w] for w in ("api", "nft")},
        ),
    ]
    lines = []
    for name, kind, text, samples in families:
        full = f"policy_agent_{name}"
        lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
        lines += [f"{full}{labels} {value:.15g}" for labels, value in samples.items()]
    return "\n".join(lines) + "\n"


class Handler(BaseHTTPRequestHandler):
    """One request; the class made by `server` has the agent."""

    timeout = TIMEOUT_SECONDS
    agent: ClassVar[Agent]

    def do_GET(self) -> None:
        status, text = self._answer()
        content = text.encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self) -> tuple[HTTPStatus, str]:
        if self.path == "/metrics":
            return HTTPStatus.OK, metrics(self.agent)
        if self.path == "/readyz":
            problem = self.agent.problem()
            unready = HTTPStatus.SERVICE_UNAVAILABLE
            return (unready, problem) if problem else (HTTPStatus.OK, "in force")
        if self.path == "/livez":
            alive = self.agent.is_alive
            gone = HTTPStatus.INTERNAL_SERVER_ERROR
            return (HTTPStatus.OK, "alive") if alive else (gone, "the loop hangs")
        return HTTPStatus.NOT_FOUND, f"nothing at {self.path}"

    def log_message(self, *_: object) -> None:
        """Says nothing of probes and scrapes."""


def server(host: str, port: int, agent: Agent) -> ThreadingHTTPServer:
    handler = type("Handler", (Handler,), {"agent": agent})
    return ThreadingHTTPServer((host, port), handler)
