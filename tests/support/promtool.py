"""Rules evaluated by Prometheus' own promtool over series that a test gives."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.utils import floatToGoString

from toolchain import packages

_GROWING = ("_bucket", "_sum", "_count")
INTERVAL_SECONDS = 15
_SELDOM = {"GOGC": "400"}
"""How often Go looks for garbage: a sixth of a run's time went into it."""


def program() -> Path:
    """Debian's promtool, fetched on the first call."""
    return packages.unpack(["promtool"], suite="trixie") / "usr" / "bin" / "promtool"


def series(exposition: str, target: Mapping[str, str]) -> list[dict[str, str]]:
    """Ten minutes of what a server says, with the labels that Prometheus would add.

    A counter grows by its value at each scrape, a gauge keeps it.
    """
    found = []
    for name, own, value, grows in samples(exposition):
        labels = {**own, **target}
        inside = ",".join(f"{label}={json.dumps(it)}" for label, it in labels.items())
        values = f"0+{value}x60" if grows else f"{value}x60"
        found.append({"series": f"{name}{{{inside}}}", "values": values})
    return found


def samples(exposition: str) -> Iterator[tuple[str, dict[str, str], str, bool]]:
    """Name, labels, value as text, and whether it grows, of each sample."""
    for family in text_string_to_metric_families(exposition):
        assert family.type != "unknown", f"{family.name} has no TYPE"
        for it in family.samples:
            grows = family.type == "counter" or it.name.endswith(_GROWING)
            # The parser gives counters the ending that Triton's, for one, have not.
            bare = grows and f"# TYPE {family.name} counter\n" in exposition
            name = it.name.removesuffix("_total") if bare else it.name
            yield name, it.labels, floatToGoString(it.value), grows


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
    (folder / "test.yaml").write_text(json.dumps(test))
    done = _test(folder)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def fires(
    folder: Path, rules: str, alert: str, given: list[dict[str, str]], at: str = "10m"
) -> bool:
    """Whether an alert of a rule file fires then.

    Evaluated without the other alerts, which it does not read: they take most of the
    time. `firing` evaluates all.
    """
    return alert in firing(folder, alone(rules, alert), given, at)[0]


def alone(rules: str, alert: str) -> str:
    """A rule file with one of its alerts, and all that is recorded."""
    groups = []
    for group in _read(rules)["groups"]:
        kept = [rule for rule in group["rules"] if rule.get("alert", alert) == alert]
        assert not any("ALERTS" in rule["expr"] for rule in kept), "reads other alerts"
        groups.append({**group, "rules": kept})
    return json.dumps({"groups": groups})


@functools.lru_cache(maxsize=4)
def _read(rules: str) -> Any:
    """A rule file, which many tests ask of in a row; nobody may change it."""
    return yaml.safe_load(rules)


def firing(
    folder: Path, rules: str, given: list[dict[str, str]], *times: str
) -> list[set[str]]:
    """The alerts of a rule file that fire at each time; all its rules are evaluated."""
    (folder / "rules.yaml").write_text(rules)
    names = [
        rule["alert"]
        for group in _read(rules)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    asked = [(name, at) for at in times for name in names]
    expressions = [
        (f'ALERTS{{alertname="{name}",alertstate="firing"}}', at) for name, at in asked
    ]
    have = _have_values(folder, expressions, given, [str(folder / "rules.yaml")])
    found = [name_at for name_at, has in zip(asked, have, strict=True) if has]
    return [{name for name, then in found if then == at} for at in times]


def has_value(
    folder: Path, expression: str, at: str, given: list[dict[str, str]]
) -> bool:
    """Whether an expression has one; there are no rules, and so no state before it."""
    return _have_values(folder, [(expression, at)], given)[0]


def _have_values(
    folder: Path,
    asked: Sequence[tuple[str, str]],
    given: list[dict[str, str]],
    rule_files: Sequence[str] = (),
) -> list[bool]:
    """Whether each expression has one at its time, in one run."""
    # Wanted is what no answer is, so that promtool tells each.
    wanted = [{"labels": "{}", "value": -1}]
    test = {
        "rule_files": list(rule_files),
        "evaluation_interval": f"{INTERVAL_SECONDS}s",
        "tests": [
            {
                "interval": f"{INTERVAL_SECONDS}s",
                "input_series": given,
                "promql_expr_test": [
                    {
                        "expr": f"count({expression}) > bool 0 or vector(0)",
                        "eval_time": at,
                        "exp_samples": wanted,
                    }
                    for expression, at in asked
                ],
            }
        ],
    }
    (folder / "test.yaml").write_text(json.dumps(test))
    done = _test(folder)
    said = done.stdout + done.stderr
    told = re.findall(r"got: \{\} ([01])E\+00$", said, re.MULTILINE)
    assert len(told) == len(asked), said
    return [value == "1" for value in told]


def _test(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program(), "test", "rules", str(folder / "test.yaml")],
        env=os.environ | _SELDOM,
        capture_output=True,
        text=True,
        check=False,
    )


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
