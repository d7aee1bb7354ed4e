"""go.sum files against a checksum database on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import publishers
from tests.support.publishers import Publishers
from toolchain import builds, checksums

LINES = {
    ("example.com/Some/module", "v1.2.0"): "h1:AAAA=",
    ("example.com/other", "v0.1.0"): "h1:BBBB=",
}


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publishers]:
    """Has each line of two groups' go.sum."""
    for group in ("one", "two"):
        (tmp_path / group).mkdir()
        text = "".join(f"{m} {v} {digest}\n" for (m, v), digest in LINES.items())
        (tmp_path / group / "go.sum").write_text(text)
    monkeypatch.setattr(builds, "SOURCES", tmp_path)
    with publishers.serve() as found:
        monkeypatch.setattr(checksums, "database", lambda: f"{found.address}/sumdb")
        for (module, version), digest in LINES.items():
            path = module.replace("Some", "!some")
            content = f"17\n{module} {version} {digest}\n\ntree\n".encode()
            found.publish(f"sumdb/lookup/{path}@{version}", content)
        yield found


def test_all_are_in_the_database(
    database: Publishers, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checksums.main() == 0
    assert capsys.readouterr().out == "2 module versions, 2 as in go.sum\n"


def test_another_digest_and_a_missing_entry_are_shown(
    database: Publishers, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "example.com/Some/module v1.2.0 h1:AAAA="
    first, second = database.files
    database.files[first] = database.files[first].replace(b"AAAA", b"CCCC")
    del database.files[second]
    assert checksums.main() == 1
    assert capsys.readouterr().err.splitlines() == [
        f"example.com/Some/module v1.2.0: the database has not: {line}",
        "example.com/other v0.1.0: no entry (404)",
    ]


@pytest.mark.programs
@pytest.mark.parametrize(
    ("proxy", "database", "expected"),
    [
        (
            "https://a.example/|direct",
            "sum.example",
            "https://a.example/sumdb/sum.example",
        ),
        ("https://a.example,off", "s.example+key", "https://a.example/sumdb/s.example"),
        ("https://a.example", "s.example+key https://x.example/", "https://x.example"),
    ],
)
def test_the_database_is_asked_by_way_of_the_proxy(
    monkeypatch: pytest.MonkeyPatch, proxy: str, database: str, expected: str
) -> None:
    monkeypatch.setenv("GOPROXY", proxy)
    monkeypatch.setenv("GOSUMDB", database)
    assert checksums.database() == expected


@pytest.mark.programs
@pytest.mark.parametrize(
    ("proxy", "database"), [("direct", "sum.example"), ("https://a.example", "off")]
)
def test_without_a_database_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    proxy: str,
    database: str,
) -> None:
    monkeypatch.setenv("GOPROXY", proxy)
    monkeypatch.setenv("GOSUMDB", database)
    assert checksums.main() == 1
    assert "error: no checksum database can be asked" in capsys.readouterr().err
