"""Readiness, liveness and metrics of the agent over HTTP."""

from __future__ import annotations

from http import HTTPStatus

from prometheus_client import generate_latest

from pod_parts.web import Server
from policy_agent.agent import Agent
from policy_agent.metrics import MetricsCollector


def server(host: str, port: int, agent: Agent) -> Server:
    def pages(path: str) -> tuple[HTTPStatus, str]:
        if path == "/metrics":
            return HTTPStatus.OK, generate_latest(MetricsCollector(agent)).decode()
        if path == "/readyz":
            problem = agent.problem()
            unready = HTTPStatus.SERVICE_UNAVAILABLE
            return (unready, problem) if problem else (HTTPStatus.OK, "in force")
        if path == "/livez":
            if agent.is_alive:
                return HTTPStatus.OK, "alive"
            return HTTPStatus.INTERNAL_SERVER_ERROR, "the loop hangs"
        return HTTPStatus.NOT_FOUND, f"nothing at {path}"

    return Server(host, port, pages)
