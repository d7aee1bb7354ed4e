"""Grafana's dashboards: complete panels, real metrics, the limits of the alerts."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from components.observability import platform_alerts, scrape
from components.observability.dashboards import drawing
from components.observability.dashboards.board import (
    LONGEST_UID,
    Board,
    Panel,
)
from components.observability.dashboards.config_maps import LARGEST_BYTES
from components.observability.settings import AlertThresholds
from components.platform.gpu import dcgm_exporter
from components.serving.alerts import rules
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.models_settings import ModelsSettings
from slipway import cli, stack_settings
from slipway.dashboards import standard
from tests.support import composed, platform, promtool
from tests.support import dashboards as support
from tests.support import rendered as r
from tests.support.dashboards import files
from toolchain import paths

RUNBOOKS = paths.ROOT / "docs" / "runbooks"
PAGE = paths.ROOT / "docs" / "how-to" / "dashboards.md"
STANDARD = standard()
PANELS = [(board, panel) for board in STANDARD for panel in board.panels]
QUERIES = list(support.queries(*STANDARD))
KINDS = {"graph": "timeseries", "number": "stat", "states": "state-timeline"}
TARGET_LABELS = {"namespace", "pod", "node", "instance", "app", "job"}
"""Prometheus gives them to what it scrapes (components/observability/scrape.py)."""
OF_SERVER = {"server", "revision"}
"""To pods of model servers besides."""
OTHERS = {
    # https://prometheus.io/docs/concepts/jobs_instances/ and .../alerting_rules/
    *("up", "ALERTS"),
    # https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/stats
    "envoy_http_downstream_rq_xx",
    "envoy_http_downstream_rq_time_bucket",
    "envoy_http_downstream_cx_active",
    # .../configuration/upstream/cluster_manager/cluster_stats
    "envoy_cluster_upstream_rq_timeout",
    # https://karpenter.sh/docs/reference/metrics/
    "karpenter_nodes_allocatable",
    "karpenter_nodes_total_pod_requests",
    "karpenter_cloudprovider_instance_type_offering_price_estimate",
    # Prometheus's own, at its /metrics.
    "prometheus_tsdb_head_series",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_notifications_errors_total",
}
"""Of programs of others, with what documents them."""


def drawn(board: Board) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(drawing.text(board))
    return found


def contract(name: str) -> dict[str, Any]:
    text = (paths.ROOT / "contracts" / f"{name}.yaml").read_text()
    found: dict[str, Any] = yaml.safe_load(text)["metrics"]
    return found


MONITOR = contract("monitor_metrics")
SHIPPER = contract("log_shipper_metrics")


def recorded() -> set[str]:
    args = ModelServerArgs(model_image=r.reference("a"), image=r.reference("b"))
    files = [
        rules.rule_file("employment", "models", args),
        platform_alerts.rule_file(
            platform_alerts.alerts(AlertThresholds(), gateway=True, gpus=True), ""
        ),
    ]
    groups = [group for file in files for group in yaml.safe_load(file)["groups"]]
    return {rule["record"] for g in groups for rule in g["rules"] if "record" in rule}


def of_model_server() -> set[str]:
    page = (paths.ROOT / "images" / "model_server" / "README.md").read_text()
    named = set(re.findall(r"`((?:model|prediction_log)_\w+)`", page))
    return named | {f"{name}_bucket" for name in named}


def of_waker() -> set[str]:
    page = (paths.ROOT / "docs" / "how-to" / "scale-to-zero.md").read_text()
    return set(re.findall(r"`(waker_\w+)", page))


@functools.cache
def known() -> set[str]:
    """All series that something of ours has, or a program that we install."""
    dcgm = (*dcgm_exporter.COUNTERS, *dcgm_exporter.PROFILING)
    return {
        *recorded(),
        *of_model_server(),
        *of_waker(),
        *MONITOR,
        *SHIPPER,
        *scrape.CADVISOR_SERIES,
        *(field for field, _, _ in dcgm),
        *OTHERS,
    }


def of_api_server(name: str) -> bool:
    return any(re.fullmatch(one, name) for one in scrape.API_SERVER_SERIES)


def test_there_are_the_seven() -> None:
    names = [board.name.removeprefix("models-") for board in STANDARD]
    assert sorted(names) == sorted(
        ["fleet", "gpu", "cost", "model", "revisions", "drift", "fairness"]
    )


@pytest.mark.parametrize("board", STANDARD, ids=lambda b: b.name)
def test_it_is_drawn_whole(board: Board) -> None:
    found = drawn(board)
    assert found["uid"] == board.uid
    assert found["schemaVersion"] == 42  # the build for Grafana 10.1 writes 36
    assert found["description"].endswith(".")
    panels = [panel for panel in found["panels"] if panel["type"] != "row"]
    assert [p["title"] for p in panels] == [p.title for p in board.panels]
    assert len({p["id"] for p in found["panels"]}) == len(found["panels"])
    assert drawing.text(board) == drawing.text(board)
    for wanted, panel in zip(board.panels, panels, strict=True):
        assert panel["type"] == KINDS.get(wanted.kind, wanted.kind)
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"] == wanted.unit
        assert panel["description"].startswith(wanted.description)
        shown = [(t["expr"], t["legendFormat"]) for t in panel["targets"]]
        assert shown == [(q.expr, q.legend) for q in wanted.all_queries]
        assert {t["datasource"]["uid"] for t in panel["targets"]} == {"${datasource}"}


@pytest.mark.parametrize("board", STANDARD, ids=lambda b: b.name)
def test_panels_do_not_overlap(board: Board) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in drawn(board)["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize(
    ("board", "panel"), PANELS, ids=lambda it: getattr(it, "title", "")
)
def test_a_panel_says_what_it_shows(board: Board, panel: Panel) -> None:
    assert panel.title
    assert panel.unit
    assert panel.description.endswith(".")
    assert panel.queries
    assert all(query.legend for query in panel.queries)
    assert [p.title for p in board.panels].count(panel.title) == 1


def test_uids_are_unique_and_short() -> None:
    uids = [board.uid for board in STANDARD]
    assert len(set(uids)) == len(uids)
    long = Board(f"{'n' * 63}-revisions", "t", "d", (), ())
    assert len(long.uid) <= LONGEST_UID
    assert long.uid != Board(f"{'n' * 63}-drift", "t", "d", (), ()).uid


@pytest.mark.parametrize("board", STANDARD, ids=lambda b: b.name)
def test_variables_are_used_and_defined(board: Board) -> None:
    names = [variable.name for variable in board.variables]
    shown = drawn(board)["templating"]["list"]
    assert [v["name"] for v in shown] == ["datasource", *names]
    texts = [q.expr for q in QUERIES if q.board is board]
    texts += [variable.series for variable in board.variables]
    for variable in board.variables:
        operator = "=~" if variable.several else "="
        uses = [t for t in texts if f'"${variable.name}"' in t]
        assert uses, variable.name
        assert all(f'{operator}"${variable.name}"' in t for t in uses), variable.name
    for text in texts:
        support.filled(text, dict.fromkeys(names, "x"))


@pytest.mark.parametrize("asked", QUERIES, ids=str)
def test_every_metric_is_one_that_something_exports(asked: support.Asked) -> None:
    found = support.metrics(asked.expr)
    assert found
    unknown = {name for name in found - known() if not of_api_server(name)}
    assert not unknown


def test_variables_read_metrics_that_something_exports() -> None:
    for board in STANDARD:
        for variable in board.variables:
            assert support.metrics(variable.series) <= known(), variable.name


@pytest.mark.parametrize("asked", QUERIES, ids=str)
def test_series_are_chosen_by_labels_that_they_have(asked: support.Asked) -> None:
    for name, labels in support.matched(asked.expr):
        if name in MONITOR:
            assert labels <= {*MONITOR[name]["labels"], *TARGET_LABELS}, name
        if name in SHIPPER:
            own = set(SHIPPER[name].get("labels", ()))
            assert labels <= own | TARGET_LABELS | OF_SERVER, name


def test_the_names_of_an_expression_are_found() -> None:
    expr = (
        'sum by (le) (rate(a_total{x="not_this"}[5m])) / on (n) group_left (m) '
        'label_replace(b:c, "k", "$1", "v", "(.+)") > 2 or time() - d unless e'
    )
    assert support.metrics(expr) == {"a_total", "b:c", "d", "e"}


@pytest.mark.programs
def test_prometheus_parses_every_query(tmp_path: Path) -> None:
    rules_ = [
        {"record": f"query:{number}", "expr": support.filled(one.expr, sample(one))}
        for number, one in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": rules_}]}))
    done = subprocess.run(
        [promtool.program(), "check", "rules", "--lint=none", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(QUERIES)} rules found" in done.stdout


def sample(one: support.Asked) -> dict[str, str]:
    return {variable.name: "x" for variable in one.board.variables}


def test_they_are_config_maps_for_the_sidecar() -> None:
    asked = {
        "enabled": True,
        "labels": {"grafana_dashboard": "yes"},
        "annotations": {"grafana_folder": "Models"},
        "namespace": "grafana",
    }
    found = platform.rendered(monitoring={"dashboards": asked})
    assert set(files(found)) == {"dashboard-fleet"}
    fleet = platform.only(found, "ConfigMap", "dashboard-fleet")
    assert fleet["metadata"]["namespace"] == "grafana"
    assert fleet["metadata"]["labels"]["grafana_dashboard"] == "yes"
    assert fleet["metadata"]["annotations"]["grafana_folder"] == "Models"
    (text,) = fleet["data"].values()
    assert json.loads(text)["uid"] == "slipway-fleet"


def test_models_have_theirs_beside_prometheus() -> None:
    watched = {
        **r.EMPLOYMENT,
        "monitor": {"fairness": {"attributes": ["SEX"]}},
        "prediction_log": {"sink": "monitor"},
    }
    found = r.models(dashboards={"enabled": True}, models={"employment": watched})
    names = ("model", "revisions", "drift", "fairness")
    assert set(files(found)) == {f"dashboard-models-{name}" for name in names}
    for name in files(found):
        made = platform.only(found, "ConfigMap", name)
        assert made["metadata"]["namespace"] == "slipway-monitoring"
        assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert all(len(v) <= 63 for v in made["metadata"]["labels"].values())
        assert len(json.dumps(made)) < LARGEST_BYTES / 4
    unwatched = r.models(dashboards={"enabled": True})
    assert set(files(unwatched)) == {
        "dashboard-models-model",
        "dashboard-models-revisions",
    }


def test_there_are_none_by_default() -> None:
    assert not files(platform.lab())
    assert not files(r.models())


def test_nothing_of_grafana_is_loaded_before_one_is_drawn() -> None:
    code = (
        "import sys, slipway.cli, slipway.dashboards, stacks.platform, stacks.models; "
        "sys.exit('grafana_foundation_sdk' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, check=False)
    assert done.returncode == 0


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.cli, ["dashboards", *arguments])


def test_the_command_writes_files(tmp_path: Path) -> None:
    done = run("--output", str(tmp_path / "all"))
    assert done.exit_code == 0, done.output
    written = {file.stem: file.read_text() for file in (tmp_path / "all").iterdir()}
    assert written == {board.name: drawing.text(board) for board in STANDARD}
    assert "7 dashboards in" in done.stderr
    refused = run("--output", "/dev/null/dashboards")
    assert refused.exit_code == 2
    assert "--output: '/dev/null/dashboards': Not a directory" in refused.stderr


def test_the_command_takes_the_limits_of_stacks(tmp_path: Path) -> None:
    with composed.locked(r.IMAGES):
        done = run("platform.lab", "models.lab", "--output", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert {file.stem for file in tmp_path.iterdir()} == {
        "fleet",
        *(f"models-{name}" for name in ("model", "revisions", "drift", "fairness")),
    }
    refused = run("cluster.dev", "--output", str(tmp_path))
    assert refused.exit_code == 2
    assert "cluster.dev" in refused.stderr


def test_the_commands_of_the_page_work(tmp_path: Path) -> None:
    found = re.findall(r"^slipway dashboards (.*)$", PAGE.read_text(), re.MULTILINE)
    without, stacks = (
        words.replace("--output dashboards", "").split() for words in found
    )
    assert without == []
    assert run("--output", str(tmp_path)).exit_code == 0
    with composed.locked(r.IMAGES):
        done = run(*stacks, "--output", str(tmp_path))
    assert done.exit_code == 0, done.output


def test_two_stacks_never_overwrite_each_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saturation = {"models.lab": 80, "models.gpu": 80}

    def load(stack: str, model: type[ModelsSettings]) -> ModelsSettings:
        alerts = {"saturation_percent": saturation[stack]}
        image = f"registry.example.com/a@sha256:{'0' * 64}"
        one = {"model_image": image, "image": image, "alerts": alerts}
        return model.model_validate({"models": {"a": one}})

    monkeypatch.setattr(stack_settings, "load", load)
    both = ("models.lab", "models.gpu", "--output", str(tmp_path / "made"))
    assert run(*both).exit_code == 0, "they are the same"
    saturation["models.gpu"] = 70
    shutil.rmtree(tmp_path / "made")
    done = run(*both)
    assert done.exit_code == 2
    assert "models.lab and models.gpu both make models-model.json, with" in done.stderr
    assert not (tmp_path / "made").exists()


def test_runbooks_name_panels_that_there_are() -> None:
    titles = {board.title.partition(" (")[0]: board for board in STANDARD}
    named = 0
    for runbook in RUNBOOKS.glob("*.md"):
        text = " ".join(runbook.read_text().split())
        for board, panel in re.findall(r'dashboard "([^"]+)", panel "([^"]+)"', text):
            named += 1
            assert panel in [p.title for p in titles[board].panels], runbook.name
    assert named >= 10


def test_the_page_tells_of_each() -> None:
    page = PAGE.read_text()
    for board in STANDARD:
        assert board.title.partition(" (")[0] in page, board.title
