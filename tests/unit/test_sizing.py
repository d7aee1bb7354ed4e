"""Whether replicas have the right size, by what they used."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from components.serving.args.model_server_args import Resources
from components.serving.models_settings import ModelsSettings
from slipway.bench import command as bench
from slipway.bench import sizing
from tests.support.rendered import reference

RESOURCES = Resources(
    cpu_request_millicores=100,
    cpu_limit_millicores=500,
    memory_request_mib=128,
    memory_limit_mib=384,
)


@pytest.mark.parametrize(
    ("cpu", "usual", "most", "verdicts"),
    [
        (90.0, 100.0, 250.0, ["fits", "fits", "fits"]),
        (140.0, 125.0, 370.0, ["raise it", "raise it", "raise it"]),
        (20.0, 40.0, 100.0, ["lower it", "fits", "lower it"]),
        (None, None, None, ["no data", "no data", "no data"]),
    ],
)
def test_sizes_are_compared_with_use(
    cpu: float | None, usual: float | None, most: float | None, verdicts: list[str]
) -> None:
    def query(expression: str) -> float | None:
        assert 'namespace="models"' in expression
        assert "[24h:1m]" in expression
        if "cpu" in expression:
            return cpu
        return usual if "quantile" in expression else most

    found = sizing.compare("employment", "models", RESOURCES, query, 24)
    assert [one.verdict for one in found] == verdicts
    for one in found:
        if one.verdict == "raise it":
            assert one.better is not None
            assert one.better > one.current


def test_pods_of_another_model_are_not_taken_for_its_own() -> None:
    asked: list[str] = []
    sizing.compare("job", "models", RESOURCES, asked.append, 1)
    pattern = re.search(r'pod=~"([^"]*)"', asked[0])
    assert pattern
    assert re.fullmatch(pattern[1], "job-bf98b8854-j2s95")
    assert not re.fullmatch(pattern[1], "job-fastapi-bf98b8854-j2s95")


def test_each_revision_is_sized_by_its_own_pods(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = reference("a")
    revisions = {
        "old": {"model_image": model, "weight": 90},
        "new": {
            "model_image": model,
            "weight": 10,
            "resources": {"memory_request_mib": 64},
        },
    }
    args = {"image": reference("b"), "route": {"prefix": "/j"}, "revisions": revisions}
    settings = ModelsSettings(models={"job": args})
    monkeypatch.setattr("slipway.stack_settings.load", lambda *_: settings)

    def query(expression: str) -> float | None:
        found = re.search(r'pod=~"([^"]*)"', expression)
        assert found
        is_old = re.fullmatch(found[1], "job-old-bf98b8854-j2s95")
        is_new = re.fullmatch(found[1], "job-new-bf98b8854-j2s95")
        assert bool(is_old) != bool(is_new)
        return 100.0 if is_old else 50.0

    monkeypatch.setattr(sizing, "_asking", lambda *_: query)
    found = sizing.of_stack("models.x", "http://127.0.0.1:1", 1)
    requests = [one for one in found if one.setting == "memory_request_mib"]
    assert {one.model: (one.current, one.used) for one in requests} == {
        "job-new": (64, 50.0),
        "job-old": (Resources().memory_request_mib, 100.0),
    }


@pytest.mark.parametrize(("verdict", "status"), [("fits", 0), ("raise it", 3)])
def test_a_misfit_fails_a_pipeline(
    monkeypatch: pytest.MonkeyPatch, verdict: str, status: int
) -> None:
    one = sizing.Finding("m", "memory_limit_mib", 100, 120.0, 180, verdict)
    monkeypatch.setattr(sizing, "of_stack", lambda *_: [one])
    done = CliRunner().invoke(bench.command, ["sizing", "models.lab"])
    assert done.exit_code == status
    assert verdict in done.output
