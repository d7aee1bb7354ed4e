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
from collections.abc import Callable, Iterable, Iterator, Sequence

from model_server.config import PREFIX, Config
from model_server.log_files import PREDICTIONS, PROTECTED, LogFiles
from model_server.logs import log_fault
from model_server.metrics import Exposition
from model_server.model import Model
from model_server.records import Record, lines, protected_lines

POLL_SECONDS = 0.2
ROWS_PER_WRITE = 64
ROWS_AT_ONCE = 512
"""More rows of one request are written in parts."""

logger = logging.getLogger("model_server.prediction_log")


class PredictionLog:
    """Takes records without ever blocking and writes them in the background.

    `protected` are the files of protected attributes; a model without any has none.
    """

    def __init__(self, files: LogFiles, protected: LogFiles, queue_rows: int) -> None:
        self._files = files
        self._protected = protected
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
        """Rows that the queue had no place for or that could not be written whole."""
        return self._refused_rows + self._lost_rows

    @property
    def waiting_rows(self) -> int:
        return self._accepted_rows - self._taken_rows

    def add_metrics(self, page: Exposition) -> None:
        """Add the log's families."""
        deleted = self._files.deleted + self._protected.deleted
        for name, meaning, value in (
            ("records", "Records written.", self.written_rows),
            ("dropped", "Records lost: queue full or disk refused.", self.dropped_rows),
            ("write_errors", "Writes that failed.", self.write_errors),
            ("deleted_files", "Old files deleted for space.", deleted),
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
            self._finish(at_once=is_last)
            if is_last:
                return
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()

    def _finish(self, *, at_once: bool) -> None:
        """Finish the open files when one is due: so both have the same rows."""
        if at_once or self._files.is_due or self._protected.is_due:
            self._files.finish()
            self._protected.finish()

    def _write_some(self) -> None:
        """Write a few records: a long turn would hold the event loop off its CPU."""
        records: list[Record] = []
        rows = cost = 0
        while self._records and cost < ROWS_PER_WRITE:
            record = self._records.popleft()
            rows += record.rows
            cost += record.cost
            records.append(record)
        lost = sum(map(self._write_part, _in_parts(records, rows)))
        self._lost_rows += lost
        self.written_rows += rows - lost
        self._taken_rows += cost
        self._finish(at_once=False)

    def _write_part(self, records: Sequence[Record]) -> int:
        """Write the lines of records; return how many of their rows are lost."""
        protected = [
            record
            for record in records
            if record.form.has_protected and record.outputs is not None
        ]
        if not self._write(self._files, lines, records):
            return sum(record.rows for record in records)
        if protected and not self._write(self._protected, protected_lines, protected):
            return sum(record.rows for record in protected)
        return 0

    def _write(
        self,
        files: LogFiles,
        text: Callable[[Sequence[Record]], bytes],
        records: Sequence[Record],
    ) -> bool:
        """Write what `text` makes of records; False if that failed."""
        try:
            files.write(text(records))
        except Exception as error:  # noqa: BLE001, the thread must live on
            self.write_errors += 1
            if not isinstance(error, OSError):
                log_fault(logger, "a record could not be written", error)
            elif files.is_first_failure:
                logger.error(  # noqa: TRY400, the reason says it all
                    "the prediction log cannot be written; records are dropped",
                    extra={"reason": str(error), "files": files.kind.prefix},
                )
            return False
        return True


def _in_parts(records: Sequence[Record], rows: int) -> Iterator[Sequence[Record]]:
    """Yield records whose lines are made at once: in memory they are many times these.

    `rows`: of all of them.
    """
    if rows <= ROWS_AT_ONCE:
        yield records
        return
    for record in records:
        for part in record.parts(ROWS_AT_ONCE):
            yield [part]


def open_prediction_log(config: Config) -> PredictionLog | None:
    """Start the prediction log if one is set; raise OSError if it cannot be written."""
    folder = config.prediction_log
    if folder is None:
        return None
    probe = folder / f".probe-{os.getpid()}"
    probe.touch()
    probe.unlink()
    files, protected = (
        LogFiles(
            folder,
            socket.gethostname(),
            kind,
            file_bytes=config.prediction_log_file_bytes,
            file_seconds=config.prediction_log_file_seconds,
            total_bytes=config.prediction_log_total_bytes,
        )
        for kind in (PREDICTIONS, PROTECTED)
    )
    return PredictionLog(files, protected, config.prediction_log_queue_rows)


def unwritable_log(config: Config, error: OSError) -> str:
    """Return the error of a prediction log that cannot be written."""
    return (
        f"MODEL_SERVER_PREDICTION_LOG={str(config.prediction_log)!r} cannot be "
        f"written: {error}; mount a writable folder there or set it empty"
    )


def without_hash_key(models: Iterable[Model], config: Config) -> list[str]:
    """Return a problem for each model that has features hashed and no key to do it."""
    if config.prediction_log is None or config.prediction_log_hash_key_file:
        return []
    return [
        f"{model.folder / 'model.yaml'}: log.hash: there is no key to hash "
        f"{', '.join(sorted(model.manifest.log.hashed))} with; set "
        f"{PREFIX}PREDICTION_LOG_HASH_KEY_FILE to a file with a secret key of 32 bytes "
        f"or more, or {PREFIX}PREDICTION_LOG empty"
        for model in models
        if model.manifest.log.hashed
    ]
