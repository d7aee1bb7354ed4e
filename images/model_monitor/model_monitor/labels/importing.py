"""Taking labels in: checked, kept on disk, and joined to their predictions later.

What is accepted lies in `labels/pending/<name>.parquet` first. `LabelJoin` moves each
label to the day and model of its prediction.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from model_monitor.audit.chain import MONITOR, Chain
from model_monitor.audit.search import has_entry
from model_monitor.labels.sources import LabelSource, open_labels
from model_monitor.store import kinds, names, quarantine, receipts
from model_monitor.store.database import database
from model_monitor.store.limits import Limits
from model_monitor.store.lines import BadLine, FileTroubleError, LinesFile
from model_monitor.store.parts import write_parquet
from model_monitor.store.quarantine import BadLines
from model_monitor.store.receipts import Receipt
from model_monitor.store.records import Records
from model_monitor.store.store import Store

COLUMNS = (
    "id",
    '"row"',
    "label",
    "label_number",
    "label_time",
    "source",
    "received",
    "prediction_time",
)
"""Columns of every parquet file of labels."""


class LabelsRefusedError(Exception):
    """A file of labels that is not taken in; nothing was changed.

    `code` is for programs, `fix` for people.
    """

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(f"{message}; {fix}")
        self.code, self.message, self.fix = code, message, fix


@dataclass
class LabelImport:
    """The result of one file or post."""

    name: str
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Lines by reason."""
    bad_lines: list[BadLine] = field(default_factory=list)
    """The first of them."""
    is_repeated: bool = False
    """It came before, with the same content: nothing was changed."""


def import_labels(
    store: Store,
    path: Path,
    *,
    actor: str = MONITOR,
    limits: Limits | None = None,
    now: dt.datetime | None = None,
) -> LabelImport:
    """Take a file of labels in; its name decides its form and makes it idempotent.

    Bad lines go to quarantine. Raises LabelsRefusedError if the name cannot be used or
    was used for other content, or if the file cannot be read as what its name says.
    """
    if not names.is_labels(path.name):
        raise LabelsRefusedError(
            "bad_name",
            f"{path.name!r} cannot be the name of a file of labels",
            "use letters, digits, '.', '_' and '-', and end in .jsonl, .jsonl.gz, .csv "
            "or .parquet",
        )
    limits = limits or Limits()
    source = open_labels(path, path.name, store.root, limits)
    task = _Import(store, path.name, source, limits, now or dt.datetime.now(dt.UTC))
    return task.run(actor, quarantines=True)


def import_posted(
    store: Store,
    path: Path,
    digest: str,
    *,
    actor: str = MONITOR,
    limits: Limits | None = None,
    now: dt.datetime | None = None,
) -> LabelImport:
    """Take posted JSON lines in, which lie in `path`; their digest names them.

    Bad lines are reported to the caller; none goes to quarantine. Raises as
    `import_labels`.
    """
    limits = limits or Limits()
    source = LinesFile(path, limits, is_gzip=False)
    name = f"post-{digest}.jsonl"
    task = _Import(store, name, source, limits, now or dt.datetime.now(dt.UTC))
    return task.run(actor, quarantines=False)


class _Import:
    def __init__(
        self,
        store: Store,
        name: str,
        source: LabelSource,
        limits: Limits,
        now: dt.datetime,
    ) -> None:
        self._store, self._name, self._source = store, name, source
        self._limits, self._now = limits, now
        self._is_resumed = False
        """Whether an earlier run began with the same content and was killed."""

    def run(self, actor: str, *, quarantines: bool) -> LabelImport:
        store, result = self._store, LabelImport(self._name)
        with (
            database(store.root, self._limits.memory_mib) as connection,
            BadLines(store.quarantine, self._limits.reported_lines) as bad,
        ):
            records = Records(connection, kinds.labels(), self._limits, self._now)
            try:
                for chunk in self._source.chunks():
                    lines = records.add(chunk)
                    bad.add(lines)
                    result.bad_lines += lines[: 1000 - len(result.bad_lines)]
            except FileTroubleError as error:
                raise self._refusal(error.reason) from None
            known = self._known(result)
            result.refused = bad.tally.counts
            if known.is_complete:
                return result
            # Written first, so that another run after a kill has the same `received`.
            receipts.write(store.imported, self._name, known)
            if records.count:
                received = dt.datetime.fromisoformat(known.time).replace(tzinfo=None)
                columns = ", ".join(
                    f"timestamp '{received}' as received" if it == "received" else it
                    for it in COLUMNS
                )
                write_parquet(
                    connection,
                    f"select {columns} from rows order by all",  # noqa: S608
                    store.pending / f"{self._name}.parquet",
                )
            result.accepted = records.count
            if quarantines and bad.tally.counts:
                self._quarantine(bad, records.count)
        self._finish(known, result, actor, quarantines=quarantines)
        return result

    def _known(self, result: LabelImport) -> Receipt:
        """Return the receipt to go on from.

        Raises LabelsRefusedError if the name is that of other content.
        """
        digest = self._source.digest
        known = receipts.read(self._store.imported, self._name)
        if known is None:
            return Receipt(digest, self._now.isoformat(), is_complete=False)
        if known.digest != digest:
            raise LabelsRefusedError(
                "name_taken",
                f"{self._name} was imported before with other content",
                "give the file another name",
            )
        self._is_resumed = not known.is_complete
        if known.is_complete:
            result.is_repeated = True
            result.accepted = known.accepted
        return known

    def _refusal(self, reason: str) -> LabelsRefusedError:
        expected = ", ".join(it.name for it in kinds.labels().fields)
        return LabelsRefusedError(
            reason,
            f"{self._name} cannot be read: {reason} after line {self._source.count}",
            f"write the whole file anew, as its name says, with {expected}",
        )

    def _quarantine(self, bad: BadLines, kept: int) -> None:
        stem = self._name.partition(".")[0]
        path = bad.keep(self._store.quarantine, f"labels-{stem}.jsonl.gz")
        content = {
            "file": self._name,
            "reason": "bad_lines",
            "fix": quarantine.FILE_FIXES["bad_lines"],
            "lines": self._source.count,
            "kept": kept,
            "bad": bad.tally.report(),
        }
        quarantine.report(self._store, path, content, self._now)

    def _finish(
        self, known: Receipt, result: LabelImport, actor: str, *, quarantines: bool
    ) -> None:
        refused = result.refused.total()
        details = {
            "name": self._name,
            "sha256": known.digest,
            "accepted": result.accepted,
            "refused": refused,
        }
        # A file's entry is there once. A post's receipt stays open while it has refused
        # lines, and each time that it comes is an import.
        chain, can_be_there = self._store.chain, quarantines and self._is_resumed
        if not can_be_there or not has_entry(chain, "labels_imported", **details):
            Chain(chain).append("labels_imported", details, actor=actor, now=self._now)
        # A post with refused lines may come again and be better by then: a label from
        # the future, for one.
        done = Receipt(
            known.digest,
            known.time,
            is_complete=quarantines or not refused,
            accepted=result.accepted,
            refused=refused,
        )
        receipts.write(self._store.imported, self._name, done)
