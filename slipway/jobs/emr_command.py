"""What `slipway run` and `slipway jobs` do about jobs of EMR Serverless."""

from __future__ import annotations

import time
from collections.abc import Iterator

from components.training.settings import JobsSettings
from slipway import emr_api
from slipway.emr_api import Run
from slipway.jobs import emr_runs, showing
from slipway.jobs.emr_runs import EmrRuns
from slipway.jobs.following import Event
from slipway.jobs.row import Row
from slipway.jobs.runs import RunError
from slipway.jobs.state import State

POLL_SECONDS = 5.0
SILENCE_SECONDS = 300.0
"""An API that does not answer for so long ends the following, not the run."""


class EmrFollowing:
    """One run; iterating gives its state as it changes, and ends with the run.

    The API has no logs: those are files in the application's bucket.
    """

    def __init__(self, runs: EmrRuns, run: str) -> None:
        self._runs, self._run = runs, run
        self.end: State | None = None
        """The last state, once the run has ended."""

    def __iter__(self) -> Iterator[Event]:
        reported, heard = "", 0.0
        while self.end is None:
            try:
                found = emr_runs.state(self._runs.get(self._run))
            except RunError:
                # There was never an answer: there is no such run.
                if not heard or time.monotonic() - heard > SILENCE_SECONDS:
                    raise
            else:
                heard = time.monotonic()
                if found.text != reported:
                    reported = found.text
                    yield found
                if found.exit_status is not None:
                    self.end = found
                    return
            time.sleep(POLL_SECONDS)


def run(settings: JobsSettings, job: str, stack: str, *, wait: bool) -> int:
    """Starts a run of the job; 0, or with `wait` the run's exit status.

    RunError if another run of the job goes on.
    """
    runs = emr_runs.opened(stack, settings)
    if active := runs.active(job):
        lines = [f"{job} was not started:", *(_in_the_way(it, stack) for it in active)]
        raise RunError("\n  ".join(lines))
    made = runs.start(job)
    if rivals := runs.rivals(job, made):
        runs.cancel(made)
        lines = [f"{made} was cancelled again, as two were started at once:"]
        lines += [_in_the_way(one, stack) for one in rivals]
        raise RunError("\n  ".join(lines))
    showing.say(f"{made} is started. {showing.how_to_follow(made, stack)}")
    return follow(runs, made, stack) if wait else 0


def _in_the_way(run: Run, stack: str) -> str:
    name = emr_api.identifier(run)
    return (
        f"{name} of this job goes on. {showing.how_to_follow(name, stack)}; to stop "
        f"it: slipway jobs stop {name} --stack {stack}"
    )


def follow(runs: EmrRuns, run: str, stack: str) -> int:
    """Shows a run until it has ended, then where its logs are; its exit status."""
    status = showing.shown(EmrFollowing(runs, run), run, stack)
    showing.say(f"logs, some minutes late: {runs.logs(run)}")
    return status


def rows(runs: EmrRuns, jobs: list[str]) -> list[Row]:
    """Every run by job, the newest last; jobs without one, too."""
    found: dict[str, list[Row]] = {job: [] for job in jobs}
    for run in runs.all():
        name = str(run.get("name", ""))
        if name in found:
            found[name].append(_row(name, run))
    return [
        row
        for job, of_job in found.items()
        for row in of_job or [Row(job, "", "has not run", "", None)]
    ]


def _row(job: str, run: Run) -> Row:
    """A list's runs have no other times than those of creation and last change."""
    said, made = run["state"], run["createdAt"]
    word = emr_runs.WORDS.get(said, str(said).lower()).partition(":")[0]
    over = said not in emr_api.ACTIVE
    seconds = int((run["updatedAt"] - made).total_seconds()) if over else None
    started = made.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Row(job, emr_api.identifier(run), word, started, seconds)
