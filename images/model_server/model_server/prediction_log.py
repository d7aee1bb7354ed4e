"""The prediction log: records taken without blocking, written by a thread.

The event loop only appends a record; the thread makes the text. Each of the counters
below is written by one side alone, so none needs a lock.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections import deque

from model_server.config import Config
from model_server.log_files import LogFiles
from model_server.metrics import Exposition
from model_server.records import Record, lines

POLL_SECONDS = 0.2
ROWS_PER_WRITE = 64

logger = logging.getLogger("model_server.prediction_log")


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
        cost = record.cost
        waiting = self._accepted_rows - self._taken_rows + cost
        if waiting > self._queue_rows:
            self._refused_rows += record.rows
            return
        self._accepted_rows += cost
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
        records: list[Record] = []
        rows = cost = 0
        while self._records and cost < ROWS_PER_WRITE:
            record = self._records.popleft()
            rows += record.rows
            cost += record.cost
            records.append(record)
        try:
            self._files.write(lines(records))
        except Exception as error:  # whatever it is, the thread must live on
            self._lost_rows += rows
            self.write_errors += 1
            if not isinstance(error, OSError):
                logger.exception("a record could not be written")
            if self._files.is_first_failure:
                logger.error(  # noqa: TRY400, the reason says it all
                    "the prediction log cannot be written; records are dropped",
                    extra={"reason": str(error)},
                )
        else:
            self.written_rows += rows
        self._taken_rows += cost


def open_prediction_log(config: Config) -> PredictionLog | None:
    """Start the prediction log if one is set; raise OSError if it cannot be written."""
    folder = config.prediction_log
    if folder is None:
        return None
    probe = folder / f".probe-{os.getpid()}"
    probe.touch()
    probe.unlink()
    files = LogFiles(
        folder,
        socket.gethostname(),
        file_bytes=config.prediction_log_file_bytes,
        file_seconds=config.prediction_log_file_seconds,
        total_bytes=config.prediction_log_total_bytes,
    )
    return PredictionLog(files, config.prediction_log_queue_rows)


def unwritable_log(config: Config, error: OSError) -> str:
    """Return what to tell of a prediction log that cannot be written."""
    return (
        f"MODEL_SERVER_PREDICTION_LOG={str(config.prediction_log)!r} cannot be "
        f"written: {error}; mount a writable folder there or set it empty"
    )
