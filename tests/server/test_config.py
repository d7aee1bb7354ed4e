"""The environment: right, wrong, and all that is wrong at once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.model_server import run_to_the_end


def test_defaults() -> None:
    from model_server.config import VARIABLES, read

    config = read({"PATH": "/bin"})
    assert config.models == Path("/models")
    assert config.prediction_log == Path("/var/log/predictions")
    assert config.port == 8080
    fields = set(config.__dataclass_fields__)
    assert fields == {variable.name.lower() for variable in VARIABLES}


def test_empty_values_where_they_mean_something() -> None:
    from model_server.config import read

    config = read({"MODEL_SERVER_PREDICTION_LOG": "", "MODEL_SERVER_MODEL": ""})
    assert config.prediction_log is None
    assert config.model == ""


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "http", "whole number"),
        ("PORT", "8080.5", "whole number"),
        ("PORT", "65536", "between 0 and 65535"),
        ("PORT", "tcp://10.0.0.1:8080", "whole number"),
        ("DRAIN_SECONDS", "nan", "between"),
        ("DRAIN_SECONDS", "-1", "between"),
        ("DRAIN_SECONDS", "soon", "a number"),
        ("MAX_BATCH_ROWS", "0", "between 1"),
        ("MODELS", "", "empty"),
        ("ARM", "a b", "letters"),
        ("REVISION", 'x"y', "letters"),
        ("NAMESPACE", "", "empty"),
        ("LOG_LEVEL", "loud", "debug, info"),
        ("MAX_REQUEST_ROWS", "5000", "MAX_QUEUE_ROWS=4096"),
        ("MAX_BODY_BYTES", "100000000", "MAX_BUFFERED_BYTES"),
        ("PREDICTION_LOG_TOTAL_BYTES", "2000", "deleted at once"),
        ("THREAD", "1", "no such variable"),
        ("SERVICE_HOST", "10.0.0.1", "no such variable"),
    ],
)
def test_wrong_values(name: str, value: str, words: str) -> None:
    from model_server.config import ConfigError, read

    with pytest.raises(ConfigError) as caught:
        read({f"MODEL_SERVER_{name}": value})
    (problem,) = caught.value.problems
    assert f"MODEL_SERVER_{name}" in problem
    assert words in problem


def test_all_problems_are_reported_at_once_and_the_exit_code_is_2(
    tmp_path: Path,
) -> None:
    run = run_to_the_end({"PORT": "x", "ARM": "?", "TYPO": "1"})
    assert run.returncode == 2
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["level"] for line in lines] == ["error"] * 3
    assert run.stderr == ""


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"PREDICTION_LOG": "/proc/none"}, "MODEL_SERVER_PREDICTION_LOG"),
        ({"HOST": "203.0.113.1"}, "MODEL_SERVER_HOST"),
    ],
)
def test_what_the_machine_refuses(
    setting: dict[str, str], words: str, models: Path
) -> None:
    environment = {
        "MODELS": str(models),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "PREDICTION_LOG": "",
        **setting,
    }
    run = run_to_the_end(environment)
    assert run.returncode == 2
    assert words in run.stdout
    assert "Traceback" not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
        (
            {
                "proc/self/cgroup": "0::/pods/a\n",
                "sys/fs/cgroup/pods/cpu.max": "50000 100000",
                "sys/fs/cgroup/pods/a/cpu.max": "max 100000",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/kubepods/pod1\n0::/\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "25000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            0.25,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({}, None),
    ],
)
def test_cpu_limit(tmp_path: Path, files: dict[str, str], limit: float | None) -> None:
    from model_server import cgroup

    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    affinity = float(len(os.sched_getaffinity(0)))
    expected = affinity if limit is None else min(limit, affinity)
    assert cgroup.cpu_limit(tmp_path) == expected


@pytest.mark.parametrize(
    ("limit", "expected"), [(0.25, 1), (1.0, 1), (1.9, 1), (2.0, 2), (7.5, 7)]
)
def test_threads(limit: float, expected: int) -> None:
    from model_server import cgroup

    assert cgroup.threads(limit) == expected


@pytest.mark.parametrize(
    ("limit", "datatype", "is_refused"),
    [
        ("134217728", "BYTES", True),
        ("134217728", "FP32", False),
        ("142606336", "BYTES", False),  # 80 + 56 MiB
        ("max", "BYTES", False),
    ],
)
def test_texts_need_memory_for_their_largest_body(
    tmp_path: Path, limit: str, datatype: str, is_refused: bool
) -> None:
    from model_server.config import read
    from model_server.tensor import Tensor
    from model_server.text_memory import without_room

    for name, text in {
        "proc/self/cgroup": "0::/pod\n",
        "sys/fs/cgroup/pod/memory.max": f"{limit}\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    manifest = SimpleNamespace(name="m", inputs=(Tensor("X", datatype, (-1, 3)),))
    config = read({"MODEL_SERVER_MAX_BODY_BYTES": str(2 * 2**20 + 160000)})
    models = [cast("Any", SimpleNamespace(manifest=manifest))]
    problems = without_room(models, config, tmp_path)
    assert bool(problems) is is_refused
    for problem in problems:
        assert "takes up to 56 MiB beside the server's 80" in problem
        assert "limit is 128 MiB: it would be killed; give 136 MiB" in problem
