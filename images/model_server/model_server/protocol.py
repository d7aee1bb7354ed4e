"""Open Inference Protocol v2 in JSON: strict reading, quick writing."""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson

from model_server.errors import RequestError, invalid
from model_server.manifest import Manifest
from model_server.outputs import Outputs
from model_server.tensor_reader import (
    TensorReader,
    check_parameters,
    refuse_keys,
    shown,
)

REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
REQUEST_KEYS = frozenset({"id", "parameters", "inputs", "outputs"})
OUTPUT_KEYS = frozenset({"name", "parameters"})


class Inference:
    """A request that was read: its id (if any), rows, packed inputs, outputs wanted."""

    __slots__ = ("buffers", "id", "rows", "wanted")

    def __init__(
        self,
        request_id: str | None,
        rows: int,
        buffers: Sequence[bytes],
        wanted: tuple[int, ...] | None,
    ) -> None:
        self.id = request_id
        self.rows = rows
        self.buffers = buffers
        self.wanted = wanted


class Reader:
    """Reads request bodies for one model."""

    def __init__(self, manifest: Manifest, max_rows: int) -> None:
        self._tensors = [TensorReader(tensor, max_rows) for tensor in manifest.inputs]
        self._positions = {
            tensor.name: index for index, tensor in enumerate(manifest.inputs)
        }
        self._outputs = {
            tensor.name: index for index, tensor in enumerate(manifest.outputs)
        }

    def read(self, body: bytes | bytearray) -> Inference:
        """Read one body; raise `RequestError` where it is wrong."""
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            what = str(error) if body else "the body is empty"
            raise RequestError(400, "invalid_json", f"not JSON: {what}") from None
        if type(document) is not dict:
            raise invalid("$", f"must be an object, not {shown(document)}")
        if not document.keys() <= REQUEST_KEYS:
            refuse_keys("$", document, REQUEST_KEYS)
        request_id = document.get("id")
        if request_id is not None and (
            type(request_id) is not str or not REQUEST_ID.fullmatch(request_id)
        ):
            raise invalid(
                "id",
                f"{shown(request_id)} must be 1 to 128 of letters, digits and ._:/+=@-",
            )
        check_parameters("parameters", document)
        wanted = self._wanted(document["outputs"]) if "outputs" in document else None
        entries = document.get("inputs")
        if type(entries) is not list:
            raise invalid("inputs", "must be a list of tensors")
        # A JSON true would pass as the number 1; look closer only where one stands.
        has_booleans = b"true" in body or b"false" in body
        if len(self._tensors) == 1 and len(entries) == 1:
            rows, packed = self._tensors[0].read(entries[0], "inputs[0]", has_booleans)
            return Inference(request_id, rows, (packed,), wanted)
        return self._read_several(request_id, entries, wanted, has_booleans)

    def _read_several(
        self,
        request_id: str | None,
        entries: list[object],
        wanted: tuple[int, ...] | None,
        has_booleans: bool,
    ) -> Inference:
        buffers: dict[int, bytes] = {}
        first_rows = 0
        for number, entry in enumerate(entries):
            path = f"inputs[{number}]"
            name = entry.get("name") if type(entry) is dict else None
            position = self._positions.get(name) if type(name) is str else None
            if position is None:
                raise invalid(
                    f"{path}.name",
                    f"{shown(name)} is none of the model's inputs "
                    f"{', '.join(self._positions)}",
                )
            if position in buffers:
                raise invalid(f"{path}.name", f"{shown(name)} stands twice")
            rows, packed = self._tensors[position].read(entry, path, has_booleans)
            if buffers and rows != first_rows:
                raise invalid(
                    f"{path}.shape", f"{rows} rows, but inputs[0] has {first_rows}"
                )
            first_rows = rows
            buffers[position] = packed
        missing = [
            name for name, index in self._positions.items() if index not in buffers
        ]
        if missing:
            raise invalid("inputs", f"the model needs {', '.join(missing)} too")
        return Inference(
            request_id, first_rows, [buffers[i] for i in sorted(buffers)], wanted
        )

    def _wanted(self, outputs: object) -> tuple[int, ...] | None:
        if type(outputs) is not list:
            raise invalid("outputs", "must be a list of objects with a name")
        wanted = []
        for number, entry in enumerate(outputs):
            path = f"outputs[{number}]"
            if type(entry) is not dict:
                raise invalid(path, "must be an object with a name")
            if not entry.keys() <= OUTPUT_KEYS:
                refuse_keys(path, entry, OUTPUT_KEYS)
            check_parameters(f"{path}.parameters", entry)
            name = entry.get("name")
            index = self._outputs.get(name) if type(name) is str else None
            if index is None:
                raise invalid(
                    f"{path}.name",
                    f"{shown(name)} is none of the model's outputs "
                    f"{', '.join(self._outputs)}",
                )
            if index in wanted:
                raise invalid(f"{path}.name", f"{shown(name)} stands twice")
            wanted.append(index)
        return tuple(wanted) or None


class Writer:
    """Writes answers of one model from texts of rows made once per batch."""

    def __init__(self, manifest: Manifest) -> None:
        name = orjson.dumps(manifest.name)
        version = orjson.dumps(manifest.version)
        self._start = b'{"model_name":%b,"model_version":%b,"id":"' % (name, version)
        self._all = tuple(range(len(manifest.outputs)))
        self._heads = []
        for tensor in manifest.outputs:
            head = b'{"name":%b,"datatype":"%b","shape":[' % (
                orjson.dumps(tensor.name),
                tensor.datatype.encode(),
            )
            tail = b"".join(b",%d" % size for size in tensor.shape[1:])
            self._heads.append((head, tail + b'],"data":['))

    def write(
        self,
        request_id: str,
        rows: int,
        wanted: tuple[int, ...] | None,
        outputs: Outputs,
    ) -> bytes:
        """Return the body of an answer."""
        tensors = []
        for index in wanted or self._all:
            before, after = self._heads[index]
            tensors.append(
                b"%b%d%b%b]}" % (before, rows, after, b",".join(outputs.text(index)))
            )
        return b'%b%b","outputs":[%b]}' % (
            self._start,
            request_id.encode(),
            b",".join(tensors),
        )
