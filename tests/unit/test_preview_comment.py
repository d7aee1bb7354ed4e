"""The comment job's program, run without packages against an API like GitHub's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from slipway.preview.comment import AUTHOR, MARKER
from toolchain import paths

TOKEN = "harmless-stand-in"
COMMENTS = "/repos/ada/engine/issues/7/comments"


class Host(ThreadingHTTPServer):
    """Keeps comments and the requests that wrote them; pages have two comments."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.comments: list[dict[str, Any]] = []
        self.writes: list[str] = []
        self.status = 200
        self.target = ""

    def add(self, body: str, login: str = AUTHOR) -> None:
        number = 100 + len(self.comments)
        self.comments.append({"id": number, "user": {"login": login}, "body": body})

    @property
    def bodies(self) -> list[str]:
        return [comment["body"] for comment in self.comments]


class Handler(BaseHTTPRequestHandler):
    server: Host

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        assert path == COMMENTS
        assert "per_page=100" in query
        page = int(re.findall(r"\bpage=(\d+)", query)[0])
        more = len(self.server.comments) > 2 * page
        link = f'<http://nowhere.example/{page + 1}>; rel="next"' if more else ""
        self.answer(self.server.comments[2 * (page - 1) : 2 * page], link)

    def do_POST(self) -> None:
        assert self.path == COMMENTS
        self.server.add(self.given())
        self.server.writes.append("POST")
        self.answer({})

    def do_PATCH(self) -> None:
        number = int(self.path.removeprefix("/repos/ada/engine/issues/comments/"))
        self.server.comments[number - 100]["body"] = self.given()
        self.server.writes.append(f"PATCH {number}")
        self.answer({})

    def given(self) -> str:
        length = int(self.headers["Content-Length"])
        body: str = json.loads(self.rfile.read(length))["body"]
        return body

    def answer(self, content: Any, link: str = "") -> None:
        assert self.headers["Authorization"] == f"Bearer {TOKEN}"
        raw = json.dumps(content).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(raw)))
        if link:
            self.send_header("Link", link)
        if self.server.target:
            self.send_header("Location", self.server.target)
        self.end_headers()
        self.wfile.write(raw)


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return reported(tmp_path / "report", "### Restarts `employment`.")


def reported(folder: Path, text: str, *, changed: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "compare.md").write_text(f"{text}\n")
    (folder / "compare.json").write_text(json.dumps({"changed": changed}))
    return folder


def comment(
    host: Host, report: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """As the job runs it; without `site`, no installed package can be imported."""
    environment = {
        "PATH": os.environ["PATH"],
        "GITHUB_API_URL": f"http://127.0.0.1:{host.server_port}",
        "GITHUB_REPOSITORY": "ada/engine",
        "GITHUB_TOKEN": TOKEN,
    }
    return subprocess.run(
        [sys.executable, "-S", "-m", "slipway.preview.comment", "7", str(report)],
        cwd=paths.ROOT,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def done(host: Host, report: Path) -> str:
    ended = comment(host, report)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_its_own_comment_is_found_among_others_and_edited(
    host: Host, report: Path
) -> None:
    """On whatever page it is; another workflow's comment is the last one."""
    others = ["a person's", "coverage: 80 %"]
    host.add(others[0], login="ada")
    host.add(others[1])
    assert done(host, report) == "The comment is written."
    host.add("coverage: 81 %")
    later = reported(report, "### Replaces `employment`.")
    assert done(host, later) == "The comment is edited."
    assert host.bodies == [
        *others,
        f"{MARKER}\n### Replaces `employment`.\n",
        "coverage: 81 %",
    ]
    assert host.writes == ["POST", "PATCH 102"]


def test_the_same_report_writes_nothing(host: Host, report: Path) -> None:
    """Hosts may end lines in their own way."""
    host.add(f"{MARKER}\r\n### Restarts `employment`.")
    assert done(host, report) == "The comment says this already."
    assert host.writes == []


def test_no_comment_is_made_where_nothing_changes(host: Host, report: Path) -> None:
    """But an earlier report does not stay."""
    nothing = reported(report, "### Nothing changes.", changed=False)
    assert done(host, nothing) == "No comment: nothing changes."
    assert host.writes == []
    host.add(f"{MARKER}\n### Restarts `employment`.\n")
    assert done(host, nothing) == "The comment is edited."
    assert host.bodies == [f"{MARKER}\n### Nothing changes.\n"]


@pytest.mark.parametrize(
    ("body", "login"),
    [(f"{MARKER}\nmine", "ada"), (f"They write `{MARKER}` first.", AUTHOR)],
)
def test_what_only_has_the_marker_is_left_alone(
    host: Host, report: Path, body: str, login: str
) -> None:
    host.add(body, login)
    assert done(host, report) == "The comment is written."
    assert host.bodies[0] == body


def test_a_token_without_the_right_is_told_so(host: Host, report: Path) -> None:
    host.status = 403
    ended = comment(host, report)
    assert ended.returncode == 1
    assert ended.stderr == (
        "error: GET issues/7/comments?per_page=100&page=1: 403 Forbidden; "
        "the job needs `pull-requests: write`\n"
    )


def test_the_token_follows_no_redirect(host: Host, report: Path) -> None:
    host.status = 302
    host.target = f"http://127.0.0.1:{host.server_port}/elsewhere"
    ended = comment(host, report)
    assert ended.returncode == 1
    assert "page=1: 302 Found" in ended.stderr
    assert TOKEN not in ended.stderr


def test_a_host_that_does_not_answer_is_an_error(host: Host, report: Path) -> None:
    ended = comment(host, report, GITHUB_API_URL="http://127.0.0.1:9")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: GET issues/7/comments")
    assert "Traceback" not in ended.stderr


def test_a_lacking_variable_is_named(host: Host, report: Path) -> None:
    ended = comment(host, report, GITHUB_TOKEN="")
    assert ended.returncode == 2
    assert "GITHUB_TOKEN: one of these variables is empty" in ended.stderr
