"""The processes that render the sides of a comparison, and how they end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from slipway.preview import child, rendering
from slipway.preview.rendering import RenderError
from slipway.preview.sides import Side

RENDERER = """
import os, time
os.fork()
time.sleep(30)
"""
"""A renderer with a fork that has its standard error, too."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "renderer.py"
    program.write_text(RENDERER)
    monkeypatch.setattr(child, "__file__", str(program))
    return tmp_path


def render(*sides: Path) -> None:
    pairs = [(Side("head", folder), ["models.dev"]) for folder in sides]
    work = sides[0] / "work"
    rendering.render(pairs, [sides[0] / "images.lock"] * len(sides), work)


def test_forks_of_a_renderer_that_takes_too_long_end_with_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "LIMIT_SECONDS", 2)
    began = time.monotonic()
    with pytest.raises(RenderError, match="not rendered in 2 s"):
        render(folder)
    assert time.monotonic() - began < 20


def test_a_side_that_does_not_start_leaves_no_other_running(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    before = rendering._start

    def start(*words: Any) -> Any:
        if started:
            raise OSError("no such folder")
        started.append(before(*words))
        return started[0]

    monkeypatch.setattr(rendering, "_start", start)
    with pytest.raises(OSError, match="no such folder"):
        render(folder, folder)
    assert started[0].returncode is not None
