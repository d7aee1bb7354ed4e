"""`slipway run`: starts a run of a job."""

from __future__ import annotations

import click

from components import naming
from components.training.job_fields import JobFields
from components.training.settings import JobsSettings
from components.training.spark_fields import SparkJobFields
from slipway import stack_settings
from slipway.cluster.kube_api import KubeApiError, Object
from slipway.jobs import emr_command, memory, preflight, showing
from slipway.jobs.runs import RunError, Runs, condition
from toolchain.errors import INTERRUPTED

KERAS = (
    "note: Keras 3 cannot train by `fit` under MultiWorkerMirroredStrategy: use "
    "tf_keras (TF_USE_LEGACY_KERAS=1) or a loop of your own"
)
"""https://github.com/keras-team/keras/issues/20585"""


@click.command(name="run")
@click.argument("job", metavar="JOB")
@showing.stack_option
@click.option(
    "--wait", is_flag=True, help="Follow the run; exit with the job's status."
)
@click.pass_context
def command(ctx: click.Context, job: str, *, stack: str, wait: bool) -> None:
    """Start a run of JOB, a job of a stack that `slipway up` has deployed.

    The cluster is first checked for what the run needs. A job has one run at a time.
    With --wait the workers' logs are shown as they are written, and the exit status is
    that of the worker that failed first, 124 if the run exceeded its deadline, or 0.
    With framework torch, a failed worker's status is 1, because torchrun's is. A run
    that ran out of memory is followed by one with more, if the job has `retry_with`.
    Ctrl-C does not stop the run.

    A job of EMR Serverless runs there. With --wait its states are shown, and the exit
    status is 0, 124 if it exceeded its deadline, or 1.
    """
    chosen = stack_settings.load(stack, JobsSettings)
    if chosen.emr and job in chosen.emr.jobs:
        ctx.exit(emr_command.run(chosen, job, stack, wait=wait))
    _refuse_unknown(chosen, job, stack)
    with showing.opened(stack) as (settings, runs):
        args = settings.jobs[job]
        template = _template(runs, job, stack)
        _refuse(runs, job, args, stack)
        _notes(args, template, stack, wait=wait)
        mib: int | None = None
        while True:
            run = runs.start(job, template, mib)
            _refuse_second(runs, job, run, stack)
            showing.say(f"{run} is started. {showing.how_to_follow(run, stack)}")
            if not wait:
                return
            status = showing.follow(runs, run, stack)
            mib = _more_memory(runs, run, args, status)
            if mib is None:
                ctx.exit(status)
            showing.say(
                f"{run} ran out of memory (retry_with): the next run has {mib} MiB for "
                "each worker"
            )


Args = JobFields | SparkJobFields
"""The settings of any kind of job."""


def _refuse_unknown(settings: JobsSettings, job: str, stack: str) -> None:
    if job not in settings.jobs:
        known = ", ".join(settings.job_names)
        raise click.ClickException(f"{stack} has no job {job}; it has: {known}")


def _template(runs: Runs, job: str, stack: str) -> Object:
    found = runs.template(job)
    if found is None:
        raise RunError(
            f"the cluster does not have {job} yet: slipway up {stack}, and run it then"
        )
    return found


def _refuse(runs: Runs, job: str, args: Args, stack: str) -> None:
    """RunError lists all obstacles; nothing is created then."""
    found = list(preflight.problems(runs.api, runs.namespace, args))
    found += [_in_the_way(one, stack) for one in runs.active(job)]
    if found:
        raise RunError("\n  ".join([f"{job} was not started:", *found]))


def _in_the_way(run: Object, stack: str) -> str:
    name = run["metadata"]["name"]
    if run["metadata"].get("deletionTimestamp"):
        return f"{name} of this job is being deleted; run it when its pods are gone"
    return (
        f"{name} of this job goes on. {showing.how_to_follow(name, stack)}; to "
        f"stop it: slipway jobs stop {name} --stack {stack}"
    )


def _more_memory(runs: Runs, run: str, args: Args, status: int) -> int | None:
    """MiB for another run; None if this one did not end for its memory, or had most.

    Also None if the following was interrupted, or if the cluster cannot be asked: the
    command then ends with `status`, the run's own.
    """
    if isinstance(args, SparkJobFields) or not args.retry_with:
        return None
    if status in (0, INTERRUPTED):
        return None
    try:
        found, pods = runs.get(run), runs.pods(run)
    except KubeApiError as error:
        showing.say(f"note: no run with more memory was started: {error}")
        return None
    if not condition(found, "Failed") or not memory.ran_out(pods):
        return None
    return memory.larger(found, args.retry_with)


def _refuse_second(runs: Runs, job: str, run: str, stack: str) -> None:
    """RunError if another run was made meanwhile; ours is deleted then."""
    if rivals := runs.rivals(job, run):
        runs.stop(run)
        found = [_in_the_way(one, stack) for one in rivals]
        lines = [f"{run} was deleted again, as two were started at once:", *found]
        raise RunError("\n  ".join(lines))


def _notes(args: Args, template: Object, stack: str, *, wait: bool) -> None:
    made = template["metadata"].get("annotations") or {}
    if made.get(naming.SETTINGS_ANNOTATION) != args.digest:
        showing.say(
            f"note: the settings of {stack} have changed since the last `slipway up`; "
            "this run has those from before"
        )
    if isinstance(args, SparkJobFields):
        return
    if args.retry_with and not wait:
        showing.say("note: retry_with needs --wait: nobody starts the next run else")
    if args.framework == "tensorflow" and args.nodes > 1:
        showing.say(KERAS)
