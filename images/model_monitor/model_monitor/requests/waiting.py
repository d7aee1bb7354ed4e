"""A command's wait for the answer of another process."""

from __future__ import annotations

import time
from collections.abc import Callable

from model_monitor.requests.answer import Answer
from model_monitor.requests.inbox import Inbox

POLL_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 60.0
"""Time before this process retries a request that it could not carry out."""


def state(inbox: Inbox, name: str) -> str:
    """Return how far a request has come; "" if it is not there."""
    waiting = inbox.waiting()
    if name not in waiting:
        return ""
    try:
        journal = inbox.journal(name)
    except (OSError, ValueError) as error:
        return f"its journal cannot be read: {error}; see the monitor's log"
    if journal.outcome:
        return "carried out; the days that it changed are counted again"
    if journal.attempts:
        files = journal.files
        done = f"; {files} files changed" if files else ""
        again = f", attempt {journal.attempts}" if journal.attempts > 1 else ""
        return f"is being carried out since {journal.begun}{again}{done}"
    ahead = waiting.index(name)
    behind = f" behind {ahead} others" if ahead else ""
    return f"waits{behind} for the monitor's next cycle"


def wait(
    inbox: Inbox,
    name: str,
    *,
    tell: Callable[[str], None],
    do_it: Callable[[], bool],
) -> Answer | None:
    """Wait until a request is answered; None if it is gone without an answer.

    tell: is given each new state. do_it: does the waiting requests if no other process
    holds the store by now, and says whether it did.
    """
    last, pause = "", POLL_SECONDS
    while not (answer := inbox.answer(name)):
        now = state(inbox, name)
        if not now:
            return inbox.answer(name)
        if now != last:
            tell(f"request {name}: {now}")
            last = now
        if not do_it():
            time.sleep(POLL_SECONDS)
        elif not inbox.answer(name):
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    return answer
