"""Reports of the running experiments, renewed with the results, for readers.

The plan and the period that counts come from the rollout controller, since it moves the
weights (docs/decisions/0061). Without them, the earlier report remains, with the
reason.
"""

from __future__ import annotations

import http.client
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from model_monitor.config import Config
from model_monitor.exchange import Patience, exchange
from model_monitor.experiments import plan as plans
from model_monitor.experiments.counting import count
from model_monitor.experiments.plan import Plan, PlanError
from model_monitor.experiments.report import report
from model_monitor.experiments.settings import Experiments
from model_monitor.store import Store, whole_files

logger = logging.getLogger("model_monitor.experiments")

RENEW_SECONDS = 600.0
"""Looks are days apart; the counts of units are renewed as often."""
MOST_SHARE = 20
"""Reports take at most one part in so many of the cycle's time."""
MOST_BYTES = 4 << 20
PATIENCE = Patience()

Content = dict[str, Any]


class NotReportedError(Exception):
    """The reason why there is no newer report."""


class ExperimentReports:
    """Renews the reports; used by the cycle's thread."""

    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._store = config, store
        self._clock, self._monotonic = clock, monotonic
        self._due: dict[str, float] = {}
        """By server: when the next report is made, of the monotonic clock."""

    def run(self, step: Callable[[], None]) -> None:
        """Renew those that are due; `step` is called before each."""
        settings = self._config.experiments
        if settings is None:
            return
        whole_files.make_folder(folder(self._store))
        for server in settings.servers:
            started = self._monotonic()
            if started < self._due.get(server, started):
                continue
            step()
            self._renew(settings, server)
            taken = self._monotonic() - started
            self._due[server] = started + max(RENEW_SECONDS, MOST_SHARE * taken)

    def _renew(self, settings: Experiments, server: str) -> None:
        """Write the report, or why there is no newer one."""
        now = int(self._clock())
        try:
            content = self._report(settings, server, now)
        except NotReportedError as error:
            known = read(self._store, server) or {"computed": None, "report": None}
            content = known | {"reason": str(error)}
            logger.info("no report: %s", error, extra={"server": server})
        except (duckdb.Error, OSError, ArithmeticError, TypeError, ValueError) as error:
            known = read(self._store, server) or {"computed": None, "report": None}
            content = known | {"reason": "the experiment could not be counted"}
            text = f"an experiment was not counted: {error}".partition("\n")[0]
            logger.warning(text, extra={"server": server})
        path = path_of(self._store, server)
        whole_files.write_whole(path, json.dumps(content).encode())

    def _report(self, settings: Experiments, server: str, now: int) -> Content:
        shown = ask(settings, server)
        if why_not := shown.get("uncounted"):
            # The period differs from the new one, so no earlier figure counts.
            return {"computed": now, "report": None, "reason": str(why_not)[:1000]}
        plan = self._plan(shown, now)
        found = report(plan, count(self._store, plan))
        return {"computed": now, "report": found, "reason": ""}

    def _plan(self, shown: Mapping[str, Any], now: int) -> Plan:
        try:
            times = _times(shown, now)
            found = plans.read(json.dumps(shown["plan"] | times))
        except (KeyError, TypeError, PlanError) as error:
            text = f"the rollout controller gives no plan of an experiment: {error!r}"
            raise NotReportedError(text[:1000]) from None
        if self._config.model(found.model) is None:
            raise NotReportedError(f"{found.model[:100]}: no such model is watched")
        if not 0 <= found.started < found.until <= now:
            raise NotReportedError("the experiment's times are not in order")
        return found


def _times(shown: Mapping[str, Any], now: int) -> dict[str, int]:
    """Return the times whose requests count; raise KeyError or TypeError."""
    ended = shown["ended"]
    found = {
        "started": shown["started"],
        "until": now if ended is None else ended,
        "now": now,
    }
    if not all(type(it) is int for it in found.values()):
        raise TypeError("times that are not whole numbers")
    return found


def ask(settings: Experiments, server: str) -> Mapping[str, Any]:
    """Return the controller's data about a server's experiment."""
    to = settings.controller
    path = f"{to.path.rstrip('/')}/rollouts/{server}"
    try:
        status, body = exchange(
            to,
            "GET",
            path,
            headers={"User-Agent": "model-monitor"},
            patience=PATIENCE,
            most_bytes=MOST_BYTES,
        )
    except (OSError, ValueError, http.client.HTTPException) as error:
        text = f"the rollout controller does not answer: {type(error).__name__}"
        raise NotReportedError(text) from None
    if status != http.client.OK:
        raise NotReportedError(f"the rollout controller answers with status {status}")
    try:
        found = json.loads(body)
        shown = found and found["rollout"] and found["rollout"]["experiment"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = "the rollout controller answers in a form that is not known"
        raise NotReportedError(text) from None
    if not isinstance(shown, dict):
        text = f"the rollout controller knows no experiment of {server}"
        raise NotReportedError(text)
    return shown


def folder(store: Store) -> Path:
    return store.root / "experiments"


def path_of(store: Store, server: str) -> Path:
    """Return the path of the newest report; `server` must be a configured one."""
    return folder(store) / f"{server}.json"


def read(store: Store, server: str) -> Content | None:
    """Return the newest report with when it was made; None before the first."""
    try:
        found: Content = json.loads(path_of(store, server).read_bytes())
    except (OSError, ValueError):
        return None
    return found
