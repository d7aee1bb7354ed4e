"""The commands of docs/how-to/review-pull-requests.md that no pipeline has."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from toolchain import paths

PAGE = (paths.ROOT / "docs" / "how-to" / "review-pull-requests.md").read_text()
GITHUB = yaml.safe_load((paths.ROOT / "ci" / "github" / "slipway.yml").read_text())


@pytest.fixture
def runs(tmp_path: Path) -> list[list[str]]:
    """The words that the page gives to docker, for each run."""
    (text,) = re.findall(r"(?ms)^```sh\n(.*?)^```$", PAGE)
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"; printf '\\n'\n")
    docker.chmod(0o755)
    said = subprocess.run(
        ["bash", "-euc", text],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "IMAGE": "python@sha256:0"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert (tmp_path / "report").is_dir()
    return [line.split("\0")[:-1] for line in said.splitlines()]


def test_heads_programs_get_no_network_and_only_the_report_to_write(
    runs: list[list[str]], tmp_path: Path
) -> None:
    _, compare = runs
    assert compare[compare.index("--network") + 1] == "none"
    volumes = [b for a, b in pairwise(compare) if a == "--volume"]
    assert volumes == [f"{tmp_path}:/work:ro", f"{tmp_path}/report:/work/report"]


def test_the_comparison_is_the_report_jobs(runs: list[list[str]]) -> None:
    install, compare = (words[words.index("python@sha256:0") + 1 :] for words in runs)
    steps = {it["name"]: it for it in GITHUB["jobs"]["report"]["steps"]}
    assert " ".join(compare) == steps["Compare"]["run"]
    assert "devtools.environment" in " ".join(install)
    assert "../head" not in " ".join(install)
