"""Tensors as raw bytes: requests of them on any transport, and HTTP's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from model_server.bfloat16 import from_floats
from model_server.buffers import Buffer
from model_server.datatypes import BFLOAT16
from model_server.dimensions import Dimensions
from model_server.errors import invalid
from model_server.manifest import Manifest
from model_server.outputs import Array, Outputs, joined
from model_server.protocol import Inference
from model_server.tensor_reader import TensorReader
from model_server.texts import pack_texts
from model_server.wording import shown


@dataclass(frozen=True, slots=True)
class RawInput:
    """An input tensor as it came; `data` is little-endian and row-major."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: memoryview


class RawReader:
    """Reads requests of raw tensors for one model, as strictly as JSON is read."""

    def __init__(self, manifest: Manifest, max_rows: int) -> None:
        self._inputs = {
            tensor.name: TensorReader(tensor, max_rows) for tensor in manifest.inputs
        }
        self._dimensions = Dimensions(manifest.inputs)
        self._outputs = {
            tensor.name: index for index, tensor in enumerate(manifest.outputs)
        }

    def read(
        self,
        request_id: str | None,
        inputs: Sequence[RawInput],
        wanted: Sequence[str] = (),
    ) -> Inference:
        """Return the request; `wanted` names outputs, none means all.

        Raises `RequestError` where it is wrong. The bytes of `data` are copied.
        """
        buffers: dict[str, Buffer] = {}
        first_rows = 0
        for number, given in enumerate(inputs):
            path = f"inputs[{number}]"
            reader = self._inputs.get(given.name)
            if reader is None:
                raise invalid(
                    f"{path}.name",
                    f"{shown(given.name)} is not one of the model's inputs "
                    f"{', '.join(self._inputs)}",
                )
            if given.name in buffers:
                raise invalid(f"{path}.name", f"{shown(given.name)} is given twice")
            rows, packed = reader.read_raw(
                given.name, given.datatype, list(given.shape), given.data, path
            )
            if buffers and rows != first_rows:
                raise invalid(
                    f"{path}.shape", f"{rows} rows, but inputs[0] has {first_rows}"
                )
            first_rows = rows
            buffers[given.name] = packed
        missing = [name for name in self._inputs if name not in buffers]
        if missing:
            raise invalid("inputs", f"the model needs {', '.join(missing)} too")
        ordered = [buffers[name] for name in self._inputs]
        self._dimensions.check(ordered)
        return Inference(request_id, first_rows, ordered, self._indices(wanted))

    def _indices(self, wanted: Sequence[str]) -> tuple[int, ...] | None:
        found: list[int] = []
        for number, name in enumerate(wanted):
            index = self._outputs.get(name)
            path = f"outputs[{number}].name"
            if index is None:
                raise invalid(
                    path,
                    f"{shown(name)} is not one of the model's outputs "
                    f"{', '.join(self._outputs)}",
                )
            if index in found:
                raise invalid(path, f"{shown(name)} is given twice")
            found.append(index)
        return tuple(found) or None


class BinaryWriter:
    """Writes answers of one model by HTTP's binary tensor extension."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._all = tuple(range(len(manifest.outputs)))

    def write(
        self, request_id: str, inference: Inference, outputs: Outputs
    ) -> tuple[int, bytes]:
        """Return the body, and how long the JSON is that it begins with."""
        tensors: list[dict[str, object]] = []
        data: list[bytes] = []
        arrays = outputs.arrays
        for index in inference.wanted or self._all:
            tensor = self._manifest.outputs[index]
            entry: dict[str, object] = {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": list(arrays[index].shape),
            }
            if index in inference.binary:
                data.append(packed(arrays[index], tensor.datatype))
                entry["parameters"] = {"binary_data_size": len(data[-1])}
            else:
                text = joined(outputs.texts()[index])
                entry["data"] = orjson.Fragment(b"[%b]" % text)
            tensors.append(entry)
        head = orjson.dumps(
            {
                "model_name": self._manifest.name,
                "model_version": self._manifest.version,
                "id": request_id,
                "outputs": tensors,
            }
        )
        return len(head), b"".join((head, *data))


def packed(array: Array, datatype: str = "") -> bytes:
    """Return an output's values packed: little-endian and row-major.

    Each value of BYTES comes after its length in 4 bytes, as the protocol has it. Those
    of BF16 are FP32 until here.
    """
    if array.dtype == object:
        return pack_texts(array.ravel())
    if datatype == BFLOAT16:
        array = from_floats(array)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
