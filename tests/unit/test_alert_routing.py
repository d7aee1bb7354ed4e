"""The routing example of docs/how-to/monitoring.md, by Alertmanager's own amtool."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.test_model_monitor import ALERTS
from toolchain import packages, paths

pytestmark = pytest.mark.programs
PAGE = (paths.ROOT / "docs" / "how-to" / "monitoring.md").read_text()
TO_OWNERS = {
    *("ModelQualityLow", "ModelDataDrift", "ModelPredictionDrift"),
    *("ModelConceptDrift", "ModelDataQualityViolation", "ModelAttributionDrift"),
    *("ModelAttributionsMissing", "ModelFairnessOutsideLimits"),
    *("ModelLabelCoverageLow", "ModelReviewOverdue", "ModelRevisionUnapproved"),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    section = PAGE.partition("## Route alerts\n")[2].partition("\n## ")[0]
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    written = tmp_path_factory.mktemp("routing") / "alertmanager.yaml"
    written.write_text(shown)
    return written


def amtool(*words: str | Path) -> str:
    unpacked = packages.unpack(["prometheus-alertmanager"], suite="trixie")
    done = subprocess.run(
        [unpacked / "usr" / "bin" / "amtool", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_alertmanager_takes_the_example(file: Path) -> None:
    assert "SUCCESS" in amtool("check-config", file)


def receiver(file: Path, name: str, severity: str) -> str:
    labels = [f"alertname={name}", f"severity={severity}", "namespace=models"]
    return amtool("config", "routes", "test", f"--config.file={file}", *labels).strip()


def test_every_alert_of_the_monitor_has_its_reader(file: Path) -> None:
    assert {*ALERTS} >= TO_OWNERS
    for name, alert in ALERTS.items():
        usual = "pager" if alert.severity == "critical" else "tickets"
        wanted = "model-owners" if name in TO_OWNERS else usual
        assert receiver(file, name, alert.severity) == wanted, name


def test_alerts_of_servers_go_to_those_on_call(file: Path) -> None:
    assert receiver(file, "ModelErrorBudgetBurnsFast", "critical") == "pager"
    assert receiver(file, "ModelSaturated", "warning") == "tickets"
    assert receiver(file, "Watchdog", "none") == "heartbeat"
