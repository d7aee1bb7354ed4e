"""Every query of every dashboard, asked of the lab's Prometheus.

Variables are filled in as Grafana does it, in the order of the dashboard: by the values
that Prometheus has, but only of series that are there now. A panel that may rightly be
empty says so (`Panel.empty`).
About 30 s, most of it until a prediction's record is with the monitor.
"""

from __future__ import annotations

import re
import time
from functools import partial
from typing import Any

import httpx
import pytest

from components.observability.dashboards.board import Board, Variable
from slipway import images
from slipway.dashboards import standard
from tests.cluster.conftest import Cluster
from tests.support import dashboards, oip
from tests.support.kube import wait_until

BOARDS = standard()
WITHOUT_DATA = {
    "gpu": "the lab has no GPU",
    "cost": "the lab's nodes have no price, and no Karpenter tells one",
}
"""Dashboards of which every query is answered, by nothing as a rule."""
SERVERS = ("employment", "employment-fastapi", "employment-flask", "employment-django")
OF_ENVOY = re.compile('name does not end in _total.*: "envoy_')
"""What Prometheus says of counters that Envoy names otherwise."""
SECONDS = 90
GRAPH_SECONDS, STEP_SECONDS = 600, 15


def ask(cluster: Cluster, path: str, **parameters: Any) -> Any:
    """The data of an answer of Prometheus's; AssertionError unless it is one."""
    answer = httpx.get(
        f"{cluster.urls['prometheus']}/api/v1/{path}", params=parameters, timeout=20
    )
    assert answer.status_code == 200, f"{parameters}: {answer.text}"
    content = answer.json()
    assert content["status"] == "success"
    told = [it for it in content.get("warnings", []) if not OF_ENVOY.search(it)]
    assert not told, f"{parameters}: {told}"
    return content["data"]


def now(cluster: Cluster, query: str) -> list[dict[str, Any]]:
    """The series that the query gives now."""
    found: list[dict[str, Any]] = ask(cluster, "query", query=query)["result"]
    return found


@pytest.fixture(scope="module")
def called(cluster: Cluster) -> Cluster:
    """The lab once each server was called and the monitor has read a record."""
    row = oip.request(images.real_rows("employment", 1)[0])

    def counted() -> bool:
        for server in SERVERS:
            address = f"{cluster.urls['gateway']}/{server}/v1/infer"
            assert httpx.post(address, content=row, timeout=20).status_code == 200
        asked = {
            "count(sum by (server) (model:requests:rate) > 0)": len(SERVERS),
            'monitor_log_newest_timestamp_seconds{model="employment"}': 1,
        }
        return all(
            any(float(one["value"][1]) >= least for one in now(cluster, query))
            for query, least in asked.items()
        )

    wait_until(counted, SECONDS, "requests and a record of each server", pause=1)
    return cluster


def values(cluster: Cluster, board: Board) -> dict[str, str]:
    """What the board's variables are at first; "all" of those that allow several."""
    found: dict[str, str] = {}
    for variable in board.variables:
        names = variable.values or _labels(cluster, variable, found)
        if variable.several:
            found[variable.name] = "|".join(names) or ".+"
        else:
            found[variable.name] = names[0] if names else ""
    return found


def _labels(
    cluster: Cluster, variable: Variable, found: dict[str, str]
) -> tuple[str, ...]:
    series = dashboards.filled(variable.series, found)
    alive = {one["metric"][variable.label] for one in now(cluster, series)}
    return tuple(sorted(alive))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_every_query_is_answered(called: Cluster, board: Board) -> None:
    chosen = values(called, board)
    if board.name not in WITHOUT_DATA:
        needed = {v.name for v in board.variables} - {"metric", "attribute", "revision"}
        assert all(chosen[name] for name in needed), chosen
    end = time.time()
    for asked in dashboards.queries(board):
        query = dashboards.filled(asked.expr, chosen)
        ask(called, "query", query=query)
        ask(
            called,
            "query_range",
            query=query,
            start=end - GRAPH_SECONDS,
            end=end,
            step=STEP_SECONDS,
        )


@pytest.mark.parametrize(
    "board",
    [board for board in BOARDS if board.name not in WITHOUT_DATA],
    ids=lambda board: board.name,
)
def test_panels_that_always_have_data_have_some(called: Cluster, board: Board) -> None:
    chosen = values(called, board)
    full = [asked for asked in dashboards.queries(board) if not asked.panel.empty]
    assert full
    for asked in full:
        query = dashboards.filled(asked.expr, chosen)
        said = f"data of {asked}, asked as {query}"
        wait_until(partial(now, called, query), SECONDS, said, pause=1)


def test_the_busy_servers_are_in_the_graphs(called: Cluster) -> None:
    """All four kinds of servers, by one query."""
    board = next(board for board in BOARDS if board.name == "models-model")
    chosen = values(called, board)
    for title in ("Requests", "Latency, p99", "Replicas", "Processor", "Memory"):
        (query,) = [
            dashboards.filled(asked.expr, chosen)
            for asked in dashboards.queries(board)
            if asked.panel.title == title
        ]

        def shown(query: str = query) -> bool:
            found = {one["metric"]["server"] for one in now(called, query)}
            return set(SERVERS) <= found

        wait_until(shown, SECONDS, f"all servers in the panel {title}", pause=1)
