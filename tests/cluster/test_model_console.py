"""The model console in the lab: it reaches the monitor and Alertmanager."""

from __future__ import annotations

import httpx
import pytest

from tests.cluster.conftest import Cluster
from tests.support import web_pages
from tests.support.kube import wait_until
from tests.support.web_pages import cells, table, words

SECONDS = 60


def page(cluster: Cluster, path: str) -> str:
    answer = httpx.get(f"{cluster.urls['console']}{path}", timeout=20)
    return answer.raise_for_status().text


@pytest.mark.parametrize("path", ["/", "/models/employment", "/alerts", "/audit"])
def test_every_part_answers(cluster: Cluster, path: str) -> None:
    def whole() -> str:
        text = page(cluster, path)
        return "" if 'class="notice bad"' in text else text

    found = wait_until(whole, SECONDS, f"{path} without a part that is missing")
    assert web_pages.problems(found) == []


def test_the_fleet_has_the_labs_model(cluster: Cluster) -> None:
    rows = cells(table(web_pages.parsed(page(cluster, "/")), "All models"))
    assert [row[0] for row in rows[1:]] == ["employment binary"]


def test_the_audit_chain_is_intact(cluster: Cluster) -> None:
    found = words(web_pages.parsed(page(cluster, "/audit")))
    assert "the chain is intact" in found
    assert "thresholds_changed" in found
