"""What the reloader writes for Prometheus, and what it keeps from it."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from toolchain import packages, paths

GOOD = "groups: [{name: a, rules: [{record: 'a:b', expr: vector(1)}]}]\n"
BETTER = GOOD.replace("vector(1)", "vector(2)")
BROKEN = "groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]\n"


@pytest.fixture(scope="module")
def reloader() -> ModuleType:
    file = paths.ROOT / "images" / "prometheus" / "rules_reloader.py"
    spec = importlib.util.spec_from_file_location("rules_reloader", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["rules_reloader"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def promtool(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = packages.unpack(["promtool"], suite="trixie") / "usr" / "bin"
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "data": {key.replace("_", "."): text for key, text in data.items()},
    }


def rules(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.yaml")}


def test_files_are_named_after_their_config_map(reloader: ModuleType) -> None:
    found = reloader.wanted(
        [
            config_map("a", x_yaml=GOOD, notes_txt="no"),
            config_map("b", x_yaml=GOOD),
            {"metadata": {"name": "empty"}},
        ]
    )
    assert found == {"a--x.yaml": GOOD, "b--x.yaml": GOOD}


def test_a_full_disk_leaves_the_old_file_and_no_other(
    reloader: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloader.write(tmp_path / "a.yaml", GOOD)

    def full(path: Path, _: str) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        reloader.write(tmp_path / "a.yaml", BETTER)
    assert [it.name for it in tmp_path.iterdir()] == ["a.yaml"]
    assert (tmp_path / "a.yaml").read_text() == GOOD


def test_a_name_cannot_leave_the_folder(reloader: ModuleType) -> None:
    odd = {"metadata": {"name": "a"}, "data": {"../../etc/x.yaml": GOOD}}
    (name,) = reloader.wanted([odd])
    assert "/" not in name


@pytest.mark.programs
@pytest.mark.usefixtures("promtool")
def test_the_folder_follows_the_config_maps(
    reloader: ModuleType, tmp_path: Path
) -> None:
    assert reloader.synchronize(tmp_path, {"a.yaml": GOOD, "b.yaml": GOOD})
    assert not reloader.synchronize(tmp_path, {"a.yaml": GOOD, "b.yaml": GOOD})
    assert reloader.synchronize(tmp_path, {"a.yaml": BETTER})
    assert rules(tmp_path) == {"a.yaml": BETTER}


@pytest.mark.programs
@pytest.mark.usefixtures("promtool")
def test_a_broken_file_is_left_out_and_reported(
    reloader: ModuleType, tmp_path: Path
) -> None:
    reloader.synchronize(tmp_path, {"good.yaml": GOOD, "bad.yaml": BROKEN})
    found = rules(tmp_path)
    assert set(found) == {"good.yaml", reloader.REFUSED_FILE}
    told = json.loads(found[reloader.REFUSED_FILE])["groups"][0]["rules"]
    assert [r["labels"]["file"] for r in told] == ["bad.yaml"]
    assert not reloader.problem(tmp_path, found[reloader.REFUSED_FILE])
    assert reloader.synchronize(tmp_path, {"good.yaml": GOOD, "bad.yaml": BETTER})
    assert set(rules(tmp_path)) == {"good.yaml", "bad.yaml"}


@pytest.mark.programs
@pytest.mark.usefixtures("promtool")
def test_the_last_good_version_of_a_broken_file_stays(
    reloader: ModuleType, tmp_path: Path
) -> None:
    reloader.synchronize(tmp_path, {"a.yaml": GOOD})
    reloader.synchronize(tmp_path, {"a.yaml": BROKEN})
    assert rules(tmp_path)["a.yaml"] == GOOD
    assert reloader.REFUSED_FILE in rules(tmp_path)


@pytest.fixture
def prometheus() -> Iterator[tuple[str, list[str]]]:
    """A stand-in that refuses the first reload, as one that is starting does."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(503 if len(asked) == 1 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/-/reload", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_reload_is_asked_for_until_it_is_done(
    reloader: ModuleType, prometheus: tuple[str, list[str]]
) -> None:
    url, asked = prometheus
    assert reloader.reload(url)
    assert asked == ["/-/reload", "/-/reload"]


def test_a_prometheus_that_never_answers_does_not_hold_it(
    reloader: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloader, "RELOAD_ATTEMPTS", 1)
    assert not reloader.reload("http://127.0.0.1:1/-/reload")


class Watched:
    """Stands for the API server: a watch with these events, which must be closed."""

    def __init__(self, *kinds: str) -> None:
        self.kinds, self.seen, self.closed = kinds, 0, False

    def watch(self, *_: str) -> Generator[tuple[str, dict[str, Any]], None, None]:
        try:
            for kind in self.kinds:
                self.seen += 1
                yield kind, {}
        finally:
            self.closed = True


def test_a_bookmark_is_no_change(reloader: ModuleType) -> None:
    api = Watched("BOOKMARK", "MODIFIED", "DELETED")
    reloader.wait_for_change(api, "/x", "1", "a=b")
    assert (api.seen, api.closed) == (2, True)


def test_a_watch_without_changes_ends(reloader: ModuleType) -> None:
    api = Watched("BOOKMARK")
    reloader.wait_for_change(api, "/x", "1", "a=b")
    assert api.closed


def test_it_is_healthy_while_the_loop_turns(
    reloader: ModuleType, tmp_path: Path
) -> None:
    config = reloader.Config(namespace="n", folder=tmp_path)
    assert not reloader.healthy(config)
    heartbeat = tmp_path / reloader.HEARTBEAT
    heartbeat.touch()
    assert reloader.healthy(config)
    long_ago = time.time() - 3600
    os.utime(heartbeat, (long_ago, long_ago))
    assert not reloader.healthy(config)
