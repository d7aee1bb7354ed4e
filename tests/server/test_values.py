"""Values on their way into and out of a model, against other implementations."""

from __future__ import annotations

import math
import struct
from collections import namedtuple
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from tests.support.onnx_models import write_same

QUICK = hypothesis.settings(max_examples=100, deadline=None, database=None)


@QUICK
@given(
    values=st.lists(
        st.one_of(
            st.floats(width=32),
            # Halfway between two, where ties go to the even one.
            st.integers(0, 0xFFFF).map(
                lambda bits: struct.unpack("<f", struct.pack("<HH", 0x8000, bits))[0]
            ),
        ),
        min_size=1,
    )
)
def test_bf16_is_that_of_ml_dtypes(values: list[float]) -> None:
    from model_server.bfloat16 import from_floats, to_floats

    floats = np.array(values, np.float32)
    with np.errstate(all="ignore"):
        expected = floats.astype(ml_dtypes.bfloat16)
    bits = from_floats(floats)
    assert bits.dtype == np.uint16
    isnan = np.isnan(floats)
    assert (bits == expected.view(np.uint16))[~isnan].all()
    back = to_floats(bits)
    assert np.isnan(back[isnan]).all()
    assert (back == expected.astype(np.float32))[~isnan].all()


@QUICK
@given(texts=st.lists(st.text()))
def test_texts_come_back(texts: list[str]) -> None:
    from model_server.texts import pack_texts, unpack_texts

    packed = pack_texts(texts)
    assert packed == b"".join(
        struct.pack("<I", len(it.encode())) + it.encode() for it in texts
    )
    assert unpack_texts(memoryview(packed), len(texts), "x") == texts


@QUICK
@given(data=st.binary(max_size=40), count=st.integers(0, 6))
def test_bytes_are_texts_or_refused(data: bytes, count: int) -> None:
    from model_server.errors import RequestError
    from model_server.texts import pack_texts, unpack_texts

    try:
        texts = unpack_texts(memoryview(data), count, "x")
    except RequestError as error:
        assert (error.status, error.path) == (400, "x")  # noqa: PT017, not all raise
    else:
        assert pack_texts(texts) == data


def raw(tmp_path: Path, values: Any, kind: str, **settings: Any) -> bytes:
    """Return what an application's values of two columns become."""
    from model_server.adapters import tensors
    from model_server.binary import RawReader
    from model_server.manifest import read_manifest

    folder = write_same(tmp_path / "m", kind, [-1, 2], **settings)
    text = (folder / "model.yaml").read_text()
    (folder / "model.yaml").write_text(f"{text}features: [x, y]\n")
    manifest = read_manifest(folder / "model.yaml")

    class Endpoint:
        raw_reader = RawReader(manifest, 10)

    Endpoint.manifest = manifest  # type: ignore[attr-defined]
    (buffer,) = tensors.inference(Endpoint, values).buffers  # type: ignore[arg-type]
    return (
        buffer if isinstance(buffer, bytes) else bytes(repr(buffer.tolist()), "utf-8")
    )


Pair = namedtuple("Pair", ["y", "x"])  # noqa: PYI024, as applications have them
NAN = math.nan
GAPS: dict[str, Any] = {
    "NaN": [[1.0, NAN]],
    "None": [[1.0, None]],
    "an array of objects": np.array([[1, None]], object),
    "a masked array": np.ma.array([[1.0, 5.0]], mask=[[False, True]]),
    "a masked array of whole numbers": np.ma.array([[1, 5]], mask=[[False, True]]),
    "a frame": pd.DataFrame({"y": [NAN], "x": [1.0]}),
    "a frame with pandas.NA": pd.DataFrame({"y": pd.array([pd.NA], "Int64"), "x": [1]}),
    "records": [{"y": None, "x": 1}],
    "named tuples": [Pair(y=None, x=1)],
}


@pytest.mark.parametrize("kind", ["FP32", "BF16"])
@pytest.mark.parametrize("values", GAPS.values(), ids=GAPS.keys())
def test_what_is_missing_in_python(tmp_path: Path, values: Any, kind: str) -> None:
    from model_server.errors import RequestError

    found = raw(tmp_path / "set", values, kind, missing_values=True)
    dtype = np.float32 if kind == "FP32" else ml_dtypes.bfloat16
    first, second = np.frombuffer(found, dtype).astype(float)
    assert first == 1
    assert math.isnan(second)
    with pytest.raises(RequestError, match="missing_values: true") as caught:
        raw(tmp_path / "plain", values, kind)
    assert caught.value.status == 400


NO_TEXTS: dict[str, Any] = {
    "a number": [["a", 5]],
    "None": [["a", None]],
    "numbers": np.array([[1.5, 2.5]]),
    "a number in a record": [{"x": "a", "y": 5}, {"x": "b", "y": "c"}],
    "NaN in a frame": pd.DataFrame({"x": ["a"], "y": [NAN]}),
    "half of a pair": [["a", "\ud83d"]],
    "bytes of no UTF-8": [["a", b"\xff"]],
    "a list in it": [["a", ["b"]]],
}


@pytest.mark.parametrize("values", NO_TEXTS.values(), ids=NO_TEXTS.keys())
def test_what_is_no_text_in_python(tmp_path: Path, values: Any) -> None:
    from model_server.errors import RequestError

    with pytest.raises(RequestError) as caught:
        raw(tmp_path, values, "BYTES")
    assert caught.value.status == 400


TEXTS: dict[str, Any] = {
    "lists": [["a\0", "é"]],
    "an array": np.array([["a\0", "é"]], object),
    "bytes": [[b"a\0", "é".encode()]],
    "a frame": pd.DataFrame({"y": ["é"], "x": ["a\0"]}),
    "records": [{"y": "é", "x": "a\0"}],
}


@pytest.mark.parametrize("values", TEXTS.values(), ids=TEXTS.keys())
def test_texts_in_python(tmp_path: Path, values: Any) -> None:
    assert raw(tmp_path, values, "BYTES") == repr([["a\0", "é"]]).encode()


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("UINT8", [0, 255], [0, 256]),
        ("UINT8", [0, 255], [0, -1]),
        ("INT8", [-128, 127], [0, 128]),
        ("UINT64", [0, 2**63 - 1], [0, -1]),
        ("INT64", [-(2**63), 0], [0.0, 1.0]),
    ],
)
def test_whole_numbers_of_another_width_in_python(
    tmp_path: Path, kind: str, good: list[int], bad: list[float]
) -> None:
    from model_server.errors import RequestError

    dtype = {"UINT8": "u1", "INT8": "i1", "UINT64": "<u8", "INT64": "<i8"}[kind]
    found = raw(tmp_path / "good", [good], kind)
    assert np.frombuffer(found, dtype).tolist() == good
    with pytest.raises(RequestError):
        raw(tmp_path / "bad", [bad], kind)


def test_rows_of_named_features(tmp_path: Path) -> None:
    from model_server.adapters.tensors import rows_of
    from model_server.errors import RequestError
    from model_server.manifest import Manifest, Tensor

    def manifest(kind: str, *, missing_values: bool = False) -> Manifest:
        inputs = (Tensor("a", kind, (-1, 2), missing_values=missing_values),)
        return Manifest("m", "1", "r", inputs, (), ("x", "y"), "", "", {})

    gaps = [{"y": None, "x": 1}, {"y": NAN, "x": 2}]
    found = rows_of(manifest("FP32", missing_values=True), gaps)
    assert found[:, 0].tolist() == [1, 2]
    assert np.isnan(found[:, 1]).all()
    for record in gaps:
        with pytest.raises(RequestError, match=r"\[0\]\.y: must be a number"):
            rows_of(manifest("FP32"), [record])
    with pytest.raises(RequestError, match=r"\[0\]\.y: is missing"):
        rows_of(manifest("FP32", missing_values=True), [{"x": 1}])
    texts = rows_of(manifest("BYTES"), [{"y": "b\0", "x": "a"}])
    assert texts.tolist() == [["a", "b\0"]]
    with pytest.raises(RequestError, match=r"\[0\]\.y: must be a text"):
        rows_of(manifest("BYTES"), [{"y": 5, "x": "a"}])
