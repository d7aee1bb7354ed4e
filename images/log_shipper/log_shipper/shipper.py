"""The loop: look at the folder, send the oldest file, delete it, repeat."""

from __future__ import annotations

import random
import threading
import time

from log_shipper.backoff import Backoff
from log_shipper.finished_file import FileTroubleError, FinishedFile
from log_shipper.folder import LogFolder, Waiting
from log_shipper.log import log
from log_shipper.metrics import SENT, MetricsCollector
from log_shipper.settings import Settings
from log_shipper.sink import RefusedError, Retry, Sink, UnavailableError

REMINDER_SECONDS = 600.0
"""Between two log lines of one lasting failure."""
NAMES_SHOWN = 100


class Shipper:
    """Sends one file at a time, in a thread of its own.

    The folder's time is read once a second. Unlike inotify, this needs no library and
    works on every file system. Jitter keeps the pods of a node from doing so at one
    moment.
    """

    def __init__(self, settings: Settings, sink: Sink) -> None:
        self.metrics = MetricsCollector()
        self.is_ready = threading.Event()
        """Set once the folder was read."""
        self._settings, self._sink = settings, sink
        self._folder = LogFolder(settings.folder, settings.refused_bytes)
        self._backoff = Backoff(settings.retry_seconds, settings.retry_max_seconds)
        self._stop = threading.Event()
        self._batch: dict[str, Waiting] = {}
        """The oldest files by name, oldest first."""
        self._not_before = 0.0
        """Monotonic time of the next attempt."""
        self._later: dict[str, float] = {}
        """The same of single files that failed by themselves."""
        self._failing: Retry | None = None
        self._logged_at = 0.0
        self._ignored: list[str] = []

    def run(self) -> None:
        """Send until `stop`, and then until a look finds nothing."""
        while True:
            is_stopping = self._stop.is_set()
            found = self.round(look_anyway=is_stopping)
            if is_stopping and found == 0:
                return
            if is_stopping and found and not self._batch:
                continue
            pause = self._settings.poll_seconds * random.uniform(0.8, 1.2)  # noqa: S311
            due = self._not_before - time.monotonic()
            pause = min(pause, due) if due > 0 else pause
            if is_stopping:
                time.sleep(pause)
            elif self._stop.wait(pause):
                # One attempt at once: what failed a minute ago may be repaired.
                self._not_before = 0.0
                self._later.clear()

    def stop(self) -> None:
        """Have `run` return when nothing waits any more."""
        self._stop.set()

    def round(self, *, look_anyway: bool = False) -> int | None:
        """Look for files, and send them until one fails.

        Returns how many waited, or None if that could not be seen.
        """
        try:
            if look_anyway or self._folder.has_changed():
                self._look()
        except OSError as error:
            self._failed(Retry.FILE, f"the folder cannot be read: {error}")
            return None
        self.is_ready.set()
        found = self.metrics.waiting_files
        for name in list(self._batch):
            now = time.monotonic()
            if now < self._not_before:
                break
            if now >= self._later.get(name, 0.0):
                self._send(name)
        self._note_oldest()
        return found

    def report_left(self) -> None:
        """Log how many files are left behind, and their names."""
        try:
            finished, still_open = self._folder.left()
        except OSError as error:
            log(f"the folder cannot be read: {error}", level="error")
            return
        log(
            "stopped",
            level="warning" if finished or still_open else "info",
            left=len(finished),
            left_open=len(still_open),
            names=(finished + still_open)[:NAMES_SHOWN],
        )

    def _look(self) -> None:
        look = self._folder.look()
        self._batch = {waiting.name: waiting for waiting in look.batch}
        self._later = {
            name: at for name, at in self._later.items() if name in self._batch
        }
        self.metrics.waiting_files = look.waiting
        self._note_oldest()
        if look.vanished:
            self._lose(look.vanished, "files were deleted before they were sent")
        if look.ignored and look.ignored != self._ignored:
            reason = "no regular file, or characters that are not sent"
            log("names are ignored", level="warning", names=look.ignored, reason=reason)
        self._ignored = look.ignored

    def _note_oldest(self) -> None:
        oldest = next(iter(self._batch.values()), None)
        self.metrics.oldest_modified = oldest.modified_ns / 1e9 if oldest else 0.0

    def _send(self, name: str) -> None:
        started = time.monotonic()
        try:
            with FinishedFile(self._settings.folder / name) as file:
                try:
                    self._sink.send(file)
                except RefusedError as error:
                    self._refuse(name, file, error)
                    return
                file.delete()
        except FileNotFoundError:
            # The next look counts it as lost.
            self._batch.pop(name)
        except UnavailableError as error:
            self._failed(error.retry, str(error), error.retry_after)
            if error.retry is Retry.STATUS:
                # It may be the file that the sink fails at: others come first.
                self._postpone(name)
        except FileTroubleError as error:
            self._trouble(name, error)
        else:
            self._done(name, SENT)
            self.metrics.bytes += file.compressed_bytes
            self.metrics.last_success = time.time()
            seconds = round(time.monotonic() - started, 3)
            log("sent", name=file.name, bytes=file.compressed_bytes, seconds=seconds)

    def _done(self, name: str, result: str) -> None:
        """Count a file that waits no more, by an answer of the sink."""
        self.metrics.files[result] += 1
        self.metrics.waiting_files -= 1
        self._folder.forget(name)
        self._batch.pop(name)
        self._backoff.after_success()
        if self._failing:
            log("the sink answers again")
        self._failing = None

    def _refuse(self, name: str, file: FinishedFile, error: RefusedError) -> None:
        result = error.refusal.value
        facts = {"reason": str(error), "bytes": file.compressed_bytes}
        try:
            deleted = self._folder.refuse(
                name, result=result, content_sha256=file.content_sha256, **facts
            )
        except OSError as fault:
            self._trouble(name, fault)
            return
        self._done(name, result)
        log("refused", level="error", name=file.name, result=result, **facts)
        if deleted:
            self._lose(deleted, "refused files were deleted for space")

    def _lose(self, files: list[str], message: str) -> None:
        self.metrics.lost_files += len(files)
        log(message, level="error", files=len(files), names=files[:NAMES_SHOWN])

    def _failed(
        self, retry: Retry, reason: str, retry_after: float | None = None
    ) -> None:
        """Count an attempt, set the time of the next one, and log if that is news."""
        self.metrics.retries[retry.value] += 1
        wait = self._backoff.after_failure(retry_after)
        now = time.monotonic()
        self._not_before = now + wait
        if retry is not self._failing or now - self._logged_at > REMINDER_SECONDS:
            fields = {"reason": reason, "waiting": self.metrics.waiting_files}
            log("not sent yet", level="error", retry=retry.value, **fields)
            self._logged_at = now
        self._failing = retry

    def _trouble(self, name: str, error: Exception) -> None:
        self.metrics.retries[Retry.FILE.value] += 1
        self._postpone(name)
        log("a file is not sent yet", level="error", name=name, reason=str(error))

    def _postpone(self, name: str) -> None:
        self._later[name] = time.monotonic() + self._settings.retry_max_seconds
