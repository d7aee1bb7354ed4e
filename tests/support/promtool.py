"""Rules evaluated by Prometheus' own promtool over series that a test gives."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from toolchain import packages

_LINE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_GROWING = ("_bucket", "_sum", "_count")
INTERVAL_SECONDS = 15


def program() -> Path:
    """Debian's promtool, fetched on the first call."""
    return packages.unpack(["promtool"], suite="trixie") / "usr" / "bin" / "promtool"


def series(exposition: str, target: Mapping[str, str]) -> list[dict[str, str]]:
    """Ten minutes of what a server says, with the labels that Prometheus would add.

    A counter grows by its value at each scrape, a gauge keeps it.
    """
    labels = ",".join(f'{name}="{value}"' for name, value in target.items())
    found = []
    for name, own, value, grows in samples(exposition):
        inside = ",".join(filter(None, [own, labels]))
        values = f"0+{value}x60" if grows else f"{value}x60"
        found.append({"series": f"{name}{{{inside}}}", "values": values})
    return found


def samples(exposition: str) -> Iterator[tuple[str, str, str, bool]]:
    """Name, labels as text, value, and whether it grows, of each line."""
    kinds: dict[str, str] = {}
    for line in exposition.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            kinds[name] = kind
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        assert match, line
        name, own, value = match.groups()
        base = re.sub(f"({'|'.join(_GROWING)})$", "", name)
        kind = kinds.get(name) or kinds[base]
        grows = kind == "counter" or name.endswith(_GROWING)
        yield name, own or "", value, grows


def difference(
    folder: Path, rules: str, given: list[dict[str, str]], wanted: Mapping[str, Any]
) -> str:
    """What promtool says is not as wanted; `wanted`: samples by expression.

    A sample is a pair of labels as text and value. Evaluated after ten minutes.
    """
    (folder / "rules.yaml").write_text(rules)
    test = {
        "rule_files": [str(folder / "rules.yaml")],
        "evaluation_interval": f"{INTERVAL_SECONDS}s",
        "tests": [
            {
                "interval": f"{INTERVAL_SECONDS}s",
                "input_series": given,
                "promql_expr_test": [
                    {
                        "expr": expression,
                        "eval_time": "10m",
                        "exp_samples": [
                            {"labels": labels, "value": value}
                            for labels, value in samples
                        ],
                    }
                    for expression, samples in wanted.items()
                ],
            }
        ],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [program(), "test", "rules", str(folder / "test.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def fires(
    folder: Path, rules: str, alert: str, given: list[dict[str, str]], at: str = "10m"
) -> bool:
    """Whether an alert of a rule file fires then."""
    (folder / "rules.yaml").write_text(rules)
    firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    return has_value(folder, firing, at, given, [str(folder / "rules.yaml")])


def has_value(
    folder: Path,
    expression: str,
    at: str,
    given: list[dict[str, str]],
    rule_files: Sequence[str] = (),
) -> bool:
    """Whether an expression has one; without rule files there is no state before it."""
    asked = {
        "expr": f"count({expression}) > bool 0 or vector(0)",
        "eval_time": at,
        "exp_samples": [{"labels": "{}", "value": 1}],
    }
    test = {
        "rule_files": list(rule_files),
        "evaluation_interval": f"{INTERVAL_SECONDS}s",
        "tests": [
            {
                "interval": f"{INTERVAL_SECONDS}s",
                "input_series": given,
                "promql_expr_test": [asked],
            }
        ],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [program(), "test", "rules", str(folder / "test.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 or "got:" in said, said
    return done.returncode == 0


def lint(folder: Path, rules: str) -> str:
    """What promtool has against a rule file."""
    (folder / "rules.yaml").write_text(rules)
    done = subprocess.run(
        [program(), "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
