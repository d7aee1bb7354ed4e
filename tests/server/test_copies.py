"""Requests that the gateway has copied to a new revision: answered, logged apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import COLUMNS
from tests.server.test_prediction_log import records
from tests.support.model_server import ModelServer, request

ROW = request([0.0] * COLUMNS, COLUMNS)
OF_STABLE = {"x-model-revision": "champion", "x-model-shadow": "challenger"}
"""What the gateway sets on a request and on its copy, the rule's and the backend's."""


def asked(folder: Path, log: Path, revision: str, **headers: str) -> tuple[int, Any]:
    """Status and record of one request."""
    with ModelServer(folder, log, REVISION=revision, ARM="canary") as server:
        status = server.client.post("/infer", json=ROW, headers=headers).status_code
        assert server.stop() == 0
    (record,) = records(log)
    return status, record


def test_a_copy_is_answered_and_is_no_answer_of_the_revision(
    models: Path, log_folder: Path
) -> None:
    status, record = asked(
        models, log_folder, "challenger", **OF_STABLE | {"x-request-id": "one"}
    )
    assert status == 200
    assert (record["id"], record["revision"]) == ("one", "challenger")
    assert record["arm"] == "shadow"
    assert "score" in record


def test_its_original_is_as_any_request(models: Path, log_folder: Path) -> None:
    status, record = asked(models, log_folder, "champion", **OF_STABLE)
    assert status == 200
    assert (record["revision"], record["arm"]) == ("champion", "canary")


@pytest.mark.parametrize("revision", ["", "challenger"])
def test_another_revision_stays_unknown(
    models: Path, log_folder: Path, revision: str
) -> None:
    """Without copies, or where the settings name no revision."""
    headers = dict(OF_STABLE)
    if revision:
        del headers["x-model-shadow"]
    status, record = asked(models, log_folder, revision, **headers)
    assert status == 404
    assert record["arm"] == "canary"


def test_a_page_of_a_copy(models: Path, log_folder: Path) -> None:
    with ModelServer(models, log_folder, REVISION="challenger") as server:
        path = "/v2/models/tiny"
        assert server.client.get(path, headers=OF_STABLE).status_code == 200
        del (headers := dict(OF_STABLE))["x-model-shadow"]
        assert server.client.get(path, headers=headers).status_code == 404
