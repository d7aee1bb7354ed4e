"""The section `log` of model.yaml: what is wrong in it, what it has written."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from model_server.buffers import Buffer
from model_server.feature_codes import Bucket, Hash
from model_server.manifest import ModelError, read_manifest
from model_server.outputs import Outputs, Results
from model_server.records import Record, RecordForm, lines, protected_lines

from tests.support.contracts import contract
from tests.support.model_server import run_to_the_end
from tests.support.onnx_models import entry, write_same

KEY = bytes(range(40))
INPUTS = [
    entry("first", "FP32", [-1, 3], missing_values=True),
    entry("word", "BYTES", [-1, 1]),
    entry("words", "BYTES", [-1, 2]),
    entry("ids", "INT64", [-1, -1]),
    entry("pair", "INT64", [-1, 2]),
    entry("flag", "BOOL", [-1]),
]
NAMES = ["age", "50%", "pay"]
EVERY = [*NAMES, "word", "words[0]", "words[1]", "ids", "pair[0]", "pair[1]", "flag"]


def manifest_file(folder: Path, log: Any, **changes: Any) -> Path:
    content = {
        "name": "m",
        "version": "1",
        "revision": "r",
        "inputs": INPUTS,
        "outputs": [entry("y", "FP32", [-1])],
        "prediction": {"score": "y"},
        "features": NAMES,
        "log": log,
        **changes,
    }
    file = folder / "model.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def texts(*rows: Sequence[str]) -> Buffer:
    array = np.empty((len(rows), len(rows[0])), object)
    array[:] = rows
    return array


ROWS: list[Buffer] = [
    np.array([[38, 0.1, -5], [np.nan, 1e20, 2**24]], "<f4").tobytes(),
    texts(["Zürich"], ["null"]),
    texts(['a,"b', "}"], ["%b", ""]),
    np.array([[1, 2], [3, 4]], "<i8"),
    np.array([[-1, 2**53 + 1], [14, -(2**63)]], "<i8").tobytes(),
    np.array([True, False]).tobytes(),
]


def form_of(folder: Path, log: Any, **changes: Any) -> RecordForm:
    manifest = read_manifest(manifest_file(folder, log, **changes))
    return RecordForm(manifest, "r", "stable", KEY)


def record(form: RecordForm, buffers: Sequence[Buffer] = ROWS, rows: int = 2) -> Record:
    run = Results([np.arange(rows, dtype=np.float32)])
    held = form.held(buffers)
    return Record(form, "id", 1.0, 0.5, 200, "", rows, held, Outputs(run, 0, rows))


def logged(folder: Path, log: Any, **changes: Any) -> list[dict[str, Any]]:
    """The features of both rows."""
    text = lines([record(form_of(folder, log, **changes))])
    return [json.loads(line)["features"] for line in text.splitlines()]


def hashed(text: str) -> str:
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()[:32]


def test_the_contract_is_kept() -> None:
    from model_server.config import PREFIX, VARIABLES
    from model_server.feature_codes import HASH_DIGITS
    from model_server.manifest_keys import LOG

    agreed = contract("model_log_policy")
    assert set(agreed["actions"]) == LOG
    assert agreed["hash_digits"] == HASH_DIGITS
    assert agreed["hash_key_variable"] in {PREFIX + it.name for it in VARIABLES}


def test_without_a_section_no_feature_is_logged(tmp_path: Path) -> None:
    file = manifest_file(tmp_path, {})
    content = yaml.safe_load(file.read_text())
    del content["log"]
    file.write_text(yaml.safe_dump(content))
    form = RecordForm(read_manifest(file), "r", "stable")
    found = [json.loads(line) for line in lines([record(form)]).splitlines()]
    assert [(it["features"], it["score"]) for it in found] == [({}, 0.0), ({}, 1.0)]


def test_every_input_is_logged_under_its_columns_names(tmp_path: Path) -> None:
    first, second = logged(tmp_path, {"keep": EVERY})
    assert first == {
        "age": 38.0,
        "50%": 0.1,
        "pay": -5.0,
        "word": "Zürich",
        "words[0]": 'a,"b',
        "words[1]": "}",
        "ids": [1, 2],
        "pair[0]": -1,
        "pair[1]": 2**53 + 1,
        "flag": True,
    }
    assert list(first) == EVERY
    assert second == {
        "age": None,
        "50%": 1e20,
        "pay": 2.0**24,
        "word": "null",
        "words[0]": "%b",
        "words[1]": "",
        "ids": [3, 4],
        "pair[0]": 14,
        "pair[1]": -(2**63),
        "flag": False,
    }


def test_only_what_is_named_is_logged(tmp_path: Path) -> None:
    policy = {"keep": ["pay", "words[1]"], "protected": ["age", "word", "pay"]}
    form = form_of(tmp_path, policy)
    found = [json.loads(line) for line in lines([record(form)]).splitlines()]
    assert [it["features"] for it in found] == [
        {"pay": -5.0, "words[1]": "}"},
        {"pay": 2.0**24, "words[1]": ""},
    ]
    apart = [json.loads(it) for it in protected_lines([record(form)]).splitlines()]
    assert [it["attributes"] for it in apart] == [
        {"age": 38.0, "pay": -5.0, "word": "Zürich"},
        {"age": None, "pay": 2.0**24, "word": "null"},
    ]
    assert [(it["id"], it["row"]) for it in apart] == [("id", 0), ("id", 1)]
    assert {it["time"] for it in apart} == {found[0]["time"]}


def test_inputs_of_which_nothing_is_logged_are_not_read(tmp_path: Path) -> None:
    """Nor kept in memory until the line is written."""
    form = form_of(tmp_path, {"keep": ["age"], "hash": ["flag"], "protected": ["word"]})
    held = form.held(ROWS)
    assert [it is given for it, given in zip(held, ROWS, strict=True)] == [
        *(True, True),
        *(False, False, False),
        True,
    ]
    assert all(len(it) == 0 for it in held[2:5])
    assert not form.is_fixed  # a text is held
    assert form_of(tmp_path, {"keep": ["age"]}).is_fixed
    everything = form_of(tmp_path, {"keep": EVERY})
    assert everything.held(ROWS) is ROWS


def test_a_hash_is_the_hmac_of_the_canonical_text(tmp_path: Path) -> None:
    """The oracle is Python's own hmac."""
    first, second = logged(tmp_path, {"hash": EVERY})
    assert first == {
        "age": hashed("38"),
        "50%": hashed("0.1"),
        "pay": hashed("-5"),
        "word": hashed("Zürich"),
        "words[0]": hashed('a,"b'),
        "words[1]": hashed("}"),
        "ids": hashed("[1,2]"),
        "pair[0]": hashed("-1"),
        "pair[1]": hashed(str(2**53 + 1)),
        "flag": hashed("true"),
    }
    assert second["age"] is None
    assert second["word"] == hashed("null")
    assert second["50%"] == hashed("1" + "0" * 20)
    assert second["pay"] == hashed(str(2**24))
    assert second["words[1]"] == hashed("")
    assert second["flag"] == hashed("false")
    assert re.fullmatch("[0-9a-f]{32}", second["pair[1]"])


def test_a_list_of_texts_or_numbers_has_one_hash(tmp_path: Path) -> None:
    inputs = [
        entry("tokens", "BYTES", [-1, -1]),
        entry("x", "FP32", [-1, -1], missing_values=True),
    ]
    form = form_of(tmp_path, {"hash": ["tokens", "x"]}, inputs=inputs, features=[])
    numbers = np.array([[2.0, -0.0, 0.5, np.nan]], "<f4")
    text = lines([record(form, [texts(["a", 'b"']), numbers], rows=1)])
    assert json.loads(text)["features"] == {
        "tokens": hashed('["a","b\\""]'),
        "x": hashed("[2,0,0.5,null]"),
    }


def test_equal_values_of_a_batch_are_hashed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []
    original = Hash.of_text

    def counting(self: Hash, text: bytes) -> bytes:
        made.append(text)
        return original(self, text)

    monkeypatch.setattr(Hash, "of_text", counting)
    form = form_of(tmp_path, {"hash": ["pair[0]"]})
    pairs = np.array([[7, 0], [8, 0]] * 500, "<i8").tobytes()
    both = [[b"", b"", b"", b"", pairs, b""]] * 2
    lines([record(form, buffers, rows=1000) for buffers in both])
    assert sorted(made) == [b"7", b"8"]


def test_buckets_begin_at_multiples_of_the_width(tmp_path: Path) -> None:
    policy = {"bucket": {"age": 10, "50%": 0.5, "pay": 2, "pair[0]": 5, "pair[1]": 3}}
    first, second = logged(tmp_path, policy)
    assert first == {
        "age": 30.0,
        "50%": 0.0,
        "pay": -6.0,
        "pair[0]": -5,
        "pair[1]": (2**53 + 1) // 3 * 3,
    }
    assert second["age"] is None
    assert second["50%"] == float(np.float32(1e20))
    assert (second["pair[0]"], second["pair[1]"]) == (10, -(2**63) // 3 * 3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-0.1, -10.0),
        (-10.0, -10.0),
        (9.999, 0.0),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (1.5e308, pytest.approx(1.5e308)),
    ],
)
def test_a_bucket_of_any_float(value: float, expected: Any) -> None:
    assert json.loads(Bucket(10, is_exact=False)(value)) == expected


def test_a_list_has_a_bucket_for_each_value(tmp_path: Path) -> None:
    assert [it["ids"] for it in logged(tmp_path, {"bucket": {"ids": 2}})] == [
        [0, 2],
        [2, 4],
    ]


WRONG: dict[str, tuple[Any, list[str]]] = {
    "no mapping": (["age"], ["log: must be a mapping"]),
    "nothing": (None, ["log: must be a mapping"]),
    "unknown action": ({"kept": ["age"]}, ["log.kept: unknown key; did you mean keep"]),
    "no list": ({"keep": "age"}, ["log.keep: 'age' must be a list of names"]),
    "a number": ({"hash": [3]}, ["log.hash: [3] must be a list of names"]),
    "bucket without width": (
        {"bucket": ["age"]},
        ["log.bucket: ['age'] must be a mapping"],
    ),
    "widths": (
        {"bucket": {"age": 0, "pay": -1, "50%": True, "pair[0]": math.inf}},
        [f"log.bucket.{name}: the width" for name in ("age", "pay", "50%", "pair[0]")],
    ),
    "a width of text": ({"bucket": {"age": "10"}}, ["the width '10' must be a number"]),
    "all at once": (
        {
            "keep": ["age", "age", "ago"],
            "bucket": {"word": 1, "flag": 1, "age": 1},
            "hash": ["pay", "zip code"],
            "protected": ["ids", "sex", "pay"],
        },
        [
            "log.keep: 'age' is listed twice; remove one",
            "log.bucket: 'age' stands in log.keep too; leave it in one",
            "log.keep: 'ago' is not a feature of the model; did you mean 'age'?",
            "log.hash: 'zip code' is not a feature of the model; it has age, 50%, pay",
            "log.protected: 'ids' has free dimensions and so a list of values",
            "log.protected: 'sex' is not a feature of the model",
            "log.bucket: 'word' is BYTES, which has no buckets",
            "log.bucket: 'flag' is BOOL, which has no buckets",
        ],
    ),
}


@pytest.mark.parametrize(("log", "expected"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_reported_together(
    tmp_path: Path, log: Any, expected: list[str]
) -> None:
    file = manifest_file(tmp_path, log)
    with pytest.raises(ModelError) as caught:
        read_manifest(file)
    problems = caught.value.problems
    assert len(problems) == len(expected), problems
    assert all(any(part in it for it in problems) for part in expected), problems
    assert all(it.startswith(f"{file}: log") for it in problems)


@pytest.mark.parametrize(
    ("inputs", "name", "words"),
    [
        (["a", "b"], "b", "'b' is a feature of the inputs a and b"),
        (["a", "b"], "a", "'a' is not a feature of the model"),
    ],
)
def test_a_name_of_two_inputs_says_nothing(
    tmp_path: Path, inputs: list[str], name: str, words: str
) -> None:
    tensors = [entry(it, "FP32", [-1, 1]) for it in inputs]
    file = manifest_file(tmp_path, {"keep": [name]}, inputs=tensors, features=["b"])
    with pytest.raises(ModelError, match=re.escape(words)):
        read_manifest(file)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = manifest_file(tmp_path, {"bucket": {"age": 10}})
    text = file.read_text().replace("    age: 10\n", "    age: 10\n    age: 1\n")
    file.write_text(text)
    with pytest.raises(ModelError, match="the key 'age' appears twice"):
        read_manifest(file)


def test_wrong_features_are_reported_without_their_consequences(tmp_path: Path) -> None:
    file = manifest_file(tmp_path, {"keep": ["age"]}, features=["age"])
    with pytest.raises(ModelError) as caught:
        read_manifest(file)
    (problem,) = caught.value.problems
    assert "1 names for an input of 3 columns" in problem


def settings(folder: Path, **changes: Any) -> Mapping[str, str]:
    values = {"MODELS": folder, "HOST": "127.0.0.1", "PORT": 0, **changes}
    return {name: str(value) for name, value in values.items()}


def test_hashing_needs_a_key(tmp_path: Path) -> None:
    write_same(tmp_path / "m", "FP32", log={"hash": ["a[1]"]})
    log = tmp_path / "log"
    log.mkdir()
    run = run_to_the_end(settings(tmp_path, PREDICTION_LOG=log))
    assert run.returncode == 1
    (error,) = [
        line["message"]
        for line in map(json.loads, run.stdout.splitlines())
        if line["level"] == "error"
    ]
    assert error == (
        f"{tmp_path}/m/model.yaml: log.hash: there is no key to hash a[1] with; set "
        "MODEL_SERVER_PREDICTION_LOG_HASH_KEY_FILE to a file with a secret key of 32 "
        "bytes or more, or MODEL_SERVER_PREDICTION_LOG empty"
    )


@pytest.mark.parametrize(
    ("key", "words"), [(None, "cannot be read: No such file"), (b"k" * 31, "31 bytes")]
)
def test_a_key_that_is_none_is_a_wrong_setting(
    tmp_path: Path, key: bytes | None, words: str
) -> None:
    file = tmp_path / "key"
    if key:
        file.write_bytes(key)
    run = run_to_the_end(
        settings(tmp_path, PREDICTION_LOG="", PREDICTION_LOG_HASH_KEY_FILE=file)
    )
    assert run.returncode == 2
    assert f"MODEL_SERVER_PREDICTION_LOG_HASH_KEY_FILE='{file}': " in run.stdout
    assert words in run.stdout
    assert "kkk" not in run.stdout
