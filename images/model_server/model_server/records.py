"""Records of the prediction log and their JSON lines."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, repeat

import orjson

from model_server.buffers import Buffer, cut, size_of
from model_server.datatypes import DATATYPES
from model_server.feature_texts import (
    FeatureTexts,
    logged_features,
    protected_attributes,
)
from model_server.manifest import Manifest
from model_server.outputs import Outputs, Results
from model_server.protocol import Inference

COST_BYTES = 4096
SEVERAL = 3
"""Columns of an output with free ones: it is logged as a list."""


@dataclass(slots=True)
class Record:
    """One answered request: `time` and `latency` are seconds, from when it came in.

    `buffers` are its packed inputs, as `RecordForm.held` gives them, and `outputs` its
    results; an error has none.
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
    first_row: int = 0
    """The number of its first row in the request, where it is a part of one."""
    unit: str = ""
    """Hash of the caller that an experiment assigned, if the log keeps it."""

    def parts(self, rows: int) -> Iterator[Record]:
        """Yield the record in parts of so many rows at most."""
        if self.outputs is None or self.rows <= rows:
            yield self
            return
        for start in range(0, self.rows, rows):
            stop = min(start + rows, self.rows)
            yield replace(
                self,
                rows=stop - start,
                buffers=[
                    cut(buffer, self.rows, start, stop) if len(buffer) else buffer
                    for buffer in self.buffers
                ],
                outputs=self.outputs.part(start, stop),
                first_row=self.first_row + start,
            )

    @property
    def cost(self) -> int:
        """Rows that the log's queue counts it as.

        Rows count once for each `COST_BYTES`, or a few of them could take all memory.
        """
        if self.form.is_fixed:
            return self.rows * self.form.row_cost
        arrays = self.outputs.arrays if self.outputs else []
        size = sum(size_of(buffer) for buffer in (*self.buffers, *arrays))
        return max(self.rows, size // COST_BYTES)


def answered(
    form: RecordForm,
    request_id: str,
    latency: float,
    inference: Inference,
    outputs: Outputs,
) -> Record:
    """Return the record of a request that is answered now, after so many seconds."""
    return Record(
        form,
        request_id,
        time.time() - latency,
        latency,
        200,
        "",
        inference.rows,
        form.held(inference.buffers),
        outputs,
        unit=inference.unit,
    )


class RecordForm:
    """The constant parts of all lines of one model."""

    def __init__(
        self, manifest: Manifest, revision: str, arm: str, hash_key: bytes = b""
    ) -> None:
        named = {"model": manifest.name, "version": manifest.version}
        self.fixed = orjson.dumps({**named, "revision": revision, "arm": arm})[1:-1]
        del named["version"]
        self.fixed_protected = orjson.dumps({**named, "revision": revision})[1:-1]
        self._features = logged_features(manifest, hash_key)
        self._attributes = protected_attributes(manifest)
        self.has_protected = bool(self._attributes)
        read = {texts.position for texts in (*self._features, *self._attributes)}
        self._unread = [it for it in range(len(manifest.inputs)) if it not in read]
        self.is_fixed = all(
            manifest.inputs[position].is_fixed for position in read
        ) and not any(it.is_free for it in manifest.outputs)
        fixed = [manifest.inputs[it] for it in read] if self.is_fixed else []
        row_bytes = sum(
            it.width * DATATYPES[it.datatype].dtype.itemsize for it in fixed
        )
        self.row_cost = max(1, math.ceil(row_bytes / COST_BYTES))
        self.logged = _logged_outputs(manifest)
        # Outputs have the model's own names, which may be those of our fields.
        self.nested = not (manifest.decision or manifest.score)

    def held(self, buffers: Sequence[Buffer]) -> Sequence[Buffer]:
        """Return a request's buffers, empty where nothing of the input is logged.

        What waits to be written would else keep them in memory.
        """
        if not self._unread:
            return buffers
        left = list(buffers)
        for position in self._unread:
            left[position] = b""
        return left

    def features_text(self, records: Sequence[Record]) -> Iterable[bytes]:
        """Return the features of all rows of these records, as members of objects."""
        return _joined(self._features, records)

    def attributes_text(self, records: Sequence[Record]) -> Iterable[bytes]:
        """Return the protected attributes in the same way."""
        return _joined(self._attributes, records)

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


def _joined(
    parts: Sequence[FeatureTexts], records: Sequence[Record]
) -> Iterable[bytes]:
    """Return what all parts make of each row, with commas between them."""
    if not parts:
        return repeat(b"")
    if not records:
        return []
    texts = [
        part.texts([record.buffers[part.position] for record in records])
        for part in parts
    ]
    if len(texts) == 1:
        return texts[0]
    return [b",".join(row) for row in zip(*texts, strict=True)]


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
    """Return the JSON lines of records: one a row, or one in all for an error.

    The fields are those of contracts/prediction_record.yaml.
    """
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
            if record.unit:
                common += b',"unit":"%b"' % record.unit.encode()
            texts = form.results_text(record.outputs.results)
            start_row = record.first_row
            first = record.outputs.start
            found += [
                b'%b%d%b,"features":{%b}%b}\n'
                % (start, row, common, next(features), texts[first + row - start_row])
                for row in range(start_row, start_row + record.rows)
            ]
    return b"".join(found)


def protected_lines(records: Sequence[Record]) -> bytes:
    """Return the JSON lines of protected attributes: one a row.

    The records are of models that have some, and no errors.
    """
    found: list[bytes] = []
    for form, group in groupby(records, lambda record: record.form):
        same = list(group)
        attributes = iter(form.attributes_text(same))
        for record in same:
            start = b'{"id":"%b","row":' % record.request_id.encode()
            common = b',"time":"%b",%b,"attributes":' % (
                _time_text(record.time),
                form.fixed_protected,
            )
            found += [
                b"%b%d%b{%b}}\n" % (start, row, common, next(attributes))
                for row in range(record.first_row, record.first_row + record.rows)
            ]
    return b"".join(found)


_last_second = (-1, b"")


def _time_text(moment: float) -> bytes:
    """Return a time as RFC 3339 in UTC with microseconds; seconds are cached."""
    global _last_second
    microseconds = round(moment * 1_000_000)
    second, fraction = divmod(microseconds, 1_000_000)
    if second != _last_second[0]:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _last_second = (second, text.encode())
    return b"%b.%06dZ" % (_last_second[1], fraction)
