"""The wait before the next attempt."""

from __future__ import annotations

import email.utils
import random
import time

LONGEST_RETRY_AFTER_SECONDS = 3600.0
"""Longest wait, even if the sink asks for more."""


class Backoff:
    """Doubles the wait with each failure, up to a limit, with jitter.

    Jitter spreads the pods of a deployment, which all see a sink fail at one moment
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
    """

    def __init__(self, first_seconds: float, most_seconds: float) -> None:
        self._first, self._most = first_seconds, most_seconds
        self._wait = first_seconds

    def after_failure(self, asked_seconds: float | None = None) -> float:
        """Return the seconds to wait: 50 to 100 % of a wait that doubles.

        asked_seconds: what the sink asks for (Retry-After); the wait is no shorter.
        """
        wait = self._wait * random.uniform(0.5, 1)  # noqa: S311, no secret
        self._wait = min(2 * self._wait, self._most)
        if asked_seconds is None:
            return wait
        asked = min(max(asked_seconds, 0), LONGEST_RETRY_AFTER_SECONDS)
        return max(wait, asked * random.uniform(1, 1.1))  # noqa: S311

    def after_success(self) -> None:
        self._wait = self._first


def retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After: a number or a date (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(moment.timestamp() - time.time(), 0)
