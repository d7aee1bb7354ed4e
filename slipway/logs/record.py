"""The prediction record of a request, as the model monitor finds it by its id."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components import naming
from slipway.cluster import pod_exec
from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.logs.line import Line, decoded, moment

POD = f"{naming.MODEL_MONITOR}-0"
CONTAINER = "monitor"
PROGRAM = ("python3", "-m", "model_monitor")


@dataclass(frozen=True)
class Records:
    """The monitor's response."""

    lines: tuple[Line, ...] = ()
    rows: int = 0
    """All rows of the request; `lines` may have fewer."""
    waiting: tuple[str, ...] = ()
    """Files with the id that came and are not read yet."""
    searched: str = ""
    """Where the monitor searched, as text."""


def find(
    api: KubeApi,
    namespace: str,
    identity: str,
    *,
    models: Sequence[str],
    since: dt.datetime,
    limit: int,
) -> Records:
    """The records and labels of an id; KubeApiError if the monitor cannot be asked."""
    # A prediction has the time of its arrival, by the server's clock.
    first = (since - dt.timedelta(hours=1)).astimezone(dt.UTC).date()
    chosen = [word for model in models for word in ("--model", model)]
    asked = ("find", *chosen, "--from", str(first), "--limit", str(limit))
    done = pod_exec.run(
        api,
        namespace=namespace,
        pod=POD,
        container=CONTAINER,
        command=(*PROGRAM, *asked, "--", identity),
    )
    try:
        said = decoded(done.output.decode())
    except ValueError:
        reason = done.errors.strip().rpartition("\n")[2] or f"status {done.status}"
        raise KubeApiError(f"{namespace}/{POD} could not look: {reason}") from None
    lines = [
        Line(moment(it[time]) or since, source, POD, CONTAINER, it)
        for source, found, time in (
            ("record", said["records"], "time"),
            ("label", said["labels"], "label_time"),
        )
        for it in found
    ]
    return Records(tuple(lines), said["rows"], tuple(said["waiting"]), _searched(said))


def _searched(said: dict[str, Any]) -> str:
    if not said["first_day"]:
        return "the monitor's store, which has no predictions of these days"
    days = f"{said['first_day']} to {said['last_day']}"
    return f"the monitor's store: {said['files']} files of {days}"
