"""A model registry with the shapes of MLflow 3.17.2, on loopback.

The answers, also those with errors, are as the real server gave them; the opt-in test
tests/server/test_mlflow.py runs the same commands against it.
"""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

API = "/api/2.0/mlflow/"
UNAUTHENTICATED = (
    "You are not authenticated. Please see "
    "https://www.mlflow.org/docs/latest/auth/index.html#authenticating-to-mlflow "
    "on how to authenticate."
)
Answer = tuple[int, str, dict[str, str]]
"""Status, body, headers."""


@dataclass
class MlflowRegistry:
    """One registered model, its versions' tags by number, and its aliases."""

    name: str = "employment"
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    """What `authorization` must be, by the user's permission; anyone if empty."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """What is answered instead, by path below the API."""
    page: int = 1000
    """Versions on one page, should the caller ask for more."""
    is_silent: bool = False
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.has_ended = threading.Event()
        handler = type("Handler", (_Handler,), {"registry": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.has_ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def changes(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [it for it in self.asked if it[0] != "GET"]

    def of(self, number: str) -> dict[str, Any]:
        found: dict[str, Any] = {"name": self.name, "version": number, "run_id": ""}
        if tags := self.tags[number]:
            found["tags"] = [{"key": k, "value": v} for k, v in tags.items()]
        return found

    def answer(self, method: str, path: str, given: dict[str, Any]) -> Answer:
        if path in self.answers:
            return self.answers[path]
        if given.get("name", self.name) != self.name:
            return _missing(f"Registered Model with name={given['name']} not found")
        number = given.get("version", "")
        if number and number not in self.tags:
            what = f"Model Version (name={self.name}, version={number})"
            return _missing(f"{what} not found")
        return _said(self._content(method, path, given))

    def _content(
        self, method: str, path: str, given: dict[str, Any]
    ) -> dict[str, Any] | None:
        match method, path:
            case "GET", "registered-models/get":
                found: dict[str, Any] = {"name": self.name}
                if self.aliases:
                    found["aliases"] = [
                        {"alias": k, "version": v} for k, v in self.aliases.items()
                    ]
                return {"registered_model": found}
            case "GET", "model-versions/get":
                named = [k for k, v in self.aliases.items() if v == given["version"]]
                return {"model_version": self.of(given["version"]) | {"aliases": named}}
            case "GET", "model-versions/search":
                return self._page(given)
            case "POST", "registered-models/alias":
                self.aliases[given["alias"]] = given["version"]
            case "DELETE", "registered-models/alias":
                self.aliases.pop(given["alias"], None)
            case "POST", "model-versions/set-tag":
                self.tags[given["version"]][given["key"]] = given["value"]
            case _:
                return None
        return {}

    def _page(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["filter"] != f"name='{self.name}'":
            return {}
        size = min(int(given["max_results"]), self.page)
        offset = int(given.get("page_token", "0"))
        numbers = list(reversed(self.tags))[offset : offset + size]
        found: dict[str, Any] = {"model_versions": [self.of(it) for it in numbers]}
        if offset + size < len(self.tags):
            found["next_page_token"] = str(offset + size)
        return found if numbers else {}

    def refusal(self, method: str, path: str, authorization: str) -> Answer | None:
        """What basic-auth says to a user who may not."""
        if not self.users:
            return None
        mine = [it for it, header in self.users.items() if header == authorization]
        if not mine:
            challenge = {"WWW-Authenticate": 'Basic realm="mlflow"'}
            return 401, UNAUTHENTICATED, challenge
        needed = {"GET": "READ", "POST": "EDIT", "DELETE": "MANAGE"}[method]
        order = ("READ", "EDIT", "MANAGE")
        if order.index(mine[0]) >= order.index(needed):
            return None
        return 403, "Permission denied", {}


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _said(content: dict[str, Any] | None) -> Answer:
    if content is None:
        return 404, "<!doctype html>\n<title>404 Not Found</title>\n", {}
    return 200, json.dumps(content), {}


def _missing(message: str) -> Answer:
    content = {
        "error_code": "RESOURCE_DOES_NOT_EXIST",
        "message": message,
        "sqlstate": "KAM00",
        "error_class": "RESOURCE_NOT_FOUND",
    }
    return 404, json.dumps(content), {}


class _Handler(BaseHTTPRequestHandler):
    registry: MlflowRegistry
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self._answer({key: texts[0] for key, texts in query.items()})

    def do_POST(self) -> None:
        self._answer(self._body())

    def do_DELETE(self) -> None:
        self._answer(self._body())

    def _body(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/json"
        found = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert isinstance(found, dict)
        return found

    def _answer(self, given: dict[str, Any]) -> None:
        if self.registry.is_silent:
            self.registry.has_ended.wait(30)
            self.close_connection = True
            return
        path = urlsplit(self.path).path
        assert path.startswith(API), path
        path = path.removeprefix(API)
        self.registry.asked.append((self.command, path, given))
        authorization = self.headers.get("authorization", "")
        status, body, headers = self.registry.refusal(
            self.command, path, authorization
        ) or self.registry.answer(self.command, path, given)
        self.send_response(status)
        for name, value in ({"content-type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())
