"""Check for targets and thresholds that cannot be reached and would never act."""

from __future__ import annotations

from collections.abc import Iterator

from components.observability.settings import LEAST_SCRAPES
from components.serving.args.server_args import ServerArgs
from components.settings import Problem

TOLERANCE_PERCENT = 10
"""The autoscaler does nothing while a metric exceeds its target by less than this.
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details"""
_FULL = 100 + TOLERANCE_PERCENT


def problems(args: ServerArgs) -> Iterator[Problem]:
    """Limits that the autoscaler, the gateway or an alert could never reach."""
    yield from _scaling(args)
    yield from _retries(args)
    yield from _latency(args)


def window_problems(args: ServerArgs, scrape_seconds: int) -> Iterator[Problem]:
    """Report rate windows with too few scrapes: alerts would flap or never fire."""
    window, least = args.alerts.window_seconds, LEAST_SCRAPES * scrape_seconds
    if window < least:
        yield Problem(
            "alerts.window_seconds",
            window,
            f"it holds fewer than {LEAST_SCRAPES} scrapes of {scrape_seconds} s: with "
            "one that fails there is no rate, and no alert",
            f"give at least {least}; or, if Prometheus scrapes more often, set "
            "platform.scrape_interval_seconds",
        )


def _scaling(args: ServerArgs) -> Iterator[Problem]:
    scaling, resources = args.scaling, args.resources
    request, limit = resources.cpu_request_millicores, resources.cpu_limit_millicores
    percent = scaling.cpu_percent
    if scaling.signal == "cpu" and percent * request * _FULL >= 10_000 * limit:
        yield Problem(
            "scaling.cpu_percent",
            percent,
            f"the autoscaler acts from {TOLERANCE_PERCENT} % above its target on, and "
            f"{percent} % of the request of {request} millicores with these is not "
            f"below the limit of {limit}: no replica would ever be added",
            f"give at most {(10_000 * limit - 1) // (request * _FULL)}, or raise "
            "resources.cpu_limit_millicores",
        )
    inflight, queue = scaling.inflight_per_replica, args.requests.max_queue_rows
    reached = inflight and inflight * _FULL >= 100 * queue
    if args.runtime.FACTS.bounds_requests and reached:
        yield Problem(
            "scaling.inflight_per_replica",
            inflight,
            f"a replica refuses requests once {queue} rows wait "
            "(requests.max_queue_rows), and the autoscaler acts from "
            f"{TOLERANCE_PERCENT} % above its target on: no replica would be added "
            "before that",
            f"give at most {(100 * queue - 1) // _FULL}, or raise "
            "requests.max_queue_rows",
        )


def _retries(args: ServerArgs) -> Iterator[Problem]:
    wait = args.requests.retries.attempt_seconds
    longest = args.lifecycle.longest_request_seconds
    if wait and wait >= longest:
        yield Problem(
            "requests.retries.attempt_seconds",
            wait,
            f"the gateway ends requests after longest_request_seconds = {longest}: no "
            "other replica would ever be tried",
            f"give less than {longest}, or raise lifecycle.longest_request_seconds",
        )


def _latency(args: ServerArgs) -> Iterator[Problem]:
    """Report percentiles above the gateway's timeout or the largest bucket."""
    longest = args.lifecycle.longest_request_seconds
    metrics = args.runtime.metrics
    for name, figure in (
        ("p99_milliseconds", metrics.latency),
        ("queue_p99_milliseconds", metrics.queue),
    ):
        if figure is None:
            continue
        given, last = getattr(args.alerts, name), figure.last_bucket_seconds
        if given > 1000 * longest:
            yield Problem(
                f"alerts.{name}",
                given,
                f"the gateway ends requests after longest_request_seconds = {longest}: "
                "the alert could never fire",
                f"give at most {1000 * longest}",
            )
        elif last and given >= 1000 * last:
            yield Problem(
                f"alerts.{name}",
                given,
                f"the last bucket of {figure.series} ends at {last:g} s, and no "
                "percentile is above it: the alert could never fire",
                f"give less than {1000 * last:g}",
            )
