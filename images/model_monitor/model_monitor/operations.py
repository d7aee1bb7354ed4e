"""The commands that change a store, by themselves or by the monitor that holds it.

Each checks what it was given, does the work if no other process holds the store, and
else writes a request and waits for its answer. What it prints and its exit status are
the same either way; how a request comes on goes to standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from model_monitor import commands
from model_monitor.backfill import check, columns_of
from model_monitor.config import Config
from model_monitor.cycle import Cycle
from model_monitor.requests import (
    Answer,
    Inbox,
    Kind,
    Passed,
    Request,
    RequestRefusedError,
    Work,
    checking,
    waiting,
)
from model_monitor.requests.carrying import answer_of
from model_monitor.requests.operations import carry_out
from model_monitor.store import Limits, Store, StoreInUseError
from model_monitor.store.erasure import hash_of

UNANSWERED = 3
"""Exit status of `request ID` before there is an answer."""
CHECK_MEMORY_MIB = 96
"""Memory of the engine that checks a backfill: beside a monitor, it shares the
container's memory. Larger data spill to the store's disk."""
MAPPED = (
    *("id", "row", "time", "date", "decision", "score", "features", "protected"),
    *("label", "label_time", "revision", "arm"),
)
"""Options of backfill that name columns of the files, or values of all rows."""


def erase(settings: Config, options: argparse.Namespace) -> int:
    field, value, key = options.field, options.value, options.key
    if problems := checking.erasure(field, value, key):
        commands.complain(*problems)
        return commands.WRONG
    # The key stays with the operator: the hash is all that the receipt needs.
    value_hash = hash_of(field, value, key.read_bytes().strip())
    arguments = {"field": field, "value": value, "value_hash": value_hash}
    return _do(settings, options, Request.new(Kind.ERASE, arguments, options.actor))


def import_labels(settings: Config, options: argparse.Namespace) -> int:
    problems = checking.label_files(options.files, Limits())
    if problems:
        commands.complain(*problems)
        return commands.WRONG
    files = tuple(map(str, options.files))
    request = Request.new(Kind.IMPORT_LABELS, {}, options.actor, files)
    return _do(settings, options, request)


def backfill(settings: Config, options: argparse.Namespace) -> int:
    model = settings.model(options.model)
    if model is None:
        known = ", ".join(it.name for it in settings.models) or "none"
        commands.complain(
            f"--model {options.model}: not in the configuration; known: {known}"
        )
        return commands.WRONG
    store = Store(settings.store)
    paths = [options.predictions, *filter(None, [options.labels])]
    if problems := [line for it in paths for line in checking.readable(it)]:
        commands.complain(*problems)
        return commands.WRONG
    given = {name: getattr(options, name) for name in MAPPED}
    limits = Limits(memory_mib=CHECK_MEMORY_MIB)
    columns = columns_of(store, options.predictions, limits)
    mapping = commands.mapping_of(given, model, columns)

    def checked() -> None:
        check(store, mapping, options.predictions, options.labels, limits)

    arguments = {"model": model.name, "mapping": asdict(mapping)}
    files = tuple(map(str, paths))
    request = Request.new(Kind.BACKFILL, arguments, options.actor, files)
    return _do(settings, options, request, checked)


def show(settings: Config, options: argparse.Namespace) -> int:
    """Print the answer of a request, or how far it has come."""
    inbox = Inbox(Store(settings.store))
    if answer := inbox.answer(options.id):
        return _print(answer)
    if state := waiting.state(inbox, options.id):
        print(f"request {options.id}: {state}")
        return UNANSWERED
    days = settings.retention.receipts_days
    commands.complain(
        f"request {options.id}: is not in {inbox.folder}; give an id that a command "
        f"printed, within {days} days of its answer"
    )
    return commands.WRONG


def _do(
    settings: Config,
    options: argparse.Namespace,
    request: Request,
    check: Callable[[], None] = lambda: None,
) -> int:
    """Do it here, or have it done by the process that holds the store.

    check: what is looked at before a request is written; the work itself looks anyway.
    """
    try:
        with Store(settings.store).opened() as store:
            return _print(_here(settings, store, request))
    except StoreInUseError:
        check()
        return _elsewhere(settings, request, waits=options.wait)


def _here(settings: Config, store: Store, request: Request) -> Answer:
    cycle = Cycle(settings, store)
    if cycle.waiting():
        # Earlier requests come first.
        cycle.run()
    work = Work(request, tuple(map(Path, request.files)))
    outcome = carry_out(store, work, cycle.limits())
    passed = Passed()
    if request.kind is not Kind.IMPORT_LABELS and outcome.is_done:
        try:
            passed = cycle.run().passed
        except Exception as error:  # noqa: BLE001, what was done must be reported
            passed = Passed.failed(error)
    return answer_of(store, request, outcome, passed)


def _elsewhere(settings: Config, request: Request, *, waits: bool) -> int:
    store = Store(settings.store)
    inbox = Inbox(store)
    try:
        inbox.submit(request)
    except RequestRefusedError as error:
        commands.complain(str(error))
        return 1
    if not waits:
        print(request.id)
        return 0
    try:
        answer = waiting.wait(
            inbox,
            request.id,
            tell=_print_line,
            do_it=lambda: _take_over(settings, store),
        )
    except KeyboardInterrupt:
        _print_line(
            f"request {request.id} stays; `request {request.id}` shows its answer"
        )
        return 1
    if answer is None:
        commands.complain(
            f"request {request.id}: was deleted before it was answered; ask again"
        )
        return 1
    return _print(answer)


def _take_over(settings: Config, store: Store) -> bool:
    """Carry the requests out if the process that held the store has ended."""
    try:
        with store.opened():
            Cycle(settings, store).run()
    except StoreInUseError:
        return False
    return True


def _print(answer: Answer) -> int:
    for line in answer.output:
        print(line)
    commands.complain(*answer.errors)
    return answer.exit_status


def _print_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
