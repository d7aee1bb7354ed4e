"""Readiness, liveness and metrics of the agent over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from prometheus_client import generate_latest

from policy_agent.agent import Agent
from policy_agent.figures import Figures

TIMEOUT_SECONDS = 5.0


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
            return HTTPStatus.OK, generate_latest(Figures(self.agent)).decode()
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
