"""A scan: what is asked of the database, and what is said when it does not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from slipway import cli as whole
from slipway import sbom
from slipway.images import cli, dpkg, vulnerabilities
from slipway.sbom import Part

STATUS = (
    "Package: libc6\nStatus: install ok installed\nSource: glibc\nVersion: 2.36\n"
    "Architecture: amd64\n"
)
DOCUMENT = sbom.document(
    Part("waker", "1", kind="container"),
    [
        *dpkg.installed(STATUS, "bookworm"),
        Part("httpx", "0.28.1", sbom.pypi("httpx", "0.28.1")),
        Part("k8s.io/api", "v0.36.1", sbom.golang("k8s.io/api", "v0.36.1")),
        Part("employment", "1", kind="machine-learning-model"),
    ],
)


class Osv(BaseHTTPRequestHandler):
    """Knows vulnerabilities by ecosystem and package; gives one id a page."""

    known: dict[str, list[str]]
    asked: list[dict[str, Any]]
    short: bool

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.extend(body["queries"])
        results = [self._result(query) for query in body["queries"]]
        self.send_response(200 if self.path == "/v1/querybatch" else 404)
        self.end_headers()
        given = results[1:] if self.short else results
        self.wfile.write(json.dumps({"results": given}).encode())

    def _result(self, query: dict[str, Any]) -> dict[str, Any]:
        package = query["package"]
        ids = self.known.get(f"{package['ecosystem']}/{package['name']}", [])
        page = int(query.get("page_token", 0))
        found: dict[str, Any] = {"vulns": [{"id": it} for it in ids[page : page + 1]]}
        if page + 1 < len(ids):
            found["next_page_token"] = str(page + 1)
        return found if ids else {}

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def database() -> Iterator[str]:
    Osv.known, Osv.asked, Osv.short = {}, [], False
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_each_part_is_asked_for_as_its_ecosystem_knows_it(database: str) -> None:
    Osv.known = {"Debian:12/glibc": ["CVE-2", "CVE-1"]}
    found = vulnerabilities.scan(DOCUMENT, f"{database}/")
    assert (found.asked, found.not_asked) == (3, 1)
    (libc,) = found.affected
    assert (libc.name, libc.version, libc.ids) == ("libc6", "2.36", ("CVE-1", "CVE-2"))
    first = {q["package"]["ecosystem"]: q for q in Osv.asked if "page_token" not in q}
    assert {key: q["version"] for key, q in first.items()} == {
        "Debian:12": "2.36",
        "PyPI": "0.28.1",
        "Go": "0.36.1",
    }


def test_a_database_that_does_not_answer_is_no_clean_result() -> None:
    with pytest.raises(vulnerabilities.NoDatabaseError, match="nothing was scanned"):
        vulnerabilities.scan(DOCUMENT, "http://127.0.0.1:9")


def test_an_answer_that_is_too_short_is_no_clean_result(database: str) -> None:
    Osv.short = True
    with pytest.raises(vulnerabilities.NoDatabaseError, match="2 of 3 questions"):
        vulnerabilities.scan(DOCUMENT, database)


def test_the_command_lists_and_fails(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "waker.cdx.json"
    file.write_text(DOCUMENT)
    commands = "slipway.images.supply_commands"
    monkeypatch.setattr(f"{commands}.bill_of_materials", lambda *_: file)
    monkeypatch.setattr(f"{commands}._means", lambda _: None)
    words = ["scan", "waker", "--database", database]
    clean = CliRunner().invoke(cli.command, words)
    assert clean.exit_code == 0, clean.output
    assert "0 of 3 packages have known vulnerabilities; 1 parts" in clean.output
    Osv.known = {"PyPI/httpx": ["GHSA-x"]}
    affected = CliRunner().invoke(cli.command, words)
    assert affected.exit_code == 1
    assert "waker: httpx 0.28.1: GHSA-x" in affected.output
    silent = [*words[:-1], "http://127.0.0.1:9"]
    unknown = CliRunner().invoke(whole.cli, ["images", *silent])
    assert unknown.exit_code == 2
    assert "nothing was scanned" in unknown.output
