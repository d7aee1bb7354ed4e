"""All prefixes of the configuration, one after the other."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence

from model_monitor.buckets.log import BucketLog, Fetched, faults

logger = logging.getLogger("model_monitor.buckets")


class BucketLogs:
    """A prefix that cannot be read does not affect the others.

    `failures`: of calls in a row in which any could not be read.
    """

    def __init__(self, logs: Sequence[BucketLog]) -> None:
        self._logs = tuple(logs)
        self._reason = ""
        self.failures = 0

    def fetch(self, today: dt.date) -> Fetched:
        """Bring new files to `landing/`, some of each prefix."""
        result, reasons = Fetched(), []
        for log in self._logs:
            try:
                found = log.fetch(today)
            except faults() as error:
                reasons.append(f"{log}: {error}")
                continue
            if found.reason:
                reasons.append(f"{log}: {found.reason}")
            result.files += found.files
            result.refused += found.refused
            result.has_more |= found.has_more
        self._log_refused("; ".join(reasons))
        return result

    def _log_refused(self, reason: str) -> None:
        """Say when a failure begins, becomes another one, and ends."""
        self.failures = self.failures + 1 if reason else 0
        if reason and reason != self._reason:
            logger.error("the log cannot be read from its bucket: %s", reason)
        elif self._reason and not reason:
            logger.info("the log can be read from its bucket again")
        self._reason = reason
