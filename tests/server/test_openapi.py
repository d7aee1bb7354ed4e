"""The OpenAPI documents: of the server, of a model, and true of what is served."""

from __future__ import annotations

import math
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import COLUMNS
from tests.support.model_server import SERVER, ModelServer, request
from toolchain import own_venv, paths

REQUIREMENTS = Path(__file__).parent / "requirements-schemathesis.txt"
EXAMPLES = 10
RUN_SECONDS = 240
INFER = "/v2/models/tiny/versions/1/infer"


def test_the_running_server_keeps_to_its_document(
    server: ModelServer, tmp_path: Path
) -> None:
    """What the document allows is taken, what it excludes refused, answers fit it."""
    config = tmp_path / "schemathesis.toml"
    config.write_text('[checks.negative_data_rejection]\nexpected-statuses=["4xx"]\n')
    run = subprocess.run(
        [
            str(own_venv.python(REQUIREMENTS).with_name("schemathesis")),
            f"--config-file={config}",
            "run",
            f"{server.url}/openapi.json",
            # Three paths lead to the same inference; one is enough.
            "--exclude-path=/infer",
            "--exclude-path=/v2/models/tiny/infer",
            "--checks=all",
            "--phases=examples,coverage,fuzzing",
            f"--max-examples={EXAMPLES}",
            "--seed=20261123",
            "--no-color",
            "--generation-database=none",
            "--suppress-health-check=all",
            "--warnings=off",
        ],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(paths.ROOT),
            "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks",
        },
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    generated = re.search(r"(\d+) generated, (\d+) passed", run.stdout)
    assert generated, run.stdout
    assert int(generated[1]) > 100
    assert not [line for line in server.logs() if line["level"] == "error"]


def document(server: ModelServer, path: str) -> Any:
    answer = server.client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_which_paths_a_document_has(server: ModelServer) -> None:
    whole = document(server, "/openapi.json")
    assert whole["openapi"] == "3.1.0"
    assert whole["servers"] == [{"url": "./"}]
    assert {"/healthz", "/metrics", "/v2", "/infer", INFER} < set(whole["paths"])
    model = document(server, "/v2/models/tiny/openapi.json")
    assert model["servers"] == [{"url": "../../../"}]
    assert {"/infer", "/v2/models/tiny/infer", INFER} < set(model["paths"])
    assert "/healthz" not in model["paths"]
    operations = [
        operation["operationId"]
        for item in whole["paths"].values()
        for operation in item.values()
    ]
    assert len(set(operations)) == len(operations)


def test_the_document_says_what_model_yaml_says(server: ModelServer) -> None:
    found = document(server, "/v2/models/tiny/versions/1/openapi.json")
    assert found["info"]["title"] == "tiny"
    operation = found["paths"][INFER]["post"]
    assert "f0, f1, f2, f3" in operation["description"]
    body = operation["requestBody"]["content"]["application/json"]
    assert body["example"] == request([0] * COLUMNS, COLUMNS)
    schema = found["components"]["schemas"]["tiny-1-request"]
    tensor = schema["properties"]["inputs"]["items"]["properties"]
    assert tensor["name"] == {"const": "X"}
    assert tensor["shape"]["prefixItems"][0]["maximum"] == 300
    assert tensor["shape"]["prefixItems"][1] == {"const": COLUMNS}
    outputs = schema["properties"]["outputs"]["items"]["properties"]["name"]
    assert outputs == {"enum": ["label", "probabilities"]}


def test_every_error_code_is_documented() -> None:
    """In the source, in the README's table, and in the documents' enumeration."""
    from model_server.errors import ERROR_CODES

    pattern = re.compile(r'(?:RequestError\(|_answer\()\s*\d{3},\s*"([a-z_]+)"')
    source = {
        code
        for file in (SERVER / "model_server").glob("*.py")
        for code in pattern.findall(file.read_text())
    }
    assert source <= set(ERROR_CODES)
    readme = (SERVER / "README.md").read_text()
    missing = [code for code in ERROR_CODES if f"`{code}`" not in readme]
    assert not missing
    assert set(ERROR_CODES) - source <= {"invalid_request"}


@pytest.mark.parametrize(
    ("datatype", "good", "bad"),
    [
        ("UINT8", [0, 255], [-1, 256]),
        ("INT64", [-(2**63), 2**63 - 1], [2**63]),
        ("FP16", [65519.0], [65520.0]),
        ("FP32", [3.4028235e38], [3.4028236e38]),
        ("FP64", [1.7e308], []),
    ],
)
def test_bounds_of_values_are_those_of_the_reader(
    datatype: str, good: list[float], bad: list[float]
) -> None:
    from model_server.errors import RequestError
    from model_server.manifest import Tensor
    from model_server.openapi_tensors import _value
    from model_server.tensor_reader import TensorReader

    tensor = Tensor("X", datatype, (-1,))
    schema = _value(tensor)
    for value in good + bad:
        entry = {"name": "X", "datatype": datatype, "shape": [1], "data": [value]}
        least = schema.get("exclusiveMinimum", -math.inf)
        most = schema.get("exclusiveMaximum", math.inf)
        allowed = least < value < most and (
            schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
        )
        try:
            TensorReader(tensor, 1).read(entry, "inputs[0]", has_booleans=False)
        except RequestError:
            assert not allowed
            assert value in bad
        else:
            assert allowed
            assert value in good
