"""Publishers of programs on loopback, behind one mirror: files, images, and faults."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from toolchain import downloads

TOKEN = "a-token-for-everybody"
DRIP_SECONDS = 0.05


@dataclass
class Publishers:
    """What is published, by `host/path`, and what goes wrong with it."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    cut_off: dict[str, int] = field(default_factory=dict)
    """How many of the next answers end in the middle."""
    silent: set[str] = field(default_factory=set)
    """No answer, though the connection stands."""
    slow: set[str] = field(default_factory=set)
    """A byte now and then."""
    moved: dict[str, str] = field(default_factory=dict)
    """Redirected to another path."""
    locked: set[str] = field(default_factory=set)
    """Hosts that want `TOKEN`."""
    asked: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def publish(self, url: str, content: bytes) -> None:
        self.files[url.removeprefix("https://")] = content

    def publish_image(self, reference: str, programs: Mapping[str, bytes]) -> str:
        """Publishes an image for this architecture; its reference with the digest."""
        name, _, tag = reference.rpartition(":")
        registry, _, repository = name.partition("/")
        host = downloads.HOSTS_OF_REGISTRIES.get(registry, registry)
        base = f"https://{host}/v2/{repository}"
        layers = [tar({"etc/os-release": b"ID=none\n"}), tar(programs)]
        for layer in layers:
            self.publish(f"{base}/blobs/{digest(layer)}", layer)
        manifest = json.dumps(
            {
                "mediaType": downloads.MANIFESTS[0],
                "layers": [{"digest": digest(layer)} for layer in layers],
            }
        ).encode()
        other = json.dumps({"layers": []}).encode()
        index = json.dumps(
            {
                "mediaType": downloads.INDEXES[0],
                "manifests": [
                    _entry(other, "s390x"),
                    _entry(manifest, downloads.architecture()),
                ],
            }
        ).encode()
        for content in (manifest, other, index):
            self.publish(f"{base}/manifests/{digest(content)}", content)
        return f"{name}:{tag}@{digest(index)}"


def _entry(manifest: bytes, architecture: str) -> dict[str, object]:
    platform = {"os": "linux", "architecture": architecture}
    return {"digest": digest(manifest), "platform": platform}


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def tar(files: Mapping[str, bytes]) -> bytes:
    """A compressed tar archive with those files, all of them executable."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(made.getvalue(), mtime=0)


class _Handler(BaseHTTPRequestHandler):
    of: Publishers

    def do_GET(self) -> None:
        path = self.path.removeprefix("/")
        self.of.asked.append(path)
        host, _, rest = path.partition("/")
        if rest.startswith("token?"):
            self._answer(json.dumps({"token": TOKEN}).encode())
        elif host in self.of.locked and not self._has_token():
            words = f'realm="https://{host}/token",service="{host}",scope="pull"'
            self._answer(b"", 401, {"WWW-Authenticate": f"Bearer {words}"})
        elif path in self.of.silent:
            self.of.ended.wait(30)
        elif path in self.of.moved:
            to = f"{self.of.address}/{self.of.moved[path]}"
            self._answer(b"", 302, {"Location": to})
        elif path in self.of.files:
            self._serve(path, self.of.files[path])
        else:
            self._answer(b"no such file", 404)

    def _has_token(self) -> bool:
        return self.headers["Authorization"] == f"Bearer {TOKEN}"

    def _serve(self, path: str, content: bytes) -> None:
        if self.of.cut_off.get(path):
            self.of.cut_off[path] -= 1
            self._answer(content, sent=len(content) // 2)
        elif path in self.of.slow:
            self._answer(content, sent=0)
            for place in range(len(content)):
                if self.of.ended.wait(DRIP_SECONDS):
                    return
                self.wfile.write(content[place : place + 1])
        else:
            self._answer(content)

    def _answer(
        self,
        content: bytes,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        sent: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if sent is None else content[:sent])

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        # Who asked may have gone away.
        with suppress(BrokenPipeError, ConnectionResetError):
            super().handle()


@contextmanager
def serve() -> Iterator[Publishers]:
    """Serves while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    found = Publishers(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = type("Handler", (_Handler,), {"of": found})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
