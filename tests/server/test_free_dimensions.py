"""Texts, missing values and free dimensions: log, runs, and what model.yaml says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.server.test_datatypes_and_forms import FREE, wait_until_ready
from tests.server.test_prediction_log import records
from tests.support.forms import FORMS, Server
from tests.support.grpc_calls import free_port
from tests.support.model_server import ModelServer
from tests.support.onnx_models import entry, write_model, write_same


def test_the_log_has_what_came(tmp_path: Path, log_folder: Path) -> None:
    """Texts and lists as JSON, missing values as null, whatever the form."""
    folder = tmp_path / "models"
    both, one = {"keep": ["a[0]", "a[1]"]}, {"keep": ["a"]}
    write_same(folder / "text", "BYTES", [-1, 2], log=both)
    write_same(folder / "named", "BYTES", [-1, 2], missing_values=False)
    write_same(folder / "free", "FP32", [-1, -1], missing_values=True, log=one)
    write_same(folder / "brief", "BF16", [-1, 1], missing_values=True, log=one)
    asked = [
        ("text", "BYTES", [2, 2], ['a,"b', "", "c", "}"]),
        ("free", "FP32", [1, 3], [1.5, None, 2.0]),
        ("brief", "BF16", [2, 1], [0.5, None]),
    ]
    with ModelServer(folder, log_folder) as http:
        for model, kind, shape, values in asked:
            FORMS["json"](Server(http, 0, None), model, kind, shape, values)
        http.stop()
    assert [(it["features"], it["outputs"]["b"]) for it in records(log_folder)] == [
        ({"a[0]": 'a,"b', "a[1]": ""}, ['a,"b', ""]),
        ({"a[0]": "c", "a[1]": "}"}, ["c", "}"]),
        ({"a": [1.5, None, 2.0]}, [1.5, None, 2.0]),
        ({"a": 0.5}, 0.5),
        ({"a": None}, None),
    ]


def test_named_dimensions_have_one_size(tmp_path: Path, log_folder: Path) -> None:
    folder = tmp_path / "models"
    write_model(
        folder / "sum",
        [helper.make_node("Add", ["a", "c"], ["b"])],
        [entry("a", "INT64", [-1, -1]), entry("c", "INT64", [-1, -1])],
        [entry("b", "INT64", [-1, -1])],
        dimensions={"a": ["n", "words"], "c": ["n", "words"], "b": ["n", "words"]},
    )
    with ModelServer(folder, log_folder) as server:

        def ask(first: list[int], second: list[int]) -> Any:
            inputs = [
                {"name": name, "datatype": "INT64", "shape": [1, len(it)], "data": it}
                for name, it in (("a", first), ("c", second))
            ]
            return server.client.post("/infer", json={"inputs": inputs})

        answer = ask([1, 2, 3], [10, 20, 30])
        assert answer.json()["outputs"][0]["data"] == [11, 22, 33]
        answer = ask([1, 2, 3], [10])
        assert answer.status_code == 400
        assert "the graph calls both words" in answer.json()["error"]


def test_requests_of_other_sizes_do_not_share_a_run(tmp_path: Path) -> None:
    """Many at once, of texts of three lengths, each get their own back."""
    from concurrent.futures import ThreadPoolExecutor

    from model_server.adapters import Predictor

    folder = tmp_path / "models"
    write_same(folder / "free", "BYTES", [-1, -1])
    made = Predictor.from_environment(
        {"MODEL_SERVER_MODELS": str(folder), "MODEL_SERVER_PREDICTION_LOG": ""}
    )
    made.start()
    wait_until_ready(made)

    def ask(number: int) -> Any:
        return made.predict([[f"{number}-{it}" for it in range(1 + number % 3)]])

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(300)))
    made.close()
    assert [it["b"].tolist() for it in found] == [
        [[f"{number}-{it}" for it in range(1 + number % 3)]] for number in range(300)
    ]


def test_several_free_outputs_of_their_own_size(
    tmp_path: Path, log_folder: Path
) -> None:
    """An output has the shape that the run gives it, in every form, even nothing."""
    folder = tmp_path / "models"
    write_model(
        folder / "found",
        [
            helper.make_node("Identity", ["a"], ["same"]),
            helper.make_node("Slice", ["a", "from", "to", "axis"], ["rest"]),
        ],
        [entry("a", "INT32", [-1, -1])],
        [entry("same", "INT32", [-1, -1]), entry("rest", "INT32", [-1, -1])],
        initializers=[
            numpy_helper.from_array(np.array([it], np.int64), name)
            for name, it in (("from", 2), ("to", 9), ("axis", 1))
        ],
    )
    port = free_port()
    with ModelServer(folder, log_folder, GRPC_PORT=port) as http:
        for form in ("json", "bytes", "grpc raw", "grpc typed"):
            for rows, size in ((1, 3), (2, 2), (2, 4)):
                values = list(range(rows * size))
                kept = [it for it in values if it % size >= 2]
                found = FORMS[form](
                    Server(http, port, None), "found", "INT32", [rows, size], values
                )
                assert found == {
                    "same": ([rows, size], values),
                    "rest": ([rows, max(0, size - 2)], kept),
                }
        http.stop()
    assert [it["outputs"]["rest"] for it in records(log_folder)][:2] == [[2], []]


def test_text_beside_bf16_is_refused_by_name(tmp_path: Path) -> None:
    from model_server.manifest import ModelError
    from model_server.model import load_model

    folder = write_model(
        tmp_path / "both",
        [
            helper.make_node("Identity", ["a"], ["b"]),
            helper.make_node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16),
        ],
        [entry("a", "BYTES", [-1]), entry("x", "FP32", [-1])],
        [entry("b", "BYTES", [-1]), entry("y", "BF16", [-1])],
    )
    with pytest.raises(ModelError, match="cannot run a model with both text and BF16"):
        load_model(folder, 1)


SETTINGS = {
    "no boolean": ({"missing_values": "yes"}, "must be true or false"),
    "max of another rank": ({"max_shape": [-1, 5]}, "must be a list like shape"),
    "a free max": ({"max_shape": [-1, -1, 2]}, "must be a list like shape"),
    "max of a set size": ({"max_shape": [-1, 5, 3]}, "differs from shape"),
    "a size of 0": ({"shape": [-1, 0, 2]}, "shape: [-1, 0, 2] must be -1"),
    "a size of -2": ({"shape": [-1, -2, 2]}, "shape: [-1, -2, 2] must be -1"),
}


@pytest.mark.parametrize(("change", "words"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings_that_are_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    from model_server.manifest import ModelError, read_manifest

    content = {
        "name": "m",
        "version": "1",
        "revision": "r",
        "inputs": [{**entry("a", "FP32", FREE), **change}],
        "outputs": [entry("b", "FP32", FREE)],
    }
    file = tmp_path / "model.yaml"
    file.write_text(json.dumps(content))
    with pytest.raises(ModelError) as caught:
        read_manifest(file)
    assert words in caught.value.problems[0]


def test_settings_where_they_have_no_meaning(tmp_path: Path) -> None:
    from model_server.manifest import ModelError, read_manifest

    inputs = [
        entry("a", "FP32", FREE),
        entry("whole", "INT32", [-1], missing_values=True),
    ]
    content = {
        "name": "m",
        "version": "1",
        "revision": "r",
        "inputs": inputs,
        "outputs": [entry("b", "FP32", FREE, max_shape=FREE)],
        "features": ["x"],
    }
    file = tmp_path / "model.yaml"
    file.write_text(json.dumps(content))
    with pytest.raises(ModelError) as caught:
        read_manifest(file)
    found = [it.removeprefix(f"{file}: ") for it in caught.value.problems]
    assert [it.partition(";")[0] for it in found] == [
        "inputs[1].missing_values: INT32 has no NaN",
        "outputs[0].max_shape: is for inputs",
        "features: the input a has free dimensions, so its columns have no names",
    ]
