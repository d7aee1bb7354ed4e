"""How long the logs of high-risk AI systems are kept.

Articles 19 and 26(6) of Regulation (EU) 2024/1689 (the AI Act) ask providers and
deployers for at least six months. This checks settings; it is not legal advice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components.monitoring.monitor_file import Watched
from components.monitoring.settings import MonitorSettings
from components.settings import ABSENT, Problem

LEAST_DAYS = 190
"""Six months have up to 184 days; the rest is for whole days and late files."""


def problems(monitor: MonitorSettings, watched: Sequence[Watched]) -> Iterator[Problem]:
    """Report a monitor that forgets the predictions of a high-risk model too early."""
    names = [it.model for it in watched if it.settings.high_risk]
    if not names:
        return
    of = f"{', '.join(names)} with monitor.high_risk"
    if monitor.retention_days < LEAST_DAYS:
        yield Problem(
            "monitor.retention_days",
            monitor.retention_days,
            f"the log of {of} is kept for at least six months (AI Act, Articles 19 and "
            "26)",
            f"give at least {LEAST_DAYS}",
        )
    if monitor.storage is None:
        yield Problem(
            "monitor.storage",
            ABSENT,
            f"without a volume the log of {of} is lost with the monitor's pod",
            "give monitor.storage",
        )
