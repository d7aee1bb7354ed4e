"""What the training examples share: rows, checkpoints, the model folder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from training_parts import checkpoints, model_folder, rows, whole_folder

X = np.array([[1, 5, 0], [2, 5, 1], [3, 5, 4], [6, 5, 9]], np.float64)
Y = np.array([0, 1, 1, 0])


def kept(folder: Path, **arrays: Any) -> str:
    np.savez(folder / rows.FILE, **arrays)
    return str(folder)


def test_rows_are_scaled_and_shared(tmp_path: Path) -> None:
    found = rows.read(kept(tmp_path, x=X, y=Y))
    assert (found.x.dtype, found.y.dtype) == (np.float32, np.int64)
    assert np.allclose(found.x.mean(axis=0), 0, atol=1e-6)
    # A column of one value stays 0 and divides by nothing.
    assert found.x.std(axis=0).round(5).tolist() == [1, 0, 1]
    parts = [found.share(worker, 3) for worker in range(3)]
    assert [len(part.x) for part in parts] == [1, 1, 1]
    assert [part.y[0] for part in parts] == [0, 1, 1]


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": X}, "cannot be read: .*'y is not a file in the archive'"),
        ({"x": X[0], "y": Y}, "needs x .rows, features. and y .rows."),
        ({"x": X, "y": Y[:3]}, "needs x .rows, features. and y .rows."),
        ({"x": X[:0], "y": Y[:0]}, "with at least one row"),
        ({"x": X, "y": Y * 2}, "needs labels y of 0 and 1"),
        ({"x": X, "y": Y / 2}, "needs labels y of 0 and 1"),
        ({"x": X, "y": Y.astype(str)}, "needs labels y of 0 and 1"),
        ({"x": np.where(X == 9, np.nan, X), "y": Y}, "are not finite"),
        ({"x": X * 1e39, "y": Y}, "are not finite"),
        ({"x": X.astype(str) + "a", "y": Y}, "cannot be read: could not convert"),
        ({"x": X.astype(object), "y": Y}, "cannot be read: .*allow_pickle=False"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_bad_rows_end_the_run_at_once(
    arrays: dict[str, Any],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = kept(tmp_path, **arrays)
    with pytest.raises(SystemExit) as ended:
        rows.read(folder)
    assert ended.value.code == rows.CANNOT_WORK
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"error: {tmp_path / rows.FILE} of the job's `data.image` ")
    assert re.search(reason, line)


@pytest.mark.parametrize("content", [None, b"", b"PK no archive"])
def test_a_file_that_is_none_ends_the_run_at_once(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / rows.FILE).write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        rows.read(str(tmp_path))
    assert ended.value.code == rows.CANNOT_WORK
    assert "cannot be read: " in capsys.readouterr().out


def test_a_checkpoint_gives_back_what_was_saved(tmp_path: Path) -> None:
    folder = str(tmp_path / "kept")
    assert checkpoints.load(folder) is None
    assert checkpoints.load(None) is None
    for step in (20, 40):
        checkpoints.save(folder, step, {"weight": X * step})
    found = checkpoints.load(folder)
    assert found
    assert found[0] == 40
    assert (found[1]["weight"] == X * 40).all()
    assert [it.name for it in Path(folder).iterdir()] == [checkpoints.FILE]


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(str(tmp_path), 20, {"weight": X})

    def full(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(str(tmp_path), 40, {"weight": X})
    found = checkpoints.load(str(tmp_path))
    assert found
    assert found[0] == 20


def test_a_folder_takes_the_place_of_the_last_one_when_it_is_whole(
    tmp_path: Path,
) -> None:
    target = tmp_path / "model"
    with whole_folder.written(target) as part:
        (part / "a").write_text("1")

    def half() -> None:
        with whole_folder.written(target) as part:
            (part / "b").write_text("2")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        half()
    assert [it.name for it in target.iterdir()] == ["a"]
    with whole_folder.written(target) as part:
        (part / "c").write_text("3")
    assert [it.name for it in tmp_path.iterdir()] == ["model"]
    assert [it.name for it in target.iterdir()] == ["c"]


def test_the_model_takes_rows_as_they_are(tmp_path: Path) -> None:
    """It was trained on scaled rows; nobody scales those of a request."""
    data = rows.read(kept(tmp_path, x=X, y=Y))
    weights = {
        "weight": np.array([[0.5, -0.5], [0, 0.25], [-1, 1]], np.float32),
        "bias": np.array([0.1, -0.1], np.float32),
    }
    target = tmp_path / "model"
    model_folder.write(target, "census", weights, data)
    session = onnxruntime.InferenceSession(target / "model.onnx")
    label, probability = session.run(
        ["label", "probability"], {"input": X.astype(np.float32)}
    )
    scores = data.x @ weights["weight"] + weights["bias"]
    powers = np.exp(scores)
    expected = powers / powers.sum(axis=1, keepdims=True)
    assert np.allclose(probability, expected, atol=1e-6)
    assert label.tolist() == scores.argmax(axis=1).tolist()
    manifest = json.loads((target / "model.yaml").read_text())
    assert manifest["revision"] == manifest["digests"]["model.onnx"]
