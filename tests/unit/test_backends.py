"""Backends of the user's own: folders by a relative path, states of other forms."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.engine import workspace
from slipway.engine.sessions import Session
from toolchain import paths

STACK = "models.mine"
EXPORTED = {"version": 3, "deployment": {"resources": []}}
KEPT = {"version": 3, "checkpoint": {"latest": {"resources": [{"type": "a:b:C"}]}}}


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}/backend")
    folder = tmp_path / "backend"
    folder.mkdir()
    return folder


@pytest.fixture
def file(backend: Path) -> Path:
    """Where the state of the stack is, if it is not compressed."""
    found = workspace.state_file(STACK, paths.ROOT)
    assert found is not None
    found.parent.mkdir(parents=True)
    return found


@pytest.mark.parametrize("given", ["file://./states", "file://states"])
def test_a_relative_folder_is_one_of_the_callers(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine runs elsewhere, and would look for it there."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", given)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    monkeypatch.chdir(tmp_path)
    url = workspace.environment()["PULUMI_BACKEND_URL"]
    assert Path(url.removeprefix("file://")).samefile(tmp_path / "states")
    assert url.startswith(f"file://{tmp_path}/")
    assert workspace.backend_folder() == tmp_path / "states"


@pytest.mark.parametrize(
    "given", ["file:///srv/state?no_tmp_dir=true", "file://~/states", "s3://states?a=b"]
)
def test_any_other_backend_is_as_it_is_given(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", given)
    assert workspace.backend_url() == given


def test_a_compressed_state_may_have_pending_operations(file: Path) -> None:
    """PULUMI_DIY_BACKEND_GZIP: only the engine reads it."""
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(b"{}"))
    assert workspace.may_have_pending(STACK, paths.ROOT)
    file.write_text(json.dumps(KEPT))
    assert not workspace.may_have_pending(STACK, paths.ROOT)


def session(file: Path) -> Session:
    """One whose CLI exports EXPORTED."""
    said = SimpleNamespace(stdout=json.dumps(EXPORTED))
    command = SimpleNamespace(run=lambda *_, **__: said)
    stack: Any = SimpleNamespace(workspace=SimpleNamespace(pulumi_command=command))
    return Session(STACK, stack, file.parent, {}, file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"{}",
        b'{"version": 4, "features": ["refreshBeforeUpdate"]}',
        b'{"version": 3}',
        b'{"version": 3, "checkpoint": null}',
        # Without a time: all processes must collect tests of the same names.
        gzip.compress(json.dumps(KEPT).encode(), mtime=0),
    ],
)
def test_a_state_of_another_form_is_read_by_the_cli(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    assert session(file).state() == EXPORTED
    file.write_text(json.dumps(KEPT))
    assert session(file).resources() == [{"type": "a:b:C"}]
