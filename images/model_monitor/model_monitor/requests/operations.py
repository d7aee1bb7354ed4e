"""Carrying one request out: the same work whether a command or the monitor does it."""

from __future__ import annotations

import datetime as dt
import json
import logging
from typing import Any

import duckdb

from model_monitor.audit import ChainError
from model_monitor.backfill import BackfillError, backfill
from model_monitor.labels import LabelsRefusedError, import_labels
from model_monitor.requests.answer import FAILED, WRONG, Outcome
from model_monitor.requests.journal import Journal
from model_monitor.requests.request import Kind, Work, mapping_of
from model_monitor.store import Limits, Store, receipts
from model_monitor.store.erasure import erase, give_up
from model_monitor.store.erasure_receipt import ErasureReceipt

logger = logging.getLogger("model_monitor.requests")


class UnfinishedError(Exception):
    """Work that failed, and that another run is to take up with the same journal.

    The text is the reason, on one line.
    """


def carry_out(
    store: Store, work: Work, limits: Limits, journal: Journal | None = None
) -> Outcome:
    """Do what is asked for; whatever goes wrong is in the outcome.

    journal: of a request that another run may take up again. Raises UnfinishedError if
    that is to be done: an erasure that failed has erased some rows and not all.
    """
    do = {
        Kind.ERASE: _erase,
        Kind.BACKFILL: _backfill,
        Kind.IMPORT_LABELS: _import_labels,
    }[work.request.kind]
    steps = journal or Journal(None, "")
    try:
        return do(store, work, limits, steps)
    except BackfillError as error:
        return Outcome.failed(*map(work.shown, error.problems), status=WRONG)
    except Exception as error:  # noqa: BLE001
        # The next requests, and the cycle, must go on.
        reason = _reason(work, error)
    if work.request.kind is not Kind.ERASE:
        return Outcome.failed(reason)
    if journal:
        raise UnfinishedError(reason)
    try:
        return given_up(store, work, steps, reason)
    except OSError as error:
        # The journal is in memory: what is not reported now is lost.
        return _outcome_without_audit_entry(steps, reason, error)


def _reason(work: Work, error: Exception) -> str:
    """Return why work failed, on one line; log what is a fault of ours."""
    if isinstance(error, ChainError | OSError | duckdb.Error):
        return work.shown(str(error).partition("\n")[0])
    logger.error("a request failed", extra={"request": work.request.id}, exc_info=error)
    return (
        f"{work.request.kind}: failed with {type(error).__name__}, which is a fault of "
        "this program; report it with the monitor's log"
    )


def given_up(store: Store, work: Work, journal: Journal, reason: str) -> Outcome:
    """Return what came of a request that is not tried again.

    For an erasure, that is the receipt of what it did; the audit chain records it, too.
    Raises OSError: then it is to be given up later.
    """
    if work.request.kind is not Kind.ERASE:
        return Outcome.failed(reason)
    asked = work.request.arguments
    try:
        receipt = give_up(
            store,
            asked["field"],
            value_hash=asked["value_hash"],
            actor=work.request.actor,
            journal=journal,
            now=dt.datetime.now(dt.UTC),
        )
    except ChainError as error:
        return _outcome_without_audit_entry(journal, reason, error)
    return _stopped(receipt, reason)


def _outcome_without_audit_entry(
    journal: Journal, reason: str, error: Exception
) -> Outcome:
    """Return the receipt of an erasure that the audit chain could not record."""
    entry = f"{error}; keep this receipt: the audit chain has no entry of it"
    if not journal.receipt:
        return Outcome.failed(reason, entry)
    return _stopped(ErasureReceipt.of_json(journal.receipt), reason, entry)


def _stopped(receipt: ErasureReceipt, *reasons: str) -> Outcome:
    """Return the outcome of an erasure that did not come to its end."""
    content = receipt.to_json()
    progress = (
        "all rows are erased, as the receipt says"
        if receipt.complete
        else f"erased {sum(receipt.rows.values())} rows and not all, as the receipt "
        "says; ask for the erasure again: the receipts add up"
    )
    return Outcome(
        FAILED,
        (json.dumps(content, indent=1),),
        (*reasons, f"{Kind.ERASE}: {progress}"),
        is_done=False,
        details=content,
    )


def _erase(store: Store, work: Work, limits: Limits, journal: Journal) -> Outcome:
    asked = work.request.arguments
    receipt = erase(
        store,
        asked["field"],
        asked["value"],
        value_hash=asked["value_hash"],
        actor=work.request.actor,
        limits=limits,
        now=dt.datetime.now(dt.UTC),
        journal=journal,
    )
    content = receipt.to_json()
    status = FAILED if receipt.unread or receipt.unsearched else 0
    return Outcome(status, (json.dumps(content, indent=1),), details=content)


def _backfill(store: Store, work: Work, limits: Limits, _: Journal) -> Outcome:
    asked = work.request.arguments
    predictions, *labels = work.paths
    done = backfill(
        store,
        asked["model"],
        mapping_of(asked),
        predictions,
        labels[0] if labels else None,
        limits=limits,
        actor=work.request.actor,
        now=work.request.moment,
        request=work.request.id if work.is_kept else "",
    )
    line = (
        f"{done.predictions:,} predictions of {done.days} days and {done.labels:,} "
        f"labels imported; {done.refused_labels:,} labels refused"
    )
    return Outcome(
        FAILED if done.refused_labels else 0, (line,), details={**vars(done)}
    )


def _import_labels(
    store: Store, work: Work, limits: Limits, journal: Journal
) -> Outcome:
    known = _imported_before(store, work, journal)
    output, errors = list[str](), list[str]()
    counts: list[dict[str, Any]] = []
    for path, given in zip(work.paths, work.request.files, strict=True):
        try:
            found = import_labels(store, path, actor=work.request.actor, limits=limits)
        except (LabelsRefusedError, OSError) as error:
            errors.append(work.shown(f"{path}: {error}"))
            continue
        # Imports by a killed run of this request were not there before.
        is_repeated = found.is_repeated and path.name in known
        known.add(path.name)
        again = ", all of them before" if is_repeated else ""
        output.append(f"{given}: {found.accepted:,} labels accepted{again}")
        errors += [
            f"{given}: {count} lines refused: {reason}; see {store.quarantine}"
            for reason, count in found.refused.items()
        ]
        counts.append(
            {
                "file": given,
                "accepted": found.accepted,
                "refused": dict(found.refused),
                "is_repeated": is_repeated,
            }
        )
    return Outcome(
        FAILED if errors else 0,
        tuple(output),
        tuple(errors),
        details={"files": counts},
    )


def _imported_before(store: Store, work: Work, journal: Journal) -> set[str]:
    """Return the names of the files that were imported before the request began."""
    if journal.known is not None:
        return set(journal.known)
    found = []
    for path in work.paths:
        receipt = receipts.read(store.imported, path.name)
        if receipt and receipt.is_complete:
            found.append(path.name)
    journal.record_known_names(found)
    return set(found)
