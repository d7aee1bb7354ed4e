"""Records of the prediction log and their JSON lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import orjson

from model_server.datatypes import DATATYPES
from model_server.manifest import Manifest
from model_server.outputs import Outputs, Results, rows_as_text


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
    buffers: Sequence[bytes]
    outputs: Outputs | None


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
        self.width = int(np.prod(tensor.shape[1:], dtype=int))
        self.dtype = DATATYPES[tensor.datatype].dtype
        names = manifest.features or [
            f"{tensor.name}[{column}]" for column in range(self.width)
        ]
        self.features = b",".join(
            orjson.dumps(name).replace(b"%", b"%%") + b":%b" for name in names
        )
        self.logged = _logged_outputs(manifest)

    def features_text(self, records: Sequence[Record]) -> list[bytes]:
        """Return the features of all rows of these records, as members of objects."""
        if not records:
            return []
        buffer = b"".join([record.buffers[0] for record in records])
        rows = np.frombuffer(buffer, self.dtype).reshape(-1, self.width)
        form = self.features
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
        results.logged = [b"".join(parts) for parts in zip(*members, strict=True)]
        return results.logged


def _logged_outputs(manifest: Manifest) -> list[tuple[bytes, int, int, bool]]:
    """Return key, index, columns, and whether it is the score, of what is logged."""
    columns = [int(np.prod(out.shape[1:], dtype=int)) for out in manifest.outputs]
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
