"""Tree ensembles answered by the extension, as onnxruntime answers them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import helper
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from benchmarks.model_folder import made_up_rows
from tests.server.conftest import COLUMNS, Tiny
from tests.support import tree_models
from tests.support.model_server import ModelServer, request
from tests.support.prometheus_text import labelled
from tests.support.tree_models import as_classes, export, graph_of, made_up_trees

WIDTH = 6
ROWS, LABELS = made_up_rows(2000, WIDTH)
THREE = LABELS + (ROWS[:, 3] > 0)
WORDS = np.array(["no", "yes"])[LABELS]


@pytest.fixture(scope="module", autouse=True)
def extension() -> Iterator[None]:
    with tree_models.extension_loaded():
        yield


def evaluated(folder: Path) -> tuple[Any, str]:
    """The loaded model, and why onnxruntime evaluates it, if it does."""
    from model_server.model import load_model
    from model_server.tree_evaluator import evaluate_trees

    model = load_model(folder, 1)
    return model, evaluate_trees(model, [])


def assert_alike(folder: Path, rows: np.ndarray, tolerance: float = 0.0) -> None:
    """The extension evaluates the model, with the answers of onnxruntime."""
    from model_server.model import load_model

    model, why = evaluated(folder)
    assert (model.evaluator, why) == ("tree_masks", "")
    own = model.run([rows.tobytes()])
    other = load_model(folder, 1)
    assert other.evaluator == "onnxruntime"
    theirs = other.run([rows.tobytes()])
    for mine, wanted in zip(own, theirs, strict=True):
        assert mine.dtype == wanted.dtype
        assert mine.shape == wanted.shape
        if mine.dtype == np.float32:
            assert np.abs(mine - wanted).max() <= tolerance
        else:
            assert (mine == wanted).all()


@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=15), LABELS),
        (HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=31), WORDS),
        (HistGradientBoostingClassifier(max_iter=9, max_leaf_nodes=60), THREE),
        (GradientBoostingClassifier(n_estimators=20), LABELS),
        (GradientBoostingClassifier(n_estimators=10), THREE),
        (RandomForestClassifier(10, max_depth=6), LABELS),
        (RandomForestClassifier(10, max_depth=5), THREE),
        (DecisionTreeClassifier(max_depth=1), LABELS),
        (ExtraTreesRegressor(10, max_depth=6), ROWS[:, 0]),
        (GradientBoostingRegressor(n_estimators=20), ROWS[:, 0]),
        (HistGradientBoostingRegressor(max_iter=20), ROWS[:, 0]),
        (RandomForestRegressor(10, max_depth=4), ROWS[:, :3]),
    ],
    ids=lambda it: type(it).__name__,
)
def test_what_scikit_learn_exports(
    estimator: Any, target: np.ndarray, tmp_path: Path
) -> None:
    estimator.fit(ROWS[:500], target[:500])
    # exp() comes from the C library of either: a unit in the last place at most.
    assert_alike(export(tmp_path / "trees", estimator, WIDTH), ROWS, 1.2e-7)


@pytest.mark.parametrize("seed", range(12))
def test_every_comparison_on_every_number(seed: int, tmp_path: Path) -> None:
    source = np.random.default_rng(seed)
    attributes = made_up_trees(source, leaves=(12, 30, 64)[seed % 3])
    values = [-1.5, 0, -0.0, 0.1, 1, 3, 1e-45, -1e-45, 3e38, np.nan, np.inf, -np.inf]
    beside = np.nextafter(np.float32(values), np.float32(source.choice([-9, 9])))
    rows = source.choice([*values, *beside], (3000, 5)).astype(np.float32)
    assert_alike(
        tree_models.write_graph(tmp_path / "a", graph_of(attributes, 5), 5), rows
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"post_transform": "LOGISTIC", "base_values": [0.25]},
        {"class_weights": "positive"},
    ],
    ids=str,
)
def test_two_classes(settings: dict[str, Any], tmp_path: Path) -> None:
    found = made_up_trees(np.random.default_rng(5))
    attributes = as_classes(found, **settings)
    if settings.get("class_weights"):
        attributes["class_weights"] = [abs(it) / 7 for it in found["target_weights"]]
    folder = tree_models.write_graph(tmp_path / "a", graph_of(attributes, 5), 5)
    rows = np.random.default_rng(6).normal(size=(2000, 5)).astype(np.float32)
    assert_alike(folder, rows, 1.2e-7)


@pytest.mark.parametrize(
    "settings",
    [{"base_values": [1.0, 2.0, -3.0]}, {"aggregate_function": "AVERAGE"}],
    ids=str,
)
def test_several_targets(settings: dict[str, Any], tmp_path: Path) -> None:
    found = made_up_trees(np.random.default_rng(7), modes=["LEQ"])
    ids = [tree % 3 for tree in found["target_treeids"]]
    attributes = {**found, "n_targets": 3, "target_ids": ids, **settings}
    folder = tree_models.write_graph(tmp_path / "a", graph_of(attributes, 5), 5)
    rows = np.random.default_rng(8).normal(size=(500, 5)).astype(np.float32)
    assert_alike(folder, rows)


def test_only_some_outputs_in_another_order(tmp_path: Path) -> None:
    classifier = HistGradientBoostingClassifier(max_iter=5).fit(ROWS, WORDS)
    folder = export(tmp_path / "trees", classifier, WIDTH)
    content = yaml.safe_load((folder / "model.yaml").read_text())
    label, scores = content["outputs"]
    for outputs in ([scores, label], [scores], [label]):
        text = yaml.safe_dump(content | {"outputs": outputs})
        (folder / "model.yaml").write_text(text)
        assert_alike(folder, ROWS, 1.2e-7)


def regression(change: Callable[[dict[str, Any]], object]) -> Any:
    """A graph of trees with something changed in its attributes."""
    attributes = made_up_trees(np.random.default_rng(1))
    change(attributes)
    return graph_of(attributes, 5)


def two_classes(change: Callable[[dict[str, Any]], object]) -> Any:
    attributes = as_classes(made_up_trees(np.random.default_rng(1)))
    change(attributes)
    return graph_of(attributes, 5)


def both_classes(attributes: dict[str, Any]) -> None:
    """Let every second leaf vote for the second class."""
    count = len(attributes["class_ids"])
    attributes["class_ids"] = [number % 2 for number in range(count)]


def silent_target(attributes: dict[str, Any]) -> None:
    """Let no leaf of a tree always speak of the second target, which has a base."""
    count = len(attributes["target_ids"])
    ids = [number % 2 for number in range(count)]
    attributes.update(n_targets=2, target_ids=ids, base_values=[0.0, 5.0])


def beyond_the_trees() -> Any:
    found = graph_of(made_up_trees(np.random.default_rng(1)), 5)
    found.graph.node[0].output[0] = "raw"
    found.graph.node.append(helper.make_node("Sigmoid", ["raw"], ["scores"]))
    return found


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (lambda: regression(lambda it: it.update(aggregate_function="MAX")), "b'MAX'"),
        (lambda: regression(lambda it: it.update(post_transform="PROBIT")), "PROBIT"),
        (lambda: two_classes(lambda it: it.update(post_transform="PROBIT")), "PROBIT"),
        (
            lambda: graph_of(made_up_trees(np.random.default_rng(2), leaves=400), 5),
            "more than 64 leaves",
        ),
        (beyond_the_trees, "another node beside the trees: Sigmoid"),
        (lambda: two_classes(both_classes), "a weight of class 1"),
        (lambda: regression(silent_target), "a target has a base, and no tree"),
    ],
)
def test_what_is_left_to_onnxruntime(
    graph: Callable[[], Any], reason: str, tmp_path: Path
) -> None:
    model, why = evaluated(tree_models.write_graph(tmp_path / "a", graph(), 5))
    assert model.evaluator == "onnxruntime"
    assert reason in why
    assert model.run([ROWS[:2, :5].tobytes()])


def test_other_models_are_left_to_onnxruntime(tmp_path: Path) -> None:
    model, why = evaluated(
        export(tmp_path / "a", LogisticRegression().fit(ROWS, LABELS), WIDTH)
    )
    assert model.evaluator == "onnxruntime"
    assert "not a single tree ensemble" in why


def test_tables_that_would_be_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_server import tree_graph, tree_tables

    folder = export(
        tmp_path / "a", DecisionTreeClassifier().fit(ROWS[:50], LABELS[:50]), WIDTH
    )
    monkeypatch.setattr(tree_tables, "MOST_BYTES", 100)
    assert "100 at most" in evaluated(folder)[1]
    monkeypatch.setattr(tree_graph, "MOST_FIELDS", 100)
    assert "more than 100 values" in evaluated(folder)[1]
    monkeypatch.setattr(tree_graph, "MOST_FILE_BYTES", 100)
    assert "bytes, 100 at most" in evaluated(folder)[1]


@pytest.mark.parametrize("table", ["leaves", "masks", "bases", "thresholds"])
def test_an_evaluator_that_errs_is_not_used(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_server import tree_evaluator

    def spoilt(*arguments: Any) -> Any:
        tables = made(*arguments)
        values = getattr(tables, table).copy()
        if table == "masks":
            values[0, 0] = 1 << 2
        elif table == "thresholds":
            values = np.nextafter(values, np.float32(np.inf))
        else:
            values.ravel()[0] += 1e-3
        return replace(tables, **{table: values})

    made = tree_evaluator.make_tables
    monkeypatch.setattr(tree_evaluator, "make_tables", spoilt)
    classifier = HistGradientBoostingClassifier(max_iter=10).fit(ROWS, LABELS)
    model, why = evaluated(export(tmp_path / "a", classifier, WIDTH))
    assert (model.evaluator, why) == ("onnxruntime", "onnxruntime answers otherwise")


def test_the_rows_of_the_folder_are_compared_too(tmp_path: Path) -> None:
    from model_server.tree_check import compare
    from model_server.tree_graph import NotTreesError

    special = ROWS[:1].tobytes()

    def theirs(buffers: Any) -> list[np.ndarray]:
        rows = np.frombuffer(buffers[0], np.float32).reshape(-1, WIDTH)
        return [rows[:, 0] * 0]

    def ours(buffers: Any) -> list[np.ndarray]:
        (found,) = theirs(buffers)
        return [found + (special in buffers[0])]

    compare(ours, theirs, [], WIDTH, {})
    with pytest.raises(NotTreesError, match="answers otherwise"):
        compare(ours, theirs, [special], WIDTH, {})


def test_threads_share_an_evaluator(tmp_path: Path) -> None:
    classifier = HistGradientBoostingClassifier(max_iter=30).fit(ROWS, LABELS)
    model, _ = evaluated(export(tmp_path / "a", classifier, WIDTH))
    expected = model.run([ROWS.tobytes()])[1]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: model.run([ROWS.tobytes()])[1], range(40)))
    assert all((it == expected).all() for it in found)


def test_a_missing_extension_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import sys

    from model_server import tree_evaluator

    folder = export(
        tmp_path / "a", DecisionTreeClassifier(max_depth=2).fit(ROWS, LABELS), WIDTH
    )
    monkeypatch.setitem(sys.modules, "tree_masks", None)
    tree_evaluator.extension.cache_clear()
    with caplog.at_level(logging.INFO, "model_server"):
        for _ in range(2):
            model, why = evaluated(folder)
            assert (model.evaluator, why) == (
                "onnxruntime",
                "the extension cannot be loaded",
            )
    assert [it.message[:55] for it in caplog.records] == [
        "tree ensembles are evaluated by onnxruntime: the extens"
    ]
    monkeypatch.undo()
    tree_evaluator.extension.cache_clear()


@pytest.mark.parametrize("evaluator", ["tree_masks", "onnxruntime"])
def test_the_server_says_what_evaluates(
    evaluator: str, models: Path, tiny: Tiny, log_folder: Path
) -> None:
    setting = "auto" if evaluator == "tree_masks" else evaluator
    server = ModelServer(models, log_folder, EVALUATOR=setting)
    server.environment["PYTHONPATH"] += f":{tree_models.extension_folder()}"
    with server:
        metadata = server.client.get("/v2/models/tiny").json()
        assert metadata["parameters"]["evaluator"] == evaluator
        text = server.client.get("/metrics").text
        ((labels, value),) = labelled(text, "model_evaluator")
        assert (labels["evaluator"], value) == (evaluator, 1)
        rows = tiny.rows[:50].ravel().tolist()
        answer = server.client.post("/infer", json=request(rows, COLUMNS)).json()
        scores = np.reshape(answer["outputs"][1]["data"], (-1, 2))
        assert np.abs(scores - tiny.probabilities()[:50]).max() < 1e-6
        (loaded,) = [it for it in server.logs() if it["message"] == "model loaded"]
    assert loaded["evaluator"] == evaluator
    assert bool(loaded["not_trees"]) == (evaluator == "onnxruntime")


def test_an_unknown_evaluator_is_refused() -> None:
    from model_server.config import ConfigError, read

    with pytest.raises(ConfigError, match="must be auto or onnxruntime"):
        read({"MODEL_SERVER_EVALUATOR": "gpu"})
