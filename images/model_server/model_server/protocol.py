"""Open Inference Protocol v2 in JSON: strict reading, quick writing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from model_server import parameters
from model_server.body_text import not_json
from model_server.buffers import Buffer
from model_server.datatypes import DATATYPES
from model_server.dimensions import Dimensions
from model_server.errors import invalid
from model_server.large_body import LARGE_BYTES, LargeBody
from model_server.manifest import Manifest
from model_server.outputs import Outputs, joined
from model_server.tensor_reader import TensorReader, refuse_keys
from model_server.wording import shown

REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
REQUEST_KEYS = frozenset(
    {"id", "inputs", "model_name", "model_version", "outputs", "parameters"}
)
OUTPUT_KEYS = frozenset({"name", "parameters"})
NOTHING: frozenset[int] = frozenset()


class Inference:
    """A request that was read: its id (if any), rows, packed inputs, outputs wanted.

    `buffers` are in the order of the manifest, and so are the indices in `wanted` (None
    for all outputs) and in `binary`: those that HTTP answers as raw bytes.
    `timeout_seconds` is how long the client waits, if the request has it.
    `unit` is the hash of the caller that an experiment assigned, if the log keeps it.
    `write`, if given, makes the body of the answer in another protocol.
    """

    __slots__ = (
        *("binary", "buffers", "id", "rows", "timeout_seconds", "unit", "wanted"),
        "write",
    )

    def __init__(
        self,
        request_id: str | None,
        rows: int,
        buffers: Sequence[Buffer],
        wanted: tuple[int, ...] | None,
        binary: frozenset[int] = NOTHING,
        *,
        timeout_seconds: float | None = None,
    ) -> None:
        self.binary = binary
        self.id = request_id
        self.rows = rows
        self.buffers = buffers
        self.wanted = wanted
        self.timeout_seconds = timeout_seconds
        self.unit = ""
        self.write: Callable[[Outputs], bytes] | None = None

    def deadline(self, started_at: float, other: float | None) -> float | None:
        """Return the earlier of the transport's deadline and the request's own."""
        if self.timeout_seconds is None:
            return other
        own = started_at + self.timeout_seconds
        return own if other is None else min(own, other)


class Reader:
    """Reads request bodies for one model."""

    def __init__(self, manifest: Manifest, max_rows: int) -> None:
        self._tensors = [TensorReader(tensor, max_rows) for tensor in manifest.inputs]
        self._is_one_fixed = len(self._tensors) == 1 and manifest.inputs[0].is_fixed
        self._dimensions = Dimensions(manifest.inputs)
        self._positions = {
            tensor.name: index for index, tensor in enumerate(manifest.inputs)
        }
        self._outputs = {
            tensor.name: index for index, tensor in enumerate(manifest.outputs)
        }
        self._indices = frozenset(self._outputs.values())
        self._own = {"model_name": manifest.name, "model_version": manifest.version}
        tensors = (*manifest.inputs, *manifest.outputs)
        self._tensor_count = len(tensors)
        self._has_texts = not all(
            DATATYPES[tensor.datatype].is_packed for tensor in manifest.inputs
        )

    def read(self, body: bytes | bytearray, json_bytes: int | None = None) -> Inference:
        """Read one body; raise `RequestError` where it is wrong.

        The first `json_bytes` are JSON and raw tensors follow; None: all is JSON. A
        bytearray is emptied while it is read.
        """
        tail: _Tail | None = None
        if json_bytes is not None:
            tail = _Tail(memoryview(body)[json_bytes:])
            body = body[:json_bytes]
        if len(body) > LARGE_BYTES and not self._has_texts:
            return self._read_large(body, tail)
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise not_json(str(error) if body else "the body is empty") from None
        # A JSON true would pass as the number 1; look closer only where one stands.
        # Looking for a letter first takes a seventh of the time: most bodies have none.
        has_booleans = (b"r" in body and b"true" in body) or (
            b"l" in body and b"false" in body
        )
        return self._read(document, tail, has_booleans)

    def _read_large(self, body: bytes | bytearray, tail: _Tail | None) -> Inference:
        """Read a body of numbers in little more memory than they take themselves."""
        large = LargeBody(body, self._tensor_count)
        document = large.document()
        try:
            # The rest of it is small, so look closer.
            return self._read(document, tail, has_booleans=True)
        finally:
            # A body that is not JSON is reported first.
            large.check_rest()

    def _read(self, document: Any, tail: _Tail | None, has_booleans: bool) -> Inference:
        """Read what a body says."""
        if type(document) is not dict:
            raise invalid("$", f"must be an object, not {shown(document)}")
        request_id: str | None = None
        wanted: tuple[int, ...] | None = None
        binary = NOTHING
        timeout: float | None = None
        entries = document.get("inputs")
        if entries is None or len(document) > 1:
            if not document.keys() <= REQUEST_KEYS:
                refuse_keys("$", document, REQUEST_KEYS)
            request_id = self._id_of(document)
            asked = parameters.read(
                "parameters", parameters.REQUEST, document.get("parameters")
            )
            timeout = parameters.seconds(asked)
            all_binary = asked.get("binary_data_output") is True
            wanted, binary = self._outputs_of(document.get("outputs"), all_binary)
        if type(entries) is not list:
            raise invalid("inputs", "must be a list of tensors")
        if tail is None and self._is_one_fixed and len(entries) == 1:
            rows, packed = self._tensors[0].read(entries[0], "inputs[0]", has_booleans)
            return Inference(
                request_id, rows, (packed,), wanted, binary, timeout_seconds=timeout
            )
        rows, buffers = self._read_several(entries, tail, has_booleans)
        if tail is not None:
            tail.check_end()
        return Inference(
            request_id, rows, buffers, wanted, binary, timeout_seconds=timeout
        )

    def _read_several(
        self, entries: list[object], tail: _Tail | None, has_booleans: bool
    ) -> tuple[int, list[Buffer]]:
        buffers: dict[int, Buffer] = {}
        first_rows = 0
        for number, entry in enumerate(entries):
            path = f"inputs[{number}]"
            name = entry.get("name") if type(entry) is dict else None
            position = self._positions.get(name) if type(name) is str else None
            if position is None:
                raise invalid(
                    f"{path}.name",
                    f"{shown(name)} is not one of the model's inputs "
                    f"{', '.join(self._positions)}",
                )
            if position in buffers:
                raise invalid(f"{path}.name", f"{shown(name)} is given twice")
            reader = self._tensors[position]
            raw = tail.take(entry, path) if tail else None
            if raw is None:
                rows, packed = reader.read(entry, path, has_booleans)
            else:
                rows, packed = reader.read_binary(entry, raw, path)
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
        ordered = [buffers[index] for index in sorted(buffers)]
        self._dimensions.check(ordered)
        return first_rows, ordered

    def _id_of(self, document: dict[str, object]) -> str | None:
        """Return a request's id, if it has one; raise if it is for another model.

        KServe's client sends the model's name in the body too.
        """
        for key, own in self._own.items():
            given = document.get(key)
            if given is not None and given not in ("", own):
                raise invalid(
                    key, f"{shown(given)} is not {own}, which the path stands for"
                )
        value = document.get("id")
        if value is None or value == "":
            return None
        if type(value) is not str or not REQUEST_ID.fullmatch(value):
            raise invalid(
                "id", f"{shown(value)} must be 1 to 128 of letters, digits and ._:/+=@-"
            )
        return value

    def _outputs_of(
        self, outputs: object, all_binary: bool
    ) -> tuple[tuple[int, ...] | None, frozenset[int]]:
        """Return the outputs wanted (None: all), and which of them as raw bytes."""
        if outputs is None:
            return None, self._indices if all_binary else NOTHING
        if type(outputs) is not list:
            raise invalid("outputs", "must be a list of objects with a name")
        wanted: list[int] = []
        binary = []
        for number, entry in enumerate(outputs):
            path = f"outputs[{number}]"
            index, is_binary = self._output(entry, path)
            if index in wanted:
                raise invalid(f"{path}.name", f"{shown(entry['name'])} is given twice")
            wanted.append(index)
            if all_binary if is_binary is None else is_binary:
                binary.append(index)
        if not wanted and all_binary:
            return None, self._indices
        return tuple(wanted) or None, frozenset(binary)

    def _output(self, entry: object, path: str) -> tuple[int, object]:
        """Return the index of the output that an entry of `outputs` names.

        And whether it is wanted as raw bytes (None: the entry does not say).
        """
        if type(entry) is not dict:
            raise invalid(path, "must be an object with a name")
        if not entry.keys() <= OUTPUT_KEYS:
            refuse_keys(path, entry, OUTPUT_KEYS)
        asked = parameters.read(
            f"{path}.parameters", parameters.OUTPUT, entry.get("parameters")
        )
        name = entry.get("name")
        index = self._outputs.get(name) if type(name) is str else None
        if index is None:
            raise invalid(
                f"{path}.name",
                f"{shown(name)} is not one of the model's outputs "
                f"{', '.join(self._outputs)}",
            )
        return index, asked.get("binary_data")


class _Tail:
    """The raw bytes after a request's JSON; its tensors take their parts in order."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._taken = 0

    def take(self, entry: object, path: str) -> memoryview | None:
        """Return a tensor's bytes, or None if its values stand in the JSON."""
        given = entry.get("parameters") if type(entry) is dict else None
        size = given.get("binary_data_size") if type(given) is dict else None
        if size is None:
            return None
        path = f"{path}.parameters.binary_data_size"
        left = len(self._data) - self._taken
        if type(size) is not int or size < 0:
            raise invalid(path, f"{shown(size)} must be a whole number from 0")
        if size > left:
            raise invalid(path, f"{size} bytes, but {left} are left of the body")
        self._taken += size
        return self._data[self._taken - size : self._taken]

    def check_end(self) -> None:
        if self._taken < len(self._data):
            raise invalid(
                "inputs",
                f"{len(self._data) - self._taken} bytes of the body belong to no "
                "tensor; give each its parameter binary_data_size",
            )


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
            if tensor.is_free:
                self._heads.append((head, b'],"data":['))
                continue
            tail = b"".join(b",%d" % size for size in tensor.shape[1:])
            self._heads.append((head, tail + b'],"data":['))
        # `%` fills the shape of such an output in whole, of others only the rows.
        self._is_free = [tensor.is_free for tensor in manifest.outputs]
        self._has_free = any(self._is_free)
        self._form = self._form_of(self._all)

    def write(
        self,
        request_id: bytes,
        rows: int,
        wanted: tuple[int, ...] | None,
        outputs: Outputs,
    ) -> bytes:
        """Return the body of an answer."""
        values: list[bytes | int] = [request_id]
        if self._has_free:
            wanted = wanted or self._all
            arrays, texts_of = outputs.arrays, outputs.texts()
            for index in wanted:
                sizes = arrays[index].shape
                shape = b",".join(b"%d" % size for size in sizes)
                is_free = self._is_free[index]
                values += (shape if is_free else rows, joined(texts_of[index]))
            return self._form_of(wanted) % tuple(values)
        if wanted is None:
            form = self._form
            first = outputs.start
            for texts in outputs.results.texts():
                values.append(rows)
                values.append(
                    texts[first]
                    if rows == 1
                    else b",".join(texts[first : first + rows])
                )
        else:
            form = self._form_of(wanted)
            texts_of = outputs.texts()
            for index in wanted:
                values += (rows, b",".join(texts_of[index]))
        return form % tuple(values)

    def _form_of(self, indices: tuple[int, ...]) -> bytes:
        """Return what `%` fills with the id and each output's rows and values."""
        tensors = []
        for index in indices:
            before, after = self._heads[index]
            shape = b"%b" if self._is_free[index] else b"%d"
            tensors.append(_plain(before) + shape + _plain(after) + b"%b]}")
        return _plain(self._start) + b'%b","outputs":[' + b",".join(tensors) + b"]}"


def _plain(text: bytes) -> bytes:
    """Return a text that `%` leaves as it is."""
    return text.replace(b"%", b"%%")
