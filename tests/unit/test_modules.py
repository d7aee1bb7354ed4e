"""Go modules from a proxy on loopback, checked as Go checks them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from toolchain import modules

MODULE, VERSION = "example.com/Some/module", "v1.2.3-Beta"
ESCAPED = "example.com/!some/module/@v/v1.2.3-!beta"
FILES = {"go.mod": f"module {MODULE}\n", "b/Z.txt": "z", "b/a.txt": "", "LICENSE": "-"}
HASH = "h1:RASO3Q6/6ezVcWn9lDavMGMoXM+aai5W4cTvFcVIj/c="
"""As `go mod download` writes it into go.sum (Go 1.26)."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A proxy's folder with one module."""
    base = tmp_path / "proxy" / ESCAPED
    base.parent.mkdir(parents=True)
    with zipfile.ZipFile(f"{base}.zip", "w") as archive:
        for name, content in FILES.items():
            archive.writestr(f"{MODULE}@{VERSION}/{name}", content)
    Path(f"{base}.mod").write_text(FILES["go.mod"])
    Path(f"{base}.info").write_text(json.dumps({"Version": VERSION}))
    return tmp_path / "proxy"


@pytest.fixture
def proxy(published: Path) -> Iterator[str]:
    handler = partial(Quiet, directory=published)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def sums(folder: Path, digest: str = HASH) -> Path:
    file = folder / "go.sum"
    file.write_text(f"{MODULE} {VERSION}/go.mod h1:x\n{MODULE} {VERSION} {digest}\n")
    return file


@pytest.mark.programs
@pytest.mark.skipif(not shutil.which("go"), reason="go computes the hash")
def test_the_hash_is_what_go_computes(published: Path, tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module m\n")
    shown = subprocess.run(
        ["go", "mod", "download", "-json", "-modcacherw", f"{MODULE}@{VERSION}"],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "GOPROXY": f"file://{published}",
            "GOMODCACHE": str(tmp_path / "cache"),
            "GOPATH": str(tmp_path / "path"),
            "GOCACHE": str(tmp_path / "build"),
            "GONOSUMDB": "*",
            "GOFLAGS": "-mod=mod",
            "GOTOOLCHAIN": "local",
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(shown)["Sum"] == HASH


def test_a_module_is_unpacked_if_it_is_as_in_go_sum(
    proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", f"http://127.0.0.1:9|{proxy}/,direct")
    target = tmp_path / "target"
    target.mkdir()
    folder = modules.fetch(MODULE, VERSION, sums(tmp_path), target)
    assert {name: (folder / name).read_text() for name in FILES} == FILES
    assert list(target.glob("*.zip")) == []


def test_another_content_is_not_unpacked(
    proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", proxy)
    target = tmp_path / "target"
    target.mkdir()
    wrong = sums(tmp_path, "h1:another")
    with pytest.raises(modules.ModuleError, match=r"has h1:another; not used"):
        modules.fetch(MODULE, VERSION, wrong, target)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("off", "GOPROXY names no module proxy"),
        ("", "GOPROXY names no module proxy"),
        ("http://127.0.0.1:9", r"127.0.0.1:9/example.com/!some/.*refused"),
    ],
)
def test_without_a_proxy_the_reason_is_named(
    setting: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", setting)
    with pytest.raises(modules.ModuleError, match=reason):
        modules.fetch(MODULE, VERSION, sums(tmp_path), tmp_path)


def test_a_version_that_go_sum_does_not_have_is_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(modules.ModuleError, match=r"go.sum has no hash of .* v9.9.9"):
        modules.fetch(MODULE, "v9.9.9", sums(tmp_path), tmp_path)
