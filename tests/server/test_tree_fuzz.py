"""Hostile model files and tables: the extension refuses them and reads no other memory.

The sanitizers are gcc's: Zig's compiler brings none for addresses. Where gcc or its
run-time is missing, the tests with them are skipped, and only refusals are tested.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slipway.images import tree_extension
from tests.support import tree_models
from tests.support.model_server import SERVER
from tests.support.tree_models import as_classes, graph_of, made_up_trees

FUZZER = Path(tree_models.__file__).with_name("fuzz_trees.py")
ROUNDS = 250
REFUSED = r"has .* bytes, not|do not fit|, not 1 to|more thresholds than"
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Small models of each width of words, with one and with several targets."""
    folder = tmp_path_factory.mktemp("trees")
    source = np.random.default_rng(20261129)
    few = made_up_trees(source, trees=3, leaves=5)
    many = made_up_trees(source, trees=3, leaves=24)
    most = made_up_trees(source, trees=3, leaves=64)
    ids = [number % 4 for number in range(len(few["target_ids"]))]
    found = {
        "few": few,
        "many": as_classes(many, post_transform="LOGISTIC", base_values=[0.5]),
        "most": most,
        "targets": {**few, "n_targets": 4, "target_ids": ids},
    }
    for name, attributes in found.items():
        content = graph_of(attributes, 5).SerializeToString()
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in found]


def sanitized(folder: Path, source: Path = tree_extension.SOURCES) -> tuple[Path, str]:
    """The extension with gcc's sanitizers, and their run-time; else skip."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc in PATH, which has the sanitizers")
    asked = ["gcc", "-print-file-name=libasan.so"]
    runtime = subprocess.check_output(asked, text=True).strip()
    if not Path(runtime).is_file():
        pytest.skip(f"gcc has no run-time of its address sanitizer ({runtime})")
    headers = tree_extension.headers()
    includes = ("", "python3.11", f"{os.uname().machine}-linux-gnu")
    command = ["gcc", "-std=c11", "-g", "-O1", "-fPIC", "-shared", *SANITIZE]
    command += [f"-I{headers / name}" for name in includes]
    command += [str(source / "tree_masks.c"), "-lm"]
    command += ["-o", str(folder / tree_extension.NAME)]
    subprocess.run(command, check=True, timeout=300)
    return folder, runtime


def fuzz(
    extension: Path, files: list[str], rounds: int, seed: int, preload: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{SERVER}:{extension}",
        "PYTHONMALLOC": "malloc",  # so that the sanitizer sees each of them
        "LD_PRELOAD": preload,
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    return subprocess.run(
        [sys.executable, "-P", str(FUZZER), str(rounds), str(seed), *files],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def assert_ended_well(done: subprocess.CompletedProcess[str], rounds: int) -> None:
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, int] = json.loads(done.stdout)
    models = ("model evaluated", "model refused", "tables or rows refused")
    assert sum(found[name] for name in models) == rounds
    # Every kind, or the rounds would show nothing.
    least = min(found[name] for name in ("model evaluated", "model refused"))
    assert least > rounds / 20
    tables = ("spoilt tables evaluated", "spoilt tables refused")
    assert min(found[name] for name in tables) > rounds / 20


def test_hostile_models_and_tables(files: list[str]) -> None:
    done = fuzz(tree_models.extension_folder(), files, ROUNDS, 1)
    assert_ended_well(done, ROUNDS)


def test_hostile_models_and_tables_with_sanitizers(
    files: list[str], tmp_path: Path
) -> None:
    extension, runtime = sanitized(tmp_path)
    assert_ended_well(fuzz(extension, files, ROUNDS, 2, runtime), ROUNDS)


def test_the_sanitizer_would_notice(files: list[str], tmp_path: Path) -> None:
    """Without the check of the masks' length, the process ends."""
    for file in tree_extension.SOURCES.glob("*.[ch]"):
        text = file.read_text()
        check = '!holds(&given[MASKS], lines * line_bytes(it), "masks") ||'
        assert file.suffix == ".h" or check in text
        (tmp_path / file.name).write_text(text.replace(check, ""))
    extension, runtime = sanitized(tmp_path, tmp_path)
    done = fuzz(extension, files, ROUNDS, 2, runtime)
    assert done.returncode != 0
    assert "AddressSanitizer: heap-" in done.stderr


@pytest.fixture
def tables(files: list[str]) -> Iterator[dict[str, Any]]:
    """What the extension is given for a model, with the extension."""
    from model_server.tree_ensemble import read_trees
    from model_server.tree_graph import read_tree_node
    from model_server.tree_outputs import read_weights
    from model_server.tree_tables import make_tables

    node = read_tree_node(Path(files[1]), "X")
    trees = read_trees(node.attributes, 5)
    with tree_models.extension_loaded():
        yield dict(make_tables(trees, read_weights(node, trees), 5).arguments())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("columns", 0),
        ("columns", 4097),
        ("columns", 2),
        ("trees", 0),
        ("trees", 8),
        ("trees", 4097),
        ("targets", 2),
        ("bits", 64),
        ("bits", 8),
        ("output", 7),
        ("output", 0),
        ("divisor", 0.0),
        ("divisor", float("nan")),
        ("column", b"\1"),
        ("column", np.array([0, 1, 2, 3, 5], np.uint32)),
        ("first", np.zeros(6, np.uint32)),
        ("thresholds", b""),
        ("masks", b""),
        ("leaves", b"\0" * 8),
        ("bases", b""),
        ("label", np.arange(3)),
    ],
)
def test_wrong_tables_are_refused(
    name: str, value: object, tables: dict[str, Any]
) -> None:
    from tree_masks import Forest

    assert Forest(**tables)
    with pytest.raises(ValueError, match=REFUSED):
        Forest(**tables | {name: value})


def test_wrong_rows_are_refused(tables: dict[str, Any]) -> None:
    from tree_masks import Forest

    forest = Forest(**tables)
    rows, labels, scores = np.zeros(15, "f4"), np.zeros(3, "i8"), np.zeros(6, "f4")
    forest.run(rows, labels, scores)
    for wrong in ((rows[:14], labels, scores), (rows, labels[:2], scores)):
        with pytest.raises(ValueError, match="bytes, not"):
            forest.run(*wrong)
    with pytest.raises(ValueError, match="scores has 20 bytes, not 24"):
        forest.run(rows, labels, scores[:5])
    with pytest.raises((TypeError, BufferError, ValueError)):
        forest.run(rows, b"\0" * 24, scores)
    with pytest.raises((TypeError, BufferError)):
        forest.run(rows, None, scores)
    with pytest.raises((BufferError, ValueError)):
        forest.run(rows[::2], labels, scores)
    with pytest.raises(TypeError, match="rows, labels and scores"):
        forest.run(rows)
