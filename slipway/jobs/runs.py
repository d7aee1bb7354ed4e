"""The runs of a stack's jobs, as the API server has them."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from urllib.parse import quote

from components import naming
from slipway.cluster.kube_api import KubeApi, Object
from slipway.jobs import memory
from toolchain.errors import OperatorError

CRON_JOBS = "/apis/batch/v1/namespaces/{namespace}/cronjobs"
JOBS = "/apis/batch/v1/namespaces/{namespace}/jobs"
PODS = "/api/v1/namespaces/{namespace}/pods"
_PROGRAM = "app.kubernetes.io/name"
_PROGRAMS = (naming.SPARK_JOB, naming.TRAINING_JOB)
INSTANCE = "app.kubernetes.io/instance"
RUN_LABEL = "batch.kubernetes.io/job-name"
MANUAL = "cronjob.kubernetes.io/instantiate"
"""Annotation that `kubectl create job --from=cronjob/...` also sets."""
_ALPHABET = string.ascii_lowercase + string.digits
_DIGITS = 5
ENDED = ("Complete", "Failed")


class RunError(OperatorError):
    """A run cannot be started, found or followed."""


def condition(run: Object, *kinds: str) -> Object | None:
    """The first condition of these kinds that holds."""
    for one in run.get("status", {}).get("conditions") or ():
        if one["type"] in kinds and one["status"] == "True":
            found: Object = one
            return found
    return None


def job_of(run: Object) -> str:
    """Name of the job."""
    return str(run["metadata"]["labels"][INSTANCE])


def program_of(run: Object) -> str:
    """Return the kind of the run's job."""
    return str(run["metadata"].get("labels", {}).get(_PROGRAM, ""))


def _made(run: Object) -> str:
    """RFC 3339, in whole seconds."""
    return str(run["metadata"]["creationTimestamp"])


@dataclass(frozen=True)
class Runs:
    """Runs in one namespace."""

    api: KubeApi
    namespace: str

    def _path(self, form: str, name: str = "") -> str:
        found = form.format(namespace=self.namespace)
        return f"{found}/{name}" if name else found

    def _selected(self, form: str, *labels: str) -> list[Object]:
        query = f"labelSelector={quote(','.join(labels))}"
        return self.api.items(f"{self._path(form)}?{query}")

    def template(self, job: str) -> Object | None:
        """Return the stack's object for the job; None without one."""
        return self.api.get(self._path(CRON_JOBS, job))

    def all(self, job: str = "") -> list[Object]:
        """Runs of the job, or of all jobs; the newest last."""
        labels = [f"{_PROGRAM} in ({','.join(_PROGRAMS)})"]
        if job:
            labels.append(f"{INSTANCE}={job}")
        found = self._selected(JOBS, *labels)
        return sorted(found, key=_made)

    def active(self, job: str) -> list[Object]:
        """Runs of the job that have not ended; the oldest first."""
        return [run for run in self.all(job) if not condition(run, *ENDED)]

    def rivals(self, job: str, run: str) -> list[Object]:
        """Active runs of the job that are as old as this one or older.

        Times of Kubernetes are whole seconds: two runs of the same second therefore
        each see the other one.
        """
        found = {one["metadata"]["name"]: one for one in self.active(job)}
        ours = found.pop(run, None)
        return [one for one in found.values() if ours and _made(one) <= _made(ours)]

    def get(self, run: str) -> Object:
        """A run; RunError if it is not there."""
        found = self.api.get(self._path(JOBS, run))
        if found is None:
            raise RunError(
                f"there is no run {run} in {self.namespace}: it was stopped, or it "
                "ended longer than keep_seconds ago"
            )
        return found

    def pods(self, run: str) -> list[Object]:
        """Pods of the run, also those that were replaced."""
        return self._selected(PODS, f"{RUN_LABEL}={run}")

    def start(self, job: str, template: Object, memory_mib: int | None = None) -> str:
        """Makes a run of the template, with so much memory a worker; its name."""
        digits = "".join(secrets.choice(_ALPHABET) for _ in range(_DIGITS))
        name = f"{job}-{digits}"
        content = self._content(name, template)
        if memory_mib:
            content["spec"] = memory.with_memory(content["spec"], memory_mib)
        self.api.create(self._path(JOBS), content)
        return name

    def _content(self, name: str, template: Object) -> Object:
        made, owner = template["spec"]["jobTemplate"], template["metadata"]
        known = made.get("metadata") or {}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": known.get("labels") or {},
                "annotations": {**(known.get("annotations") or {}), MANUAL: "manual"},
                # So that it is deleted with the job.
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "CronJob",
                        "name": owner["name"],
                        "uid": owner["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": made["spec"],
        }

    def stop(self, run: str) -> None:
        """Deletes a run with its pods; RunError if it is not there.

        The run stays, and is active, until its pods are gone: they may still write.
        """
        self.get(run)
        self.api.delete(self._path(JOBS, run), owned_first=True)
