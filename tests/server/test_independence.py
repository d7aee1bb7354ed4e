"""Models whose rows depend on each other: refused, or each request runs by itself."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import NodeProto, helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.model_folder import made_up_rows
from tests.support.graphs import Declared, write_graph

X: Declared = ("x", "FP32", [4])
Y: Declared = ("y", "FP32", [4])
NODE = helper.make_node
WEIGHTS = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
IDS: Declared = ("ids", "INT64", [])
TABLE = {"table": WEIGHTS}

Graph = tuple[Sequence[NodeProto], Declared, Declared, dict[str, Any]]


def one_place(operation: str) -> Graph:
    """The row at place 1 is doubled, or gets 1 more."""
    nodes = [
        NODE("Shape", ["x"], ["shape"]),
        NODE("Gather", ["shape", "first"], ["count"]),
        NODE("Range", ["first", "count", "one"], ["places"]),
        NODE("Equal", ["places", "one"], ["is_second"]),
        NODE("Cast", ["is_second"], ["extra"], to=1),
        NODE("Unsqueeze", ["extra", "last"], ["column"]),
        NODE("Mul", ["x", "column"], ["more"]),
        NODE("Add", ["x", "more"], ["y"]),
    ]
    if operation == "Add":
        nodes[-2:] = [NODE("Add", ["x", "column"], ["y"])]
    return nodes, X, Y, {"first": 0, "one": 1, "last": [1]}


DEPENDENT: dict[str, Graph] = {
    "softmax over the batch": ([NODE("Softmax", ["x"], ["y"], axis=0)], X, Y, {}),
    "mean of the batch": (
        [
            NODE("ReduceMean", ["x", "axes"], ["mean"]),
            NODE("Sub", ["x", "mean"], ["y"]),
        ],
        X,
        Y,
        {"axes": [0]},
    ),
    "largest of the batch": (
        [NODE("ReduceMax", ["x", "axes"], ["most"]), NODE("Div", ["x", "most"], ["y"])],
        X,
        Y,
        {"axes": [0]},
    ),
    "running sum": ([NODE("CumSum", ["x", "axis"], ["y"])], X, Y, {"axis": 0}),
    "backwards": (
        [NODE("Slice", ["x", "start", "stop", "axes", "step"], ["y"])],
        X,
        Y,
        {"start": [-1], "stop": [-(2**40)], "axes": [0], "step": [-1]},
    ),
    "number of rows": (
        [
            NODE("Shape", ["x"], ["shape"]),
            NODE("Gather", ["shape", "first"], ["count"]),
            NODE("Cast", ["count"], ["rows"], to=1),
            NODE("Div", ["x", "rows"], ["y"]),
        ],
        X,
        Y,
        {"first": 0},
    ),
    # In one order it is one row that differs, which may be a row on a step.
    "one place": one_place("Mul"),
    "softmax of looked up ids": (
        [
            NODE("Gather", ["table", "ids"], ["found"]),
            NODE("Softmax", ["found"], ["y"], axis=0),
        ],
        IDS,
        Y,
        TABLE,
    ),
    "half precision": (
        [NODE("Softmax", ["x"], ["y"], axis=0)],
        ("x", "FP16", [4]),
        ("y", "FP16", [4]),
        {},
    ),
}

INDEPENDENT: dict[str, Graph] = {
    "softmax of a row": ([NODE("Softmax", ["x"], ["y"], axis=1)], X, Y, {}),
    "matrix product": (
        [NODE("MatMul", ["x", "table"], ["y"])],
        X,
        Y,
        TABLE,
    ),
    "no answer to negative numbers": ([NODE("Log", ["x"], ["y"])], X, Y, {}),
    "overflow": (
        [NODE("Exp", ["x"], ["y"])],
        ("x", "FP16", [4]),
        ("y", "FP16", [4]),
        {},
    ),
    "flags": (
        [NODE("Not", ["x"], ["y"])],
        ("x", "BOOL", [4]),
        ("y", "BOOL", [4]),
        {},
    ),
    "ids of a small table": (
        [NODE("Gather", ["table", "ids"], ["y"])],
        IDS,
        Y,
        TABLE,
    ),
    "ids of a table of two": (
        [NODE("Gather", ["table", "ids"], ["y"])],
        IDS,
        Y,
        {"table": WEIGHTS[:2]},
    ),
    "a category as a number": (
        [NODE("Cast", ["x"], ["ids"], to=7), NODE("Gather", ["table", "ids"], ["y"])],
        ("x", "FP32", []),
        Y,
        TABLE,
    ),
}


def prepared(folder: Path, **limits: int) -> Any:
    from model_server.model import load_model
    from model_server.preparation import prepare

    values = {"max_batch_rows": 64, "max_request_rows": 128} | limits
    return prepare(load_model(folder, 1), **values)


def refusal(folder: Path, **limits: int) -> list[str]:
    from model_server.manifest import ModelError

    with pytest.raises(ModelError) as caught:
        prepared(folder, **limits)
    return caught.value.problems


def written(folder: Path, graph: Graph, **settings: Any) -> Path:
    nodes, taken, given, constants = graph
    typed = {
        name: value if isinstance(value, np.ndarray) else np.array(value, np.int64)
        for name, value in constants.items()
    }
    return write_graph(folder / "m", nodes, [taken], [given], typed, **settings)


@pytest.mark.parametrize("graph", DEPENDENT.values(), ids=DEPENDENT.keys())
def test_rows_that_depend_on_each_other_are_refused(
    tmp_path: Path, graph: Graph
) -> None:
    folder = written(tmp_path, graph)
    for limits in ({}, {"max_batch_rows": 2}, {"max_batch_rows": 1}):
        (problem,) = refusal(folder, **limits)
        assert "m: version 1: output y: the answer to a row depends on" in problem
        assert "`rows: dependent` in model.yaml" in problem


def test_a_difference_that_large_numbers_hide_is_found(tmp_path: Path) -> None:
    (problem,) = refusal(written(tmp_path, one_place("Add")))
    assert "depends on its place or the number of rows" in problem


@pytest.mark.parametrize("graph", INDEPENDENT.values(), ids=INDEPENDENT.keys())
def test_rows_that_do_not_may_share_a_run(tmp_path: Path, graph: Graph) -> None:
    found = prepared(written(tmp_path, graph))
    assert not found.runs_apart
    assert not found.doubt


@pytest.mark.parametrize("kind", [QuantType.QUInt8, QuantType.QInt8])
def test_a_scale_over_the_whole_batch_is_refused(
    tmp_path: Path, kind: QuantType, caplog: pytest.LogCaptureFixture
) -> None:
    """quantize_dynamic: one row of large numbers takes the others' answers away."""
    caplog.set_level(logging.ERROR)
    folder = written(tmp_path, INDEPENDENT["matrix product"])
    quantize_dynamic(folder / "model.onnx", tmp_path / "small.onnx", weight_type=kind)
    assert not prepared(folder).runs_apart
    (tmp_path / "small.onnx").replace(folder / "model.onnx")
    (problem,) = refusal(folder)
    assert "output y: the answer to a row depends on the rows beside it" in problem


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(20, random_state=0),
        GradientBoostingRegressor(n_estimators=20, random_state=0),
        KNeighborsRegressor(),
        make_pipeline(
            StandardScaler(), MLPClassifier((8, 8), solver="lbfgs", random_state=0)
        ),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_models_that_differ_in_the_last_bits_are_served(
    tmp_path: Path, estimator: Any
) -> None:
    """Sums of trees and products of matrices round otherwise in other batches."""
    rows, labels = made_up_rows(400, 4)
    estimator.fit(rows * np.array([0.01, 1, 30, 1000], np.float32), labels)
    is_classifier = hasattr(estimator, "predict_proba")
    graph = to_onnx(
        estimator,
        rows[:1],
        options={"zipmap": False} if is_classifier else None,
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    outputs: list[dict[str, Any]] = [
        {"name": "variable", "datatype": "FP32", "shape": [-1, 1]}
    ]
    if is_classifier:
        outputs = [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
        ]
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    (tmp_path / "model.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "m",
                "version": "1",
                "revision": "r",
                "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 4]}],
                "outputs": outputs,
            }
        )
    )
    found = prepared(tmp_path)
    assert not found.runs_apart


def test_dependent_rows_are_served_where_model_yaml_says_so(tmp_path: Path) -> None:
    graph = DEPENDENT["softmax over the batch"]
    assert prepared(written(tmp_path, graph, rows="dependent")).runs_apart
    problems = refusal(written(tmp_path / "other", graph, rows="alone"))
    assert "rows: 'alone' must be independent" in problems[0]


def test_what_cannot_be_told_runs_apart(tmp_path: Path) -> None:
    noise = [
        NODE("RandomNormalLike", ["x"], ["noise"]),
        NODE("Add", ["x", "noise"], ["y"]),
    ]
    found = prepared(written(tmp_path / "a", (noise, X, Y, {})))
    assert found.runs_apart
    assert found.doubt == "it answers one row differently each time"
    late = [
        NODE("Sub", ["ids", "first"], ["index"]),
        NODE("Gather", ["table", "index"], ["y"]),
    ]
    graph = (late, IDS, Y, {**TABLE, "first": 10**6})
    found = prepared(written(tmp_path / "b", graph, warm_up={"ids": [10**6]}))
    assert found.runs_apart
    assert found.doubt.startswith("no two different rows were found that it takes")
    rows = {"ids": [10**6, 10**6 + 3]}
    assert not prepared(written(tmp_path / "c", graph, warm_up=rows)).runs_apart
    late = [*late[:1], NODE("Gather", ["table", "index"], ["found"])]
    late.append(NODE("Softmax", ["found"], ["y"], axis=0))
    graph = (late, IDS, Y, {**TABLE, "first": 10**6})
    (problem,) = refusal(written(tmp_path / "d", graph, warm_up=rows))
    assert "output y: the answer to a row depends on" in problem
