"""The unit of an experiment in the prediction log: a hash of the caller's header."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from model_server.config import ConfigError, read
from model_server.endpoint import RecordForm
from model_server.manifest import read_manifest
from model_server.outputs import Outputs, Results
from model_server.records import Record, lines
from model_server.units import units

from tests.server.conftest import COLUMNS, Tiny
from tests.server.test_log_policy import KEY, ROWS, manifest_file
from tests.server.test_prediction_log import records
from tests.support.model_server import ModelServer, request
from toolchain import paths

VARIABLE = "MODEL_SERVER_PREDICTION_LOG_UNIT_HEADER"


def test_a_caller_has_one_hash_by_the_key() -> None:
    unit = units("x-user-id", KEY)
    assert unit is not None
    wanted = hmac.new(KEY, b"ann", hashlib.sha256).hexdigest()[:32]
    assert unit({b"x-user-id": b"ann", b"host": b"h"}) == wanted
    assert unit({b"x-user-id": b"bob"}) != wanted
    assert unit({}) == unit({b"x-user-id": b""}) == ""
    assert units("", KEY) is None


def test_the_how_to_prints_a_callers_hash(tmp_path: Path) -> None:
    page = (paths.ROOT / "docs/how-to/experiments.md").read_text()
    section = page.partition("## Erase a caller\n")[2]
    command = section.partition("```\n")[2].partition("```")[0]
    (tmp_path / "log.key").write_bytes(KEY)
    done = subprocess.run(
        ["bash", "-c", command.replace("VALUE-OF-THE-HEADER", "'å nn'")],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    unit = units("x-user-id", KEY)
    assert unit is not None
    assert done.stdout == unit({b"x-user-id": "å nn".encode()}) + "\n"


def test_every_row_of_an_answer_has_its_unit_and_an_error_has_none(
    tmp_path: Path,
) -> None:
    form = RecordForm(read_manifest(manifest_file(tmp_path, {})), "r", "stable", KEY)
    run = Results([np.arange(2, dtype=np.float32)])
    shared = (form, "id", 1.0, 0.5)
    given = [
        Record(*shared, 200, "", 2, form.held(ROWS), Outputs(run, 0, 2), unit="ab"),
        Record(*shared, 200, "", 2, form.held(ROWS), Outputs(run, 0, 2)),
        Record(*shared, 429, "overloaded", 1, (), None, unit="ab"),
    ]
    found = [json.loads(line) for line in lines(given).splitlines()]
    assert [it.get("unit") for it in found] == ["ab", "ab", None, None, None]


@pytest.mark.parametrize(
    ("header", "text"),
    [("X-User", "in lower case"), ("a b", "in lower case"), ("x-user", "no key")],
)
def test_a_header_that_cannot_be_hashed_is_refused(header: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read({"MODEL_SERVER_MODELS": "/m", VARIABLE: header})
    assert text in str(caught.value)


def test_the_server_logs_the_unit_of_its_requests(
    models: Path, log_folder: Path, tmp_path: Path, tiny: Tiny
) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY)
    settings = {
        "PREDICTION_LOG_HASH_KEY_FILE": key,
        "PREDICTION_LOG_UNIT_HEADER": "x-user-id",
    }
    body = request(tiny.rows[:2].ravel().tolist(), COLUMNS)
    with ModelServer(models, log_folder, **settings) as server:
        for user in ("ann", "bob", "ann", None):
            headers = {"X-User-Id": user} if user else {}
            server.client.post("/infer", json=body, headers=headers).raise_for_status()
        assert server.stop() == 0
    found = [it.get("unit") for it in records(log_folder)]
    ann = hmac.new(KEY, b"ann", hashlib.sha256).hexdigest()[:32]
    bob = hmac.new(KEY, b"bob", hashlib.sha256).hexdigest()[:32]
    assert found == [ann, ann, bob, bob, ann, ann, None, None]
