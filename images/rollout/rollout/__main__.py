"""Runs the controller.

Settings, by environment: ROLLOUT_NAMESPACE, ROLLOUT_SERVERS (names of model servers, by
commas), ROLLOUT_PROMETHEUS (http://HOST:PORT), ROLLOUT_TICK_SECONDS (15), and
ROLLOUT_MONITOR (http://HOST:PORT) if any gate compares cohorts of predictions.
ROLLOUT_MODELS are the models' names in model.yaml, in the order of the servers, if any
differs from its server's.

It may be killed at any moment, and a second one may run beside it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from itertools import zip_longest

from pod_parts.api_client import Api
from rollout import history, web
from rollout.cluster import Cluster
from rollout.log import log
from rollout.objects import Names
from rollout.protocol import tick
from rollout.settings import SettingsError
from rollout.verdict import Outcome, Verdict
from rollout.watched import Known, Watched

AGENT = "slipway-rollout"


def step(cluster: Cluster, watched: Watched) -> None:
    """One tick of one rollout; failures are logged, and retried at the next tick."""
    _tick(cluster, watched)
    watched.looked = time.time()


def _tick(cluster: Cluster, watched: Watched) -> None:
    try:
        wait = cluster.run(tick())
        seen = Known(*cluster.seen, cluster.plan) if cluster.seen else None
        found = history.points(seen.settings, cluster.counts or {}) if seen else {}
    except SettingsError as error:
        outcome = Outcome(Verdict.STOP, str(error))
        seen, found = None, {}
    except Exception as error:  # noqa: BLE001, the other servers go on
        watched.errors += 1
        watched.is_failing = True
        log("the tick failed", "error", server=cluster.names.server, error=repr(error))
        return
    else:
        outcome = wait.outcome if wait else Outcome(Verdict.HOLD, "others write too")
    known = watched.outcome
    if known is None or (known.verdict, known.reason) != (
        outcome.verdict,
        outcome.reason,
    ):
        level = "warning" if outcome.verdict is Verdict.STOP else "info"
        fields = {"server": cluster.names.server, "verdict": outcome.verdict.value}
        log(outcome.reason, level, **fields)
    watched.outcome, watched.ticked = outcome, time.time()
    watched.status, watched.is_failing = cluster.status, False
    watched.seen, watched.history = seen, found


def run(environment: Mapping[str, str]) -> int:
    api = Api.of_cluster(environment, AGENT)
    metrics = Api.of_url(environment["ROLLOUT_PROMETHEUS"], AGENT)
    namespace = environment["ROLLOUT_NAMESPACE"]
    seconds = float(environment.get("ROLLOUT_TICK_SECONDS", "15"))
    names = environment["ROLLOUT_SERVERS"].split(",")
    address = environment.get("ROLLOUT_MONITOR")
    monitor = Api.of_url(address, AGENT) if address else None
    clusters = {
        it: Cluster(api, metrics, Names(namespace, it), monitor=monitor) for it in names
    }
    models = environment.get("ROLLOUT_MODELS", "").split(",")
    both = zip_longest(names, models, fillvalue="")
    watched = {name: Watched(model=model) for name, model in both}
    web.server(web.PORT, watched).start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # The loop that this interrupts may hold the event's lock.
        signal.signal(number, lambda *_: threading.Thread(target=stop.set).start())
    log(f"decides for {len(names)} rollouts", servers=names)
    while not stop.is_set():
        for name, cluster in clusters.items():
            step(cluster, watched[name])
        stop.wait(seconds)
    return 0


if __name__ == "__main__":
    sys.exit(run(os.environ))
