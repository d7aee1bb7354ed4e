"""A registry in memory, with the parts of the OCI distribution API that are used."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class FakeRegistry(ThreadingHTTPServer):
    """Blobs by digest, manifests by repository and tag; a log-in if one is set."""

    def __init__(self, login: str = "") -> None:
        """`login`: `basic` or `bearer`, for the user `ada` with the password `pw`."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.login = login
        self.redirects = False
        """Whether blobs are read from another host, as in the storage of a cloud."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


@contextmanager
def serving(login: str = "") -> Iterator[FakeRegistry]:
    with FakeRegistry(login) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: FakeRegistry

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _is_known(self) -> bool:
        given = self.headers.get("authorization", "")
        wanted = {
            "": given,
            "basic": "Basic " + base64.b64encode(b"ada:pw").decode(),
            "bearer": "Bearer of-ada",
        }[self.server.login]
        if given == wanted:
            return True
        realm = f'realm="http://{self.server.address}/token",service="fake"'
        self._answer(401, www_authenticate=f"{self.server.login.title()} {realm}")
        return False

    def _token(self) -> None:
        basic = "Basic " + base64.b64encode(b"ada:pw").decode()
        is_ada = self.headers.get("authorization") == basic
        token = "of-ada" if is_ada else "of-nobody"
        self._answer(200, json.dumps({"token": token}).encode())

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.asked.append(f"{self.command} {path}")
        if path == "/token":
            self._token()
        elif path.startswith("/storage/"):
            stored = self.server.blobs[path.rpartition("/")[2]]
            # Storage refuses requests that bring a log-in of their own.
            self._answer(400 if "authorization" in self.headers else 200, stored)
        elif self._is_known():
            held = self.server.blobs | self.server.manifests
            key = path.rpartition("/")[2] if "/blobs/" in path else path
            content = held.get(key)
            if self.server.redirects and key in self.server.blobs:
                at = f"http://localhost:{self.server.server_port}/storage/{key}"
                self._answer(307, location=at)
                return
            self._answer(404 if content is None else 200, content or b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        if self._is_known():
            self._answer(202, location="/upload?state=1")

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        if not self._is_known():
            return
        url = urlsplit(self.path)
        if url.path == "/upload":
            digest = parse_qs(url.query)["digest"][0]
            assert digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
            self.server.blobs[digest] = content
        else:
            named = json.loads(content)
            for blob in (named["config"], *named["layers"]):
                assert blob["digest"] in self.server.blobs, "registries ask for it"
            self.server.manifests[url.path] = content
        self._answer(201)

    def log_message(self, *_: object) -> None:
        """Says nothing."""
