"""The prediction log: JSON lines, written by a thread behind a bounded queue.

The event loop only appends a tuple; the thread makes the text. Each of the counters
below is written by one side alone, so none needs a lock.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from model_server.datatypes import DATATYPES
from model_server.log_files import LogFiles
from model_server.manifest import Manifest
from model_server.metrics import Exposition
from model_server.protocol import rows_as_text

POLL_SECONDS = 0.2
ROWS_PER_WRITE = 64

logger = logging.getLogger("model_server.prediction_log")


@dataclass(slots=True)
class Record:
    """One answered request: `outputs` as rows of text, empty for an error."""

    form: RecordForm
    request_id: str
    time: float
    latency: float
    status: int
    code: str
    rows: int
    buffers: Sequence[bytes]
    outputs: Sequence[Sequence[bytes]]


class RecordForm:
    """Turns records of one model into lines."""

    def __init__(self, manifest: Manifest, revision: str, arm: str) -> None:
        self._fixed = orjson.dumps(
            {
                "model": manifest.name,
                "version": manifest.version,
                "revision": revision,
                "arm": arm,
            }
        )[1:-1]
        # The log takes the columns of the first input; a model of several names them.
        tensor = manifest.inputs[0]
        width = int(np.prod(tensor.shape[1:], dtype=int))
        names = manifest.features or [f"{tensor.name}[{i}]" for i in range(width)]
        self._width = width
        self._dtype = DATATYPES[tensor.datatype].dtype
        self._features = b",".join(
            orjson.dumps(name).replace(b"%", b"%%") + b":%b" for name in names
        )
        outputs = [output.name for output in manifest.outputs]
        columns = {
            output.name: int(np.prod(output.shape[1:], dtype=int))
            for output in manifest.outputs
        }
        self._logged = [
            (b'"decision":', outputs.index(name), columns[name], False)
            for name in [manifest.decision]
            if name
        ] + [
            (b'"score":', outputs.index(name), columns[name], True)
            for name in [manifest.score]
            if name
        ]
        if not self._logged:
            self._logged = [
                (orjson.dumps(name) + b":", index, columns[name], False)
                for index, name in enumerate(outputs)
            ]

    def lines(self, record: Record) -> list[bytes]:
        """Return the record's lines: one per row, or one in all for an error."""
        moment = dt.datetime.fromtimestamp(record.time, dt.UTC)
        start = b'{"id":"%b","row":' % record.request_id.encode()
        common = b',"time":"%b",%b,"status":%d,"latency_seconds":%b' % (
            moment.isoformat(timespec="microseconds").replace("+00:00", "Z").encode(),
            self._fixed,
            record.status,
            b"%.6f" % record.latency,
        )
        if not record.outputs:
            return [b'%b0%b,"code":"%b"}\n' % (start, common, record.code.encode())]
        flat = np.frombuffer(record.buffers[0], self._dtype)
        texts = rows_as_text(flat.reshape(record.rows, self._width))
        return [
            b'%b%d%b,"features":{%b}%b}\n'
            % (
                start,
                row,
                common,
                self._features % tuple(text.split(b",")),
                self._results(record.outputs, row),
            )
            for row, text in enumerate(texts)
        ]

    def _results(self, outputs: Sequence[Sequence[bytes]], row: int) -> bytes:
        parts = []
        for key, index, columns, is_score in self._logged:
            text = outputs[index][row]
            if columns > 1:
                if is_score and columns == 2:
                    text = text.rpartition(b",")[2]
                else:
                    text = b"[%b]" % text
            parts.append(b",%b%b" % (key, text))
        return b"".join(parts)


class PredictionLog:
    """Takes records without ever blocking and writes them in the background."""

    def __init__(self, files: LogFiles, queue_rows: int) -> None:
        self._files = files
        self._queue_rows = queue_rows
        self._records: deque[Record] = deque()
        self._accepted_rows = 0
        self._taken_rows = 0
        self._refused_rows = 0
        self._lost_rows = 0
        self.written_rows = 0
        self.write_errors = 0
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(
            target=self._work, name="prediction-log", daemon=True
        )
        self._thread.start()

    @property
    def dropped_rows(self) -> int:
        """Rows that the queue had no place for or that could not be written."""
        return self._refused_rows + self._lost_rows

    @property
    def waiting_rows(self) -> int:
        return self._accepted_rows - self._taken_rows

    def add_metrics(self, page: Exposition) -> None:
        """Add the log's families."""
        for name, meaning, value in (
            ("records", "Records written.", self.written_rows),
            ("dropped", "Records lost: queue full or disk refused.", self.dropped_rows),
            ("write_errors", "Writes that failed.", self.write_errors),
            ("deleted_files", "Old files deleted for space.", self._files.deleted),
        ):
            page.plain(f"prediction_log_{name}_total", "counter", meaning, value)
        page.plain(
            "prediction_log_queue_rows",
            "gauge",
            "Records that wait to be written.",
            self.waiting_rows,
        )

    def append(self, record: Record) -> None:
        """Take a record, or drop and count it when the queue is full."""
        waiting = self._accepted_rows - self._taken_rows + record.rows
        if waiting > self._queue_rows:
            self._refused_rows += record.rows
            return
        self._accepted_rows += record.rows
        self._records.append(record)
        if waiting > self._queue_rows // 2:
            self._wake.set()

    def stop(self, seconds: float) -> None:
        """Write what waits, finish the file; give up after the seconds."""
        self._is_stopping = True
        self._wake.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            logger.error(
                "the prediction log could not be written out in time",
                extra={"rows": self.waiting_rows},
            )

    def _work(self) -> None:
        while True:
            is_last = self._is_stopping
            while self._records:
                self._write_some()
            self._files.rotate(finish=is_last)
            if is_last:
                return
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()

    def _write_some(self) -> None:
        """Write a few records: a long turn would hold the event loop off its CPU."""
        lines: list[bytes] = []
        rows = 0
        while self._records and rows < ROWS_PER_WRITE:
            record = self._records.popleft()
            rows += record.rows
            lines += record.form.lines(record)
        try:
            self._files.write(b"".join(lines))
        except OSError as error:
            self._lost_rows += rows
            self.write_errors += 1
            if self._files.is_first_failure:
                logger.error(  # noqa: TRY400, the reason says it all
                    "the prediction log cannot be written; records are dropped",
                    extra={"reason": str(error)},
                )
            time.sleep(0)
        else:
            self.written_rows += rows
        self._taken_rows += rows
