"""`slipway optimize` on real models: what passes, what is refused, what is written."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import onnx
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result
from model_server.manifest import read_manifest
from onnx import numpy_helper

from components.training.settings import JobsSettings
from slipway.cli import cli
from slipway.optimize import candidate, folders, gpu_jobs, memory, search_path
from slipway.optimize.candidate import Bench, Original, examine, served
from slipway.optimize.recipes import RECIPES, Recipe, Source
from slipway.optimize.rows import read
from tests.support import optimized, tree_models
from tests.support.contracts import contract
from toolchain.errors import OperatorError

KINDS = {"text": str, "number": (int, float), "names": dict, "checks": list}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return optimized.write(tmp_path_factory.mktemp("network"), optimized.network())


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return optimized.write(tmp_path_factory.mktemp("trees"), optimized.trees())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return optimized.write_rows(tmp_path_factory.mktemp("rows") / "rows.npz")


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run has 64 rows at most; nothing is compiled but where a test asks for it."""

    def refuse() -> Path:
        raise OperatorError("no compiler")

    monkeypatch.setenv("MODEL_SERVER_MAX_BATCH_ROWS", "64")
    monkeypatch.setattr(search_path, "compiled", refuse)
    monkeypatch.setattr(search_path, "_extension", [])


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, network: Path) -> Callable[[float], None]:
    """The command finds candidates so many times as fast as the network."""

    def at(speed: float) -> None:
        made = optimized.bench(network, speed)
        given = {"stopwatch": made.stopwatch, "weigh": made.weigh}
        monkeypatch.setattr(candidate, "Bench", partial(Bench, **given))

    return at


def run(folder: Path, data: Path, *words: object) -> Result:
    given = ["optimize", str(folder), "--data", str(data), *map(str, words)]
    return CliRunner().invoke(cli, given)


def original(folder: Path, data: Path, **settings: Any) -> Original:
    rows = read(data, read_manifest(folder / "model.yaml"), "label", [optimized.TOWN])
    return Original(folder, rows, optimized.bench(folder, **settings))


def content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "model.yaml").read_text())
    return found


def test_a_candidate_that_passes_is_a_revision_that_a_server_serves(
    network: Path, data: Path, tmp_path: Path, timed: Callable[[float], None]
) -> None:
    timed(1.5)
    out = tmp_path / "new"
    words = ("--recipe", "static_int8", "--group", "town", "--out", out)
    done = run(network, data, *words)
    assert done.exit_code == 0, done.output
    made, before = content(out), content(network)
    assert f"{out}: revision {made['revision']}" in done.output
    assert made["revision"] != before["revision"]
    weights = hashlib.sha256((out / "model.onnx").read_bytes()).hexdigest()
    assert made["digests"] == {"model.onnx": f"sha256:{weights}"}
    derived = made["derived_from"]
    assert derived["revision"] == before["revision"]
    assert derived["recipe"] == "static_int8"
    assert derived["data"] == f"sha256:{hashlib.sha256(data.read_bytes()).hexdigest()}"
    parts = {it.get("part") for it in derived["checks"] if it["measure"] == "accuracy"}
    assert "all rows (6,000)" in parts
    assert {it.partition("=")[0] for it in parts} >= {"f3", "town"}
    assert set(made["metrics"]) == {"gate"}
    reference = json.loads((out / "reference.json").read_text())
    assert reference == {"revision": made["revision"], "rows": 3}
    # The same check as at a server's start, with the new answers in examples.json.
    bench = optimized.bench(network)
    prepared = served(out, bench.config, "auto")
    assert (prepared.examples, prepared.runs_apart) == (10, False)
    kinds = {it.op_type for it in onnx.load(out / "model.onnx").graph.node}
    assert "QuantizeLinear" in kinds
    # Again: the same revision, whatever was measured.
    timed(1.6)
    again = run(network, data, *words[:-1], tmp_path / "again")
    assert made["revision"] in again.output


def test_what_is_written_is_what_the_contract_says(
    network: Path, data: Path, tmp_path: Path, timed: Callable[[float], None]
) -> None:
    timed(1.5)
    out = tmp_path / "new"
    assert run(network, data, "--recipe", "static_int8", "--out", out).exit_code == 0
    derived, said = content(out)["derived_from"], contract("derived_model")
    assert misfits(derived, said["derived_from"]) == []
    for check in derived["checks"]:
        assert misfits(check, said["check"]) == []


def misfits(given: dict[str, Any], fields: dict[str, Any]) -> list[str]:
    found = sorted(set(given) - set(fields))
    for name, field in fields.items():
        if name in given and isinstance(given[name], KINDS[field["kind"]]):
            continue
        if name in given or not field.get("optional"):
            found.append(name)
    return found


def test_a_candidate_that_is_not_faster_is_not_written(
    network: Path, data: Path, tmp_path: Path, timed: Callable[[float], None]
) -> None:
    timed(1.02)
    out = tmp_path / "new"
    done = run(network, data, "--recipe", "static_int8", "--out", out, "--json")
    assert done.exit_code == 1
    assert "No candidate passes" in done.stderr
    (found,) = json.loads(done.stdout)["candidates"]
    failed = [it["measure"] for it in found["checks"] if it["passed"] is False]
    assert failed == ["gain"]
    assert not out.exists()


def test_a_failure_shows_the_table(
    network: Path, data: Path, timed: Callable[[float], None]
) -> None:
    timed(0.5)
    done = run(network, data, "--recipe", "static_int8")
    assert done.exit_code == 1
    assert "static_int8 fails" in done.stdout
    for word in ("accuracy", "labels", "speed", "gain", "memory", "size", "fails"):
        assert word in done.stdout


def test_a_scale_over_the_whole_run_is_refused_unless_requests_run_apart(
    network: Path, data: Path, tmp_path: Path
) -> None:
    refused = examine(
        original(network, data), RECIPES["dynamic_int8"], tmp_path / "together"
    )
    (loads,) = refused.checks
    assert (loads.measure, loads.passed) == ("loads", False)
    assert "the answer to a row depends on the rows beside it" in loads.found
    one = original(network, data, dependent_rows=True)
    apart = examine(one, RECIPES["dynamic_int8"], tmp_path / "apart")
    assert content(tmp_path / "apart")["rows"] == "dependent"
    notes = {(it.measure, it.part): it for it in apart.checks if it.passed is None}
    assert ("speed", "16 requests at once") in notes
    # One row a thousand times as large takes much of what the others have learned.
    outlier = float(notes["accuracy", "beside an outlier"].found.split(",")[0])
    assert outlier < apart.accuracy - 0.1


def test_accuracy_is_of_rows_by_themselves_and_in_company(
    network: Path, data: Path, tmp_path: Path
) -> None:
    """A model that one group's rows lose: that group fails, and the other does not."""

    def make(source: Source, target: Path) -> None:
        model = onnx.load(source.graph)
        for tensor in model.graph.initializer:
            if tensor.dims == [optimized.COLUMNS, 64]:
                weights = numpy_helper.to_array(tensor).copy()
                weights[3] -= 40 * np.sign(weights[0])
                tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
        onnx.save(model, target)

    spoiled = Recipe("spoiled", "f3 outweighs f0", make)
    verdict = examine(original(network, data), spoiled, tmp_path / "spoiled")
    assert not verdict.passed
    failed = {it.part for it in verdict.checks if it.passed is False}
    assert any(it.startswith("f3=1") for it in failed)
    assert not any(it.startswith("f3=0") for it in failed)


def test_a_network_has_no_trees_and_trees_no_products(
    network: Path, trees: Path, data: Path, tmp_path: Path
) -> None:
    one = original(network, data)
    verdict = examine(one, RECIPES["tree_masks"], tmp_path / "masks")
    assert not verdict.passed
    assert verdict.inapplicable == "the graph has no trees"
    one = original(trees, data)
    for name in ("dynamic_int8", "static_int8"):
        verdict = examine(one, RECIPES[name], tmp_path / name)
        assert "the graph has no MatMul and no Gemm" in verdict.inapplicable


def test_without_a_compiler_trees_cannot_be_tried(trees: Path, data: Path) -> None:
    done = run(trees, data, "--recipe", "tree_masks")
    assert done.exit_code == 1
    assert "tree_masks: cannot be tried: the extension of the model" in done.stdout
    assert "no compiler" in done.stdout


def test_trees_by_masks_are_a_revision_with_the_same_weights(
    trees: Path, data: Path, tmp_path: Path
) -> None:
    with tree_models.extension_loaded():
        one = original(trees, data)
        verdict = examine(one, RECIPES["tree_masks"], tmp_path / "masks")
    assert verdict.passed, verdict
    folders.derive(
        tmp_path / "masks",
        trees,
        verdict.recipe,
        checks=verdict.checks,
        data="sha256:0",
        metrics={},
    )
    made, before = content(tmp_path / "masks"), content(trees)
    assert made["digests"] == before["digests"]
    assert made["metrics"] == before["metrics"]
    assert made["revision"] != before["revision"]
    assert made["derived_from"]["recipe"] == "tree_masks"


def test_memory_is_that_of_a_process_of_its_own(
    network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "TIMES", 1)
    assert 20 < memory.resident_mib(network, "onnxruntime") < 2000


def test_all_that_is_wrong_with_rows_is_said_at_once(
    network: Path, data: Path, tmp_path: Path
) -> None:
    table = tmp_path / "rows.parquet"
    duckdb.execute(
        "copy (select 1.5 as f0, 'x' as f1, null::double as f2) "
        f"to '{table}' (format parquet)"
    )
    done = run(network, table, "--group", "town")
    assert done.exit_code == 2
    assert "5 problems" in done.output
    for text in (
        "f1: has no numbers",
        "f2: some rows have no value",
        "the feature f3 is not there",
        "--label label is not there",
        "the group town is not there",
    ):
        assert text in done.output
    arrays = tmp_path / "rows.npz"
    np.savez(arrays, X=np.zeros((3, 5)), label=np.zeros(3), town=np.array(["a"]))
    done = run(network, arrays, "--group", "town")
    assert "X: float64 [3, 5]; the model takes FP32 [-1, 4]" in done.output
    few = tmp_path / "few.npz"
    np.savez(few, X=np.zeros((2511, 4)), label=np.zeros(2511))
    assert "has 2,511 rows, and 2,512 are the least" in run(network, few).output
    for other, text in (
        (tmp_path / "rows.txt", "give one of .parquet, .csv, .npz"),
        (tmp_path / "broken.npz", "cannot be read"),
        (tmp_path / "broken.parquet", "cannot be read"),
    ):
        other.write_text("no rows")
        done = run(network, other)
        assert (done.exit_code, text in done.output) == (2, True), done.output


def test_a_folder_that_is_there_is_left_alone(network: Path, data: Path) -> None:
    done = run(network, data, "--out", network)
    assert done.exit_code == 2
    assert "is there already" in done.output


def test_a_model_that_no_server_would_serve(
    network: Path, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for file in network.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "model.onnx").write_bytes(b"no graph")
    done = run(folder, data)
    assert done.exit_code == 2
    assert "no server would serve it" in done.output


def test_tables_and_arrays_give_the_same_rows(network: Path, tmp_path: Path) -> None:
    manifest = read_manifest(network / "model.yaml")
    values, labels = optimized.rows()
    found = []
    table = pd.DataFrame({f"f{it}": values[:, it] for it in range(optimized.COLUMNS)})
    table = table.assign(label=labels, town=optimized.towns())
    arrays = tmp_path / "rows.npz"
    np.savez(arrays, X=values, label=labels, town=optimized.towns())
    found.append(read(arrays, manifest, "label", ["town"]))
    with duckdb.connect() as connection:
        connection.register("rows", table)
        for kind in ("parquet", "csv"):
            file = tmp_path / f"rows.{kind}"
            connection.execute(f"copy rows to '{file}' (format {kind})")
            found.append(read(file, manifest, "label", ["town"]))
    first = found[0]
    assert {name: sorted(set(it)) for name, it in first.groups.items()} == {
        "f3": ["0", "1"],
        "town": ["Ayr", "Bath"],
    }
    for other in found[1:]:
        assert (other.inputs[0] == first.inputs[0]).all()
        assert (other.labels == first.labels).all()
        for name, group in first.groups.items():
            assert (other.groups[name] == group).all()


def test_rows_that_calibrate_do_not_judge(network: Path, data: Path) -> None:
    rows = read(data, read_manifest(network / "model.yaml"), "label", [])
    first, second = rows.divided()
    known = {row.tobytes() for row in first.inputs[0]}
    assert len(known) == 512
    assert not known & {row.tobytes() for row in second.inputs[0]}
    assert len(second.labels) == optimized.JUDGING_ROWS


@pytest.mark.parametrize("recipe", sorted(gpu_jobs.STEPS))
def test_a_recipe_for_gpus_is_a_job_that_a_stack_takes(
    network: Path, recipe: str
) -> None:
    done = CliRunner().invoke(cli, ["optimize", str(network), "--gpu-job", recipe])
    assert done.exit_code == 0, done.output
    assert "was tried on no GPU" in done.stderr
    (found,) = yaml.safe_load(done.stdout)["slipway:training"].items()
    name, given = found
    assert name == f"tiny-{recipe.replace('_', '-')}"
    JobsSettings.model_validate({"training": {name: given}})
    script = given["command"][2]
    # What a shell would run, word by word.
    steps = [shlex.split(line) for line in script.splitlines()]
    assert [words[0] for words in steps] == ["mkdir", "python3", "trtexec"]
    made = next(it for it in steps[1] if it.startswith("--output_path="))
    assert f"--onnx={made.partition('=')[2]}" in steps[2]
    assert {"--minShapes=X:1x4", "--maxShapes=X:256x4"} < set(steps[2])


def test_a_job_for_gpus_needs_inputs_of_fixed_sizes(
    network: Path, tmp_path: Path
) -> None:
    manifest = content(network)
    manifest["inputs"][0]["shape"] = [-1, -1]
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(manifest))
    done = CliRunner().invoke(cli, ["optimize", str(tmp_path), "--gpu-job", "gpu_int8"])
    assert (done.exit_code, "X: has dimensions of no" in done.output) == (2, True)
