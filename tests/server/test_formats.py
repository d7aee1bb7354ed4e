"""The format of a model folder: ONNX or a SavedModel; here without TensorFlow."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

CONTENT: dict[str, Any] = {
    "name": "m",
    "version": "1",
    "revision": "r",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
}


def written(folder: Path, **content: Any) -> Path:
    """Write the model.yaml of a folder; return its path."""
    file = folder / "model.yaml"
    file.write_text(yaml.safe_dump(CONTENT | content))
    return file


def read(folder: Path, **content: Any) -> Any:
    from model_server.manifest import read_manifest

    return read_manifest(written(folder, **content))


def problems(folder: Path, **content: Any) -> list[str]:
    """What is wrong with a model folder."""
    from model_server.manifest import ModelError
    from model_server.model import load_model

    written(folder, **content)
    with pytest.raises(ModelError) as caught:
        load_model(folder, 1)
    return caught.value.problems


def test_the_format_is_onnx_where_none_is_named(tmp_path: Path) -> None:
    assert (read(tmp_path).format, read(tmp_path).signature) == ("onnx", "")
    saved = read(tmp_path, format="savedmodel")
    assert (saved.format, saved.signature) == ("savedmodel", "serving_default")
    named = read(tmp_path, format="savedmodel", signature="score")
    assert named.signature == "score"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"format": "tensorflow"}, "format: 'tensorflow' must be onnx or savedmodel"),
        ({"format": 1}, "format: 1 must be onnx or savedmodel"),
        ({"signature": "score"}, "signature: a model of the format onnx has none"),
        ({"format": "savedmodel", "signature": 1}, "signature: 1 must be the name"),
        ({"format": "savedmodel", "signature": ""}, "signature: '' must be the name"),
    ],
)
def test_what_is_no_format(tmp_path: Path, content: dict[str, Any], part: str) -> None:
    (problem,) = problems(tmp_path, **content)
    assert part in problem


def test_every_file_that_tensorflow_would_read_is_listed(tmp_path: Path) -> None:
    """The graph may be left out; weights and assets may not, nor be others."""
    missing = problems(tmp_path, format="savedmodel")
    assert missing == [f"{tmp_path}: saved_model.pb: No such file or directory"]
    for name in ("saved_model.pb", "variables/variables.index", "assets/a/words.txt"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    unlisted = problems(tmp_path, format="savedmodel")
    assert len(unlisted) == 2
    assert "assets/a/words.txt: the graph reads its weights from it" in unlisted[0]
    assert "variables/variables.index: the graph reads" in unlisted[1]
    assert "add to digests: variables/variables.index: sha256:e3b0c4" in unlisted[1]
    digests = {"variables/variables.index": "sha256:0", "assets/a/words.txt": "e3b0"}
    other = problems(tmp_path, format="savedmodel", digests=digests)
    assert all("model.yaml says another; copy it again" in it for it in other)
    assert len(other) == 2


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is here"
)
def test_without_tensorflow_the_image_that_has_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    (problem,) = problems(tmp_path, format="savedmodel")
    assert "needs TensorFlow, which is not here" in problem
    assert "use the image model-server-tensorflow" in problem
