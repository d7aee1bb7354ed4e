"""`python -P fuzz_trees.py ROUNDS SEED FILE...`: hostile models and tables.

Each round spoils a model file and takes what is left of it through the reader and into
the extension; then it gives the extension tables with wrong lengths, indexes and
masks. Only `NotTreesError` and `ValueError` may come of it. Prints how often each did.
Built with a sanitizer, the extension ends the process at the first bad access.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import tree_masks
from model_server.tree_ensemble import read_trees
from model_server.tree_graph import NotTreesError, read_tree_node
from model_server.tree_outputs import read_weights
from model_server.tree_tables import make_tables

COLUMNS = 5
WORDS = (0, 1, 2, 7, 16, 31, 32, 64, 255, 4096, 2**16, 2**31 - 1, 2**32 - 1)
Found = Counter[str]


def spoilt(content: bytes, source: random.Random) -> bytes:
    """Some numbers changed, or some bytes changed, cut or doubled."""
    body = bytearray(content)
    if source.random() < 0.6:
        for _ in range(source.randint(1, 3)):
            _change_number(body, source)
        return bytes(body)
    for _ in range(source.randint(1, 3)):
        place = source.randrange(len(body))
        action = source.choice((0, 1, 1, 1, 1, 2, 3))
        if action == 0:
            body[place] = source.randrange(256)
        elif action == 1:
            body[place] = (body[place] + source.choice((-1, 1))) % 256
        elif action == 2:
            del body[place : place + source.randint(1, 8)]
        else:
            body[place:place] = body[place : place + source.randint(1, 30)]
    return bytes(body)


def _change_number(body: bytearray, source: random.Random) -> None:
    """Change an element of a list of floats (field 7) or whole numbers (field 8)."""
    tag = source.choice((b"\x3d", b"\x40"))
    place = body.find(tag, source.randrange(len(body))) + 1
    if tag == b"\x40":
        body[place] = source.randrange(128 if source.random() < 0.2 else 6)
    elif source.random() < 0.9:
        body[place : place + 3] = source.randbytes(3)
    else:
        body[place : place + 4] = source.randbytes(4)


def read(file: Path) -> dict[str, Any]:
    """What the extension is given for a model file."""
    node = read_tree_node(file, "X")
    trees = read_trees(node.attributes, COLUMNS)
    return dict(make_tables(trees, read_weights(node, trees), COLUMNS).arguments())


def run(arguments: dict[str, Any], source: random.Random) -> None:
    """Evaluate rows of all kinds by tables, if the extension takes them."""
    forest = tree_masks.Forest(**arguments)
    columns = arguments["columns"]
    count = source.choice((1, 3, 4, 9, 70))
    rows = np.random.default_rng(source.randrange(2**32)).normal(size=(count, columns))
    rows = rows.astype(np.float32)
    rows.ravel()[:: source.randint(1, 5)] = source.choice((np.nan, np.inf, -np.inf, 0))
    labels = np.empty(count, np.int64)
    width = len(np.asarray(arguments["label"]).tobytes()) // 8 or arguments["targets"]
    wrong = source.choice((0, 0, 0, 1))
    scores = np.empty(count * width + wrong, np.float32)
    forest.run(rows, labels, scores)


def wrong_tables(arguments: dict[str, Any], source: random.Random) -> dict[str, Any]:
    """The tables with one to three of them changed."""
    changed = dict(arguments)
    for name in source.sample(sorted(changed), source.randint(1, 3)):
        value = changed[name]
        if not isinstance(value, np.ndarray):
            changed[name] = type(value)(source.choice(WORDS))
            continue
        content = bytearray(value.tobytes())
        for _ in range(source.randint(0, 9)):
            if content:
                content[source.randrange(len(content))] = source.randrange(256)
        size = source.choice((None, None, 0, 1, len(content) // 2, len(content) + 8))
        if size is not None:
            content = bytearray(content.ljust(size, b"\xff")[:size])
        changed[name] = bytes(content)
    return changed


def main() -> None:
    rounds, seed = int(sys.argv[1]), int(sys.argv[2])
    source, found = random.Random(seed), Found()
    files = [Path(name) for name in sys.argv[3:]]
    right = {file: read(file) for file in files}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        for number in range(rounds):
            given = files[number % len(files)]
            file.write_bytes(spoilt(given.read_bytes(), source))
            try:
                run(read(file), source)
                found["model evaluated"] += 1
            except NotTreesError:
                found["model refused"] += 1
            except ValueError:
                found["tables or rows refused"] += 1
            try:
                run(wrong_tables(right[given], source), source)
                found["spoilt tables evaluated"] += 1
            except ValueError:
                found["spoilt tables refused"] += 1
    print(json.dumps(found))


if __name__ == "__main__":
    main()
