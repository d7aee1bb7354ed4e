"""The process that weighs a model: what is said when it ends before its answer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from slipway.optimize import memory
from toolchain.errors import OperatorError


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo Traceback >&2; echo 'ModelError: no graph' >&2; exit 1", "no graph"),
        ("kill -KILL $$", "signal 9"),
        ("exit 3", "exit status 3"),
    ],
)
def test_a_process_that_ends_early_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(OperatorError) as caught:
        memory.resident_mib(tmp_path, "onnxruntime")
    assert f"the memory of {tmp_path} could not be measured" in str(caught.value)
    assert said in str(caught.value)
    assert "Traceback" not in str(caught.value)
