"""Alerts on the error budget: how quickly a model uses up the failures it may have.

Two windows each: the long one says that it matters, the short one that it goes on, so
that an alert ends soon after its cause. Rates and windows are those of Google's SRE
workbook, chapter 5: https://sre.google/workbook/alerting-on-slos/
"""

from __future__ import annotations

from components.observability.alert import Alert
from components.serving.alerts.recording import Rule

BY = "server, namespace"
SHORT_OF = {"1h": "5m", "6h": "30m", "1d": "2h", "3d": "6h"}
"""The short window of each long one."""
QUICK = {"1h": 14.4, "6h": 6.0}
"""Multiples of the allowed rate, by long window: 2 % of a month's budget in an hour, or
5 % in six."""
SLOW = {"1d": 3.0, "3d": 1.0}
"""10 % of a month's budget in a day, or in three."""
LONGEST_HOURS = 72
"""Time for which Prometheus must keep samples."""


def ratio(window: str) -> str:
    """The recorded share of failed requests over a window."""
    return f"model:errors:ratio_{window}"


def records(selector: str) -> list[Rule]:
    """The series that the alerts compare, for the server that `selector` chooses."""
    windows = sorted({*SHORT_OF, *SHORT_OF.values()})
    return [{"record": ratio(it), "expr": _share(selector, it)} for it in windows]


def _share(selector: str, window: str) -> str:
    failed = f'model_errors_total{{{selector},status=~"5.."}}'
    asked = f"sum by ({BY}) (rate(model_requests_total{{{selector}}}[{window}]))"
    errors = f"sum by ({BY}) (rate({failed}[{window}]))"
    # A model that never failed has no series of errors: its share is 0.
    return f"({errors} or 0 * {asked}) / ({asked} > 0)"


def alerts(name: str, selector: str, availability_percent: float) -> list[Alert]:
    """Return the alerts of a model server with this objective, in percent."""
    allowed = 1 - availability_percent / 100
    goal = f"{availability_percent:g} %"
    return [
        Alert(
            "ModelErrorBudgetBurnsFast",
            _burns(selector, QUICK, allowed),
            "critical",
            f"{name} fails so many requests that {goal} cannot be held",
            "At this rate a month's error budget is gone within five days.",
        ),
        Alert(
            "ModelErrorBudgetBurnsSlowly",
            _burns(selector, SLOW, allowed),
            "warning",
            f"{name} has failed more requests for days than {goal} allows",
            "At this rate a month's error budget is gone before the month.",
        ),
    ]


def _burns(selector: str, rates: dict[str, float], allowed: float) -> str:
    parts = []
    for long, times in rates.items():
        limit = f"{times * allowed:.10g}"
        both = (f"{ratio(it)}{{{selector}}} > {limit}" for it in (long, SHORT_OF[long]))
        parts.append(f"({' and '.join(both)})")
    return " or ".join(parts)
