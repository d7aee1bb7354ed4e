"""Which files a model is read from: the graph and the external data it names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from tests.support.model_server import SERVER, ModelServer
from tests.support.onnx_models import entry, external, sha256, write_model

COLUMNS = 4
WEIGHTS = np.arange(COLUMNS * 2, dtype=np.float32).reshape(COLUMNS, 2)
INPUTS = [entry("x", "FP32", [-1, COLUMNS])]
OUTPUTS = [entry("y", "FP32", [-1, 2])]
PRODUCT = helper.make_node("MatMul", ["x", "w"], ["y"])


def write_external(
    folder: Path,
    location: str = "weights.bin",
    *,
    digests: dict[str, str] | None = None,
    tensor: onnx.TensorProto | None = None,
) -> Path:
    """Write a model whose weights lie in a file of its own, listed if it exists."""
    write_model(
        folder,
        [PRODUCT],
        INPUTS,
        OUTPUTS,
        initializers=[tensor or external("w", WEIGHTS, location)],
    )
    file = folder / location
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(WEIGHTS.tobytes())
    listed = {location.removeprefix("./"): sha256(file)}
    list_files(folder, listed if digests is None else digests)
    return folder


def list_files(folder: Path, digests: dict[str, str]) -> None:
    file = folder / "model.yaml"
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**content, "digests": digests}))


def problems_of(folder: Path) -> list[str]:
    from model_server.manifest import ModelError
    from model_server.model import load_model

    try:
        load_model(folder, 1)
    except ModelError as error:
        return error.problems
    return []


@pytest.mark.parametrize("location", ["weights.bin", "data/part-0.bin", "./w.bin"])
def test_external_data_that_is_listed_is_served(
    tmp_path: Path, log_folder: Path, location: str
) -> None:
    write_external(tmp_path / "models/apart", location)
    row = {"name": "x", "datatype": "FP32", "shape": [1, COLUMNS], "data": [1, 0, 0, 1]}
    with ModelServer(tmp_path / "models", log_folder) as server:
        answer = server.client.post("/infer", json={"inputs": [row]})
    assert answer.json()["outputs"][0]["data"] == [6, 8]


def test_what_is_not_the_listed_is_refused(tmp_path: Path) -> None:
    """Each by its name, and with what to do about it."""
    unlisted = write_external(tmp_path / "unlisted", digests={})
    digest = sha256(unlisted / "weights.bin")
    (problem,) = problems_of(unlisted)
    assert "weights.bin: the graph reads its weights from it" in problem
    assert f"add to digests: weights.bin: {digest}" in problem
    list_files(unlisted, {"weights.bin": ""})
    assert "does not list it" in problems_of(unlisted)[0]

    changed = write_external(tmp_path / "changed")
    (changed / "weights.bin").write_bytes(bytes(32))
    (problem,) = problems_of(changed)
    assert "weights.bin: its digest is sha256:" in problem

    gone = write_external(tmp_path / "gone")
    (gone / "weights.bin").unlink()
    (problem,) = problems_of(gone)
    assert "weights.bin: the graph reads its weights from it; No such file" in problem

    # What is listed is checked although no graph reads it; other digests are not files.
    beside = write_external(tmp_path / "beside")
    (beside / "reference.json").write_text("{}")
    listed = {
        "weights.bin": sha256(beside / "weights.bin"),
        "reference.json": sha256(beside / "reference.json"),
        "data": "sha256:" + "0" * 64,
    }
    list_files(beside, listed)
    assert problems_of(beside) == []
    (beside / "reference.json").write_text("[]")
    assert "reference.json: its digest" in problems_of(beside)[0]


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "several"
    write_model(
        folder,
        [PRODUCT, helper.make_node("Add", ["y0", "b"], ["y"])],
        INPUTS,
        OUTPUTS,
        initializers=[
            external("w", WEIGHTS, "w.bin"),
            external("b", WEIGHTS[0], "b.bin"),
        ],
    )
    (folder / "b.bin").write_bytes(WEIGHTS[0].tobytes())
    list_files(folder, {"model.onnx": "sha256:" + "0" * 64})
    found = problems_of(folder)
    assert [problem.split(": ")[1] for problem in found] == [
        "model.onnx",
        "b.bin",
        "w.bin",
    ]


def test_nothing_outside_of_the_folder_is_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside.bin"
    outside.write_bytes(WEIGHTS.tobytes())
    listed = {"../outside.bin": sha256(outside)}
    up = write_external(tmp_path / "up", "../outside.bin", digests=listed)
    assert "'../outside.bin' is outside the model folder" in problems_of(up)[0]
    absolute = write_external(
        tmp_path / "absolute", str(outside), digests={str(outside): sha256(outside)}
    )
    assert "is outside" in problems_of(absolute)[0]
    link = write_external(tmp_path / "link")
    (link / "weights.bin").unlink()
    (link / "weights.bin").symlink_to(outside)
    assert "is outside" in problems_of(link)[0]
    graph = write_external(tmp_path / "graph")
    (graph / "model.onnx").rename(tmp_path / "model.onnx")
    (graph / "model.onnx").symlink_to(tmp_path / "model.onnx")
    assert "'model.onnx' is outside" in problems_of(graph)[0]


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    """A Kubernetes volume's files are such links, and the folder may be one itself."""
    folder = write_external(tmp_path / "volume")
    (folder / "..2026").mkdir()
    (folder / "..data").symlink_to("..2026")
    for name in ("model.onnx", "model.yaml", "weights.bin"):
        (folder / name).rename(folder / "..2026" / name)
        (folder / name).symlink_to(f"..data/{name}")
    (tmp_path / "other").symlink_to(folder)
    assert problems_of(tmp_path / "other") == []


def branch(name: str, tensor: onnx.TensorProto) -> onnx.GraphProto:
    """A subgraph that gives a tensor of its own."""
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, tensor.dims)
    node = helper.make_node("Identity", [tensor.name], [name])
    return helper.make_graph([node], name, [], [output], [tensor])


def places() -> dict[str, onnx.ModelProto]:
    """Graphs with external data in each place where a tensor can stand."""
    w = external("w", WEIGHTS, "here.bin")
    plain = numpy_helper.from_array(WEIGHTS, "p")
    node = helper.make_node("Constant", [], ["y"], value=w)
    choice = helper.make_node(
        "If",
        ["x"],
        ["y"],
        then_branch=branch("a", w),
        else_branch=branch("b", plain),
    )
    sparse = helper.make_sparse_tensor(w, plain, [COLUMNS, 2])
    graphs = {
        "initializer": helper.make_graph([PRODUCT], "g", [], [], [plain, w]),
        "attribute": helper.make_graph([node], "g", [], []),
        "subgraph": helper.make_graph([choice], "g", [], []),
        "subgraph of a subgraph": helper.make_graph(
            [
                helper.make_node(
                    "Loop",
                    [],
                    ["y"],
                    body=helper.make_graph([choice], "inner", [], []),
                )
            ],
            "g",
            [],
            [],
        ),
        "list of tensors": helper.make_graph(
            [helper.make_node("Of", [], ["y"], domain="mine", tensors=[plain, w])],
            "g",
            [],
            [],
        ),
        "sparse initializer": helper.make_graph(
            [PRODUCT], "g", [], [], sparse_initializer=[sparse]
        ),
        "sparse attribute": helper.make_graph(
            [helper.make_node("Constant", [], ["y"], sparse_value=sparse)],
            "g",
            [],
            [],
        ),
    }
    models = {key: helper.make_model(graph) for key, graph in graphs.items()}
    function = helper.make_function(
        "mine", "f", [], ["y"], [node], [helper.make_opsetid("", 18)]
    )
    empty = helper.make_graph([], "g", [], [])
    models["function"] = helper.make_model(empty, functions=[function])
    training = helper.make_model(empty)
    training.training_info.add().algorithm.CopyFrom(graphs["initializer"])
    models["training"] = training
    return models


@pytest.mark.parametrize("place", places())
def test_external_data_are_found_wherever_they_stand(
    tmp_path: Path, place: str
) -> None:
    from model_server.onnx_files import external_files

    file = tmp_path / "model.onnx"
    file.write_bytes(places()[place].SerializeToString())
    assert external_files(file) == {"here.bin"}
    tensor = external("w", WEIGHTS, "there.bin")
    tensor.data_location = TensorProto.DEFAULT  # onnxruntime reads no file for it
    graph = helper.make_graph([PRODUCT], "g", [], [], [tensor])
    file.write_bytes(helper.make_model(graph).SerializeToString())
    assert external_files(file) == set()


def test_a_graph_cut_anywhere_is_refused_without_a_traceback(tmp_path: Path) -> None:
    from model_server.onnx_files import external_files

    whole = places()["subgraph"].SerializeToString()
    file = tmp_path / "model.onnx"
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        try:
            external_files(file)
        except ValueError as error:
            assert "it ends within a" in str(error)  # noqa: PT017, not all are cut


MEGABYTES = 128
MEASURE = """
import sys, json
sys.path.insert(0, sys.argv[1])
import numpy, onnxruntime
import model_server.model
from pathlib import Path
folder = Path(sys.argv[3])
if sys.argv[2] == "ours":
    kept = model_server.model.load_model(folder, 1)
else:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    kept = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
for line in open("/proc/self/status"):
    if line.startswith("VmRSS"):
        print(line.split()[1])
"""


def resident_megabytes(way: str, folder: Path) -> float:
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(SERVER), way, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return int(run.stdout) / 1000


@pytest.mark.parametrize("is_external", [False, True], ids=["one file", "two files"])
def test_a_loaded_model_is_held_once(tmp_path: Path, is_external: bool) -> None:
    """Memory after load stays within 1.3 times that of a session by path."""
    side = int((MEGABYTES * 1e6 / 4) ** 0.5)
    values = np.ones((side, side), np.float32)
    values[:, 0] = np.arange(side)
    folder = tmp_path / "large"
    weights = (
        external("w", values, "w.bin")
        if is_external
        else numpy_helper.from_array(values, "w")
    )
    write_model(
        folder,
        [PRODUCT],
        [entry("x", "FP32", [-1, side])],
        [entry("y", "FP32", [-1, side])],
        initializers=[weights],
    )
    digests = {}
    if is_external:
        (folder / "w.bin").write_bytes(values.tobytes())
        digests = {"w.bin": sha256(folder / "w.bin")}
    list_files(folder, digests | {"model.onnx": sha256(folder / "model.onnx")})
    ours = resident_megabytes("ours", folder)
    by_path = resident_megabytes("by path", folder)
    assert by_path > MEGABYTES, "the session does not hold what was written"
    assert ours < 1.3 * by_path, json.dumps({"ours": ours, "by path": by_path})
