"""Join labels to predictions: each label moves to its prediction's day and model.

Labels whose prediction has not come yet wait in `labels/pending/`, and are given up
after a horizon. Every step can be repeated: the next run repairs one that was killed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_monitor.labels.importing import COLUMNS
from model_monitor.store import quarantine, whole_files
from model_monitor.store.checks import FIXES
from model_monitor.store.database import Connection, database, text
from model_monitor.store.limits import Limits
from model_monitor.store.lines import BadLine
from model_monitor.store.parts import write_parquet
from model_monitor.store.quarantine import BadLines
from model_monitor.store.store import Store

_FILES = 500
"""Number of prediction files that one query reads."""
ROUND_BYTES = 8 << 20
"""Size of pending files whose labels are in memory together: some 300,000 labels."""
_HINT_DAYS = 1
"""Tolerance of the hint `prediction_time` in the first search."""
_HINTS = "timestamp '1971-01-01' and timestamp '2999-12-31'"
"""Between which a hint counts: a label may name any time, and the days around the first
or the last one of the calendar are none."""

_Identity = tuple[int, int, int]
"""Identity of a file's content, as far as its inode shows: see `_identity`."""


@dataclass
class JoinResult:
    """The result of a run for the waiting labels."""

    joined: int = 0
    """Labels that found their prediction."""
    pending: int = 0
    """Labels that still wait."""
    early: int = 0
    """Older than their prediction, and so in quarantine."""
    given_up: int = 0
    """Without a prediction after the horizon, and so in quarantine."""


class LabelJoin:
    """Joins labels to predictions, cycle by cycle.

    It remembers which files of predictions were looked through, so that a label that
    waits costs no more than the new ones. Another process begins anew.
    """

    def __init__(
        self, store: Store, *, limits: Limits | None = None, horizon_days: float = 7.0
    ) -> None:
        """horizon_days: for how long a label waits for its prediction."""
        self._store, self._limits = store, limits or Limits()
        self._horizon = dt.timedelta(days=horizon_days)
        self._known: dict[Path, _Identity] = {}
        """Pending files that were looked for in `_seen`. One may be replaced under its
        name: a post with refused lines, when it comes again."""
        self._seen: set[Path] = set()

    def run(self, now: dt.datetime | None = None) -> JoinResult:
        """Look for the predictions of all labels that wait."""
        now = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
        given_up_before = now.replace(tzinfo=None) - self._horizon
        paths = sorted(self._store.pending.glob("*.parquet"))
        result = JoinResult()
        if not paths:
            # Later labels are new, and are searched for everywhere.
            self._known, self._seen = {}, set()
            return result
        predictions = sorted(self._store.predictions.glob("*/*/*/*/*.parquet"))
        unseen = [it for it in predictions if it not in self._seen]
        waiting: dict[Path, _Identity] = {}
        for pending in _rounds(paths):
            known, new = list[Path](), list[Path]()
            for path, identity in pending.items():
                is_known = self._known.get(path) == identity
                (known if is_known else new).append(path)
            with database(self._store.root, self._limits.memory_mib) as connection:
                turn = _Round(self._store, connection, self._limits, pending)
                turn.look(unseen, known)
                turn.look_everywhere(predictions, new)
                turn.settle(given_up_before, now, result)
            waiting |= turn.waiting
        self._known, self._seen = waiting, set(predictions)
        return result


class _Round:
    """One run with some pending files, in one database.

    Table `pending`: the labels, with their file's `filename` and a `number`.
    Table `found`: `number`, `model`, `date`, the `time` of the prediction and that of
    the label, so that what is asked of both needs no join.
    """

    def __init__(
        self,
        store: Store,
        connection: Connection,
        limits: Limits,
        pending: Mapping[Path, _Identity],
    ) -> None:
        self._store, self._connection, self._limits = store, connection, limits
        self.waiting = dict(pending)
        """Files that wait, with the content that was looked for."""
        connection.execute(
            "create temp table pending as select *, row_number() over () as number "  # noqa: S608
            f"from {_read(list(pending), 'filename = true')}"
        )
        connection.execute(
            "create temp table found (number bigint, model varchar, date varchar, "
            "time timestamp, label_time timestamp)"
        )

    def look_everywhere(
        self, predictions: Sequence[Path], pending: Sequence[Path]
    ) -> None:
        """Look for labels in all files, first where their hints say."""
        hinted = self._hinted(predictions)
        self.look(hinted, pending)
        searched = set(hinted)
        self.look([it for it in predictions if it not in searched], pending)

    def look(self, predictions: Sequence[Path], pending: Sequence[Path]) -> None:
        """Look for the labels of some files in some files of predictions."""
        names = ", ".join(text(str(path)) for path in pending) or "''"
        wanted = (
            f"filename in ({names}) "  # noqa: S608, quoted above
            "and number not in (select number from found)"
        )
        for start in range(0, len(predictions), _FILES):
            if self._rows(f"select count(*) from pending where {wanted}") == [(0,)]:  # noqa: S608
                return
            some = predictions[start : start + _FILES]
            # A refused request has no outcome that a label could be of.
            self._connection.execute(
                f"""
insert into found
select p.number, f.model, strftime(f.time, '%Y-%m-%d') as date, min(f.time),
    p.label_time
from (select * from pending where {wanted}) as p
join {_read(some)} as f on p.id = f.id and p."row" = f."row"
where f.code is null
group by all
"""  # noqa: S608
            )

    def settle(
        self, given_up_before: dt.datetime, now: dt.datetime, result: JoinResult
    ) -> None:
        """Put each label where it belongs by now."""
        self._judge(given_up_before)
        self._place()
        self._quarantine("early", "label_before_prediction", now)
        self._quarantine("given_up", "no_prediction", now)
        self._leave_pending()
        for verdict, count in self._rows(
            "select verdict, count(*) from judged group by verdict"
        ):
            setattr(result, verdict, getattr(result, verdict) + count)

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(sql).fetchall())

    def _hinted(self, predictions: Iterable[Path]) -> list[Path]:
        """Return the files of the days around those that labels give as hints."""
        days = self._rows(
            "select distinct cast(prediction_time as date) from pending "  # noqa: S608
            f"where prediction_time between {_HINTS}"
        )
        folders = {
            f"date={day + dt.timedelta(days=shift)}"
            for (day,) in days
            for shift in range(-_HINT_DAYS, _HINT_DAYS + 1)
        }
        depth = len(self._store.predictions.parts)
        return [path for path in predictions if path.parts[depth] in folders]

    def _judge(self, given_up_before: dt.datetime) -> None:
        """Make the table `judged`: each label's verdict, as `JoinResult` names them.

        `found` loses what a label is too old for.
        """
        tolerance = f"to_seconds({self._limits.clock_tolerance_seconds})"
        self._connection.execute(
            f"""
create temp table early as
select distinct number from found where time > label_time + {tolerance};
delete from found where time > label_time + {tolerance};
create temp table judged as
select p.number, p.filename, case
    when count(f.number) > 0 then 'joined'
    when p.number in (select number from early) then 'early'
    when any_value(p.received) < timestamp '{given_up_before}' then 'given_up'
    else 'pending' end as verdict
from pending as p left join found as f on p.number = f.number
group by p.number, p.filename
"""  # noqa: S608
        )

    def _place(self) -> None:
        """Write what was found beside what earlier runs found of the same files."""
        groups = self._rows(
            "select distinct p.filename, f.date, f.model "
            "from found as f join pending as p on f.number = p.number order by all"
        )
        columns = ", ".join(
            "f.time as prediction_time" if it == "prediction_time" else f"p.{it}"
            for it in COLUMNS
        )
        for filename, date, model in groups:
            path = self._store.labels_of(date, model) / Path(filename).name
            earlier = (
                f"union select {', '.join(COLUMNS)} from {_read([path])}"  # noqa: S608
                if path.exists()
                else ""
            )
            write_parquet(
                self._connection,
                f"""
select distinct * from (
    select {columns} from found as f
    join pending as p on f.number = p.number
    where p.filename = {text(filename)}
    and f.date = {text(date)} and f.model = {text(model)}
    {earlier}
) order by all
""",  # noqa: S608
                path,
            )

    def _quarantine(self, verdict: str, reason: str, now: dt.datetime) -> None:
        """Keep the labels of a verdict as lines that could be imported again."""
        files = self._rows(
            f"select distinct filename from judged where verdict = '{verdict}' "  # noqa: S608
            "order by all"
        )
        for (filename,) in files:
            lines = self._rows(_lines(filename, verdict))
            with BadLines(self._store.quarantine, self._limits.reported_lines) as bad:
                bad.add(
                    BadLine(number, reason, line.encode())
                    for number, (line,) in enumerate(lines, 1)
                )
                name = Path(filename).name.removesuffix(".parquet").partition(".")[0]
                path = bad.keep(
                    self._store.quarantine, f"labels-{name}-{verdict}.jsonl.gz"
                )
                content = {
                    "file": Path(filename).name.removesuffix(".parquet"),
                    "reason": reason,
                    "fix": FIXES[reason],
                    "lines": len(lines),
                    "kept": 0,
                    "bad": bad.tally.report(),
                }
                quarantine.report(self._store, path, content, now)

    def _leave_pending(self) -> None:
        """Keep in pending what still waits; delete files without any."""
        changed = self._rows(
            "select filename, count(*) filter (verdict = 'pending') from judged "
            "group by filename having bool_or(verdict <> 'pending') order by all"
        )
        for filename, waiting in changed:
            path = Path(filename)
            if self.waiting.pop(path) != _identity(path):
                # It was posted again meanwhile, and has labels that nobody looked at.
                continue
            if not waiting:
                whole_files.remove(path)
                continue
            columns = ", ".join(f"p.{it}" for it in COLUMNS)
            with whole_files.whole(path) as temporary:
                write_parquet(
                    self._connection,
                    f"""
select {columns} from pending as p join judged as j on p.number = j.number
where j.verdict = 'pending' and p.filename = {text(filename)} order by all
""",  # noqa: S608
                    temporary,
                )
                self.waiting[path] = _identity(temporary)


def _rounds(paths: Iterable[Path]) -> Iterator[dict[Path, _Identity]]:
    """Yield pending files with their identities, as many at a time as fit in memory.

    However many labels wait, so much is needed for them, and a look through the
    predictions for each round.
    """
    some: dict[Path, _Identity] = {}
    size = 0
    for path in paths:
        identity = _identity(path)
        if some and size + identity[1] > ROUND_BYTES:
            yield some
            some, size = {}, 0
        some[path] = identity
        size += identity[1]
    yield some


def _identity(path: Path) -> _Identity:
    """Return what differs once a file is replaced; a new name leaves it as it is."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _lines(filename: str, verdict: str) -> str:
    """Return the SQL of labels of one file and verdict, as lines of the contract."""
    form = "'%Y-%m-%dT%H:%M:%S.%fZ'"
    return f"""
select '{{"id":' || cast(to_json(p.id) as varchar) || ',"row":' || p."row"
    || ',"label":' || coalesce(case when p.label_number is not null then p.label
        else cast(to_json(p.label) as varchar) end, 'null')
    || ',"label_time":"' || strftime(p.label_time, {form})
    || '","source":' || cast(to_json(p.source) as varchar) || '}}'
from pending as p join judged as j on p.number = j.number
where j.verdict = '{verdict}' and p.filename = {text(filename)} order by all
"""  # noqa: S608


def _read(files: Sequence[Path], options: str = "") -> str:
    names = ", ".join(text(str(path)) for path in files)
    options = f", {options}" if options else ""
    return f"read_parquet([{names}], hive_partitioning = false{options})"
