"""The replay of `make demo-drift` against a model server of this machine.

6,000 rows of each year and no pause between days: about three minutes, of which half
are the times that alerts take to fire. Only the server differs from the lab.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from slipway import images
from tests.support.model_server import ModelServer
from toolchain import paths

ROWS = 6_000
SECONDS = 540


@pytest.mark.programs
def test_figures_and_alerts_of_the_replay_are_as_expected(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "employment").symlink_to(images.model_folder("employment"))
    (tmp_path / "log").mkdir()
    with ModelServer(models, tmp_path / "log") as server:
        words = ["--replay", "--url", server.url, "--rows", str(ROWS)]
        done = subprocess.run(
            [sys.executable, "-m", "examples.demo_drift", *words, "--day-seconds", "0"],
            cwd=paths.ROOT,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "replay: all as expected" in said
    # 3 years and 15 days of a fault and its repair.
    assert f"{3 * ROWS + ROWS // 2:,} rows" in said
    for alert in ("ModelDataDrift (feature=AGEP)", "ModelConceptDrift"):
        assert alert in said
    assert "retraining requested for" in said
