"""Records of the prediction log and their JSON lines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import orjson

from model_server.buffers import Buffer, join, size_of, values
from model_server.manifest import Manifest
from model_server.outputs import Outputs, Results, rows_as_text
from model_server.tensor import Tensor

COST_BYTES = 4096
SEVERAL = 3
"""Columns of an output with free ones: it is logged as a list."""


@dataclass(slots=True)
class Record:
    """One answered request.

    `buffers` are its packed inputs and `outputs` its results; an error has none.
    """

    form: RecordForm
    request_id: str
    time: float
    latency: float
    status: int
    code: str
    rows: int
    buffers: Sequence[Buffer]
    outputs: Outputs | None

    @property
    def cost(self) -> int:
        """Rows that the log's queue counts it as.

        Rows of no fixed size count once for each `COST_BYTES`, or a few of them could
        take all memory.
        """
        if self.form.is_fixed:
            return self.rows
        arrays = self.outputs.arrays if self.outputs else []
        size = sum(size_of(buffer) for buffer in (*self.buffers, *arrays))
        return max(self.rows, size // COST_BYTES)


class RecordForm:
    """What is the same in all lines of one model."""

    def __init__(self, manifest: Manifest, revision: str, arm: str) -> None:
        self.fixed = orjson.dumps(
            {
                "model": manifest.name,
                "version": manifest.version,
                "revision": revision,
                "arm": arm,
            }
        )[1:-1]
        # The log takes the columns of the first input; a model of several names them.
        tensor = manifest.inputs[0]
        self.tensor = tensor
        self.is_fixed = all(it.is_fixed for it in manifest.inputs) and not any(
            it.is_free for it in manifest.outputs
        )
        names = manifest.features or _names(tensor)
        self.features = b",".join(
            orjson.dumps(name).replace(b"%", b"%%") + b":%b" for name in names
        )
        self.logged = _logged_outputs(manifest)
        # Outputs bear the model's own names, which may be those of our fields.
        self.nested = not (manifest.decision or manifest.score)

    def features_text(self, records: Sequence[Record]) -> list[bytes]:
        """Return the features of all rows of these records, as members of objects."""
        if not records:
            return []
        tensor, form = self.tensor, self.features
        buffers = [record.buffers[0] for record in records]
        if not tensor.is_fixed:
            return [
                form % tuple(members)
                for buffer in buffers
                for members in _members(tensor, buffer)
            ]
        rows = values(tensor, join(buffers)).reshape(-1, tensor.width)
        return [form % tuple(text.split(b",")) for text in rows_as_text(rows)]

    def results_text(self, results: Results) -> list[bytes]:
        """Return what is logged of each row of a run, as members of an object.

        It is made once for all requests of the run, and kept for those whose turn to
        be written comes later.
        """
        if results.logged is not None:
            return results.logged
        members = []
        for key, index, columns, is_score in self.logged:
            texts = results.texts()[index]
            if columns == 2 and is_score:
                texts = [text.rpartition(b",")[2] for text in texts]
            elif columns > 1:
                texts = [b"[%b]" % text for text in texts]
            members.append([key + text for text in texts])
        joined = [b"".join(parts) for parts in zip(*members, strict=True)]
        if self.nested:
            joined = [b',"outputs":{%b}' % text[1:] for text in joined]
        results.logged = joined
        return results.logged


def _names(tensor: Tensor) -> list[str]:
    """Return the names of an input's columns; free ones stand under one, as a list."""
    if tensor.is_free:
        return [tensor.name]
    return [f"{tensor.name}[{column}]" for column in range(tensor.width)]


def _members(tensor: Tensor, buffer: Buffer) -> Iterator[list[bytes]]:
    """Yield what each row of texts, or of a free shape, has as values of its names."""
    array = values(tensor, buffer)
    for row in array.reshape(len(array), -1).tolist():
        if tensor.is_free:
            yield [orjson.dumps(row)]
        else:
            yield [orjson.dumps(value) for value in row]


def _logged_outputs(manifest: Manifest) -> list[tuple[bytes, int, int, bool]]:
    """Return key, index, columns, and whether it is the score, of what is logged."""
    columns = [SEVERAL if out.is_free else out.width for out in manifest.outputs]
    names = [output.name for output in manifest.outputs]
    chosen = [
        (key, names.index(name))
        for key, name in (("decision", manifest.decision), ("score", manifest.score))
        if name
    ] or [(name, index) for index, name in enumerate(names)]
    return [
        (b",%b:" % orjson.dumps(key), index, columns[index], key == "score")
        for key, index in chosen
    ]


def lines(records: Sequence[Record]) -> bytes:
    """Return the JSON lines of records: one a row, or one in all for an error."""
    found: list[bytes] = []
    for form, group in groupby(records, lambda record: record.form):
        same = list(group)
        features = iter(
            form.features_text([item for item in same if item.outputs is not None])
        )
        for record in same:
            start = b'{"id":"%b","row":' % record.request_id.encode()
            common = b',"time":"%b",%b,"status":%d,"latency_seconds":%.6f' % (
                _time_text(record.time),
                form.fixed,
                record.status,
                record.latency,
            )
            if record.outputs is None:
                found.append(
                    b'%b0%b,"code":"%b"}\n' % (start, common, record.code.encode())
                )
                continue
            texts = form.results_text(record.outputs.results)
            first = record.outputs.start
            found += [
                b'%b%d%b,"features":{%b}%b}\n'
                % (start, row, common, next(features), texts[first + row])
                for row in range(record.rows)
            ]
    return b"".join(found)


_last_second = (0, b"")


def _time_text(moment: float) -> bytes:
    """Return a time as RFC 3339 in UTC with microseconds; seconds are cached."""
    global _last_second
    microseconds = round(moment * 1_000_000)
    second, fraction = divmod(microseconds, 1_000_000)
    if second != _last_second[0]:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _last_second = (second, text.encode())
    return b"%b.%06dZ" % (_last_second[1], fraction)
