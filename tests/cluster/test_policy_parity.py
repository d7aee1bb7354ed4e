"""The API server judges by the rules of policies/ as `slipway check` does.

Each object of the corpus is created, and changed from bad to good and back, with all
admission policies in force: what the API server says must be what the rules say in
Python, word for word. First it warns, then it refuses, as in production. Nearly all
requests are dry runs. tests/policy/test_parity.py has the same without a cluster.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.cluster.conftest import Cluster
from tests.cluster.test_node_pools_admitted import Definitions
from tests.policy import parity
from tests.policy.corpus import Case, Object, changed, workload
from tests.policy.parity import SPACE
from tests.support import dry_run
from tests.support.dry_run import DryRuns
from tests.support.kube import Kube, wait_until

NO_PODS: Object = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-pods", "namespace": SPACE},
    "spec": {"hard": {"pods": "0"}},
}
"""What is kept for a while runs nothing on the lab's two cores."""
BAD = workload(container=parity.WITHOUT_DIGEST, spec={"replicas": 0})
OLD = parity.named(parity.placed(BAD), "older")
RULE = "images-by-digest"


@dataclass
class Judge:
    """The API server, and how the policies that it has judge."""

    kube: Kube
    server: DryRuns
    _refuses: bool | None = None
    _waived: dict[str, list[str]] = field(default_factory=dict)

    def warn(self) -> DryRuns:
        return self._set(refuse=False, waived={})

    def refuse(self, waived: dict[str, list[str]] | None = None) -> DryRuns:
        return self._set(refuse=True, waived=waived or {})

    def _set(self, *, refuse: bool, waived: dict[str, list[str]]) -> DryRuns:
        """Applies what is not as it is to be, and waits until the API server follows.

        It takes a second or two to compile policies.
        """
        if (self._refuses, self._waived) == (refuse, waived):
            return self.server
        there = [] if self._refuses is None else parity.judging(refuse=self._refuses)
        wanted = [one for one in parity.judging(refuse=refuse) if one not in there]
        if self._waived != waived:
            wanted.append(parity.parameters(waived))
        self.kube.apply(*wanted)
        self._refuses, self._waived = refuse, waived
        behind = [*parity.CASES]

        def follows() -> bool:
            behind[:] = self._behind(behind)
            return not behind

        with suppress(AssertionError):  # it does not say which
            wait_until(follows, 60, "policies")
        assert [case.rule for case in self._behind(parity.CASES)] == []
        return self.server

    def _behind(self, cases: list[Case]) -> list[Case]:
        """Those whose bad object is not warned of, refused or taken as it is to be.

        What is said then is left to the tests.
        """
        found = []
        for case in cases:
            content = parity.placed(case.bad)
            left = {
                rule
                for rule in parity.said(content)
                if parity.name(content) not in self._waived.get(rule, ())
            }
            answer = self.server.create(content)
            if self._refuses and left & parity.ERRORS:
                is_followed = bool(answer.refusal)
            else:
                is_followed = not answer.error and answer.warnings.keys() == left
            if not is_followed:
                found.append(case)
        return found


@pytest.fixture(scope="module")
def judge(cluster: Cluster) -> Iterator[Judge]:
    """The cluster with all policies; all of it goes again."""
    yield from judging(cluster.kube)


def judging(kube: Kube) -> Iterator[Judge]:
    definitions = Definitions(kube)
    definitions.add()
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
    kube.apply(space, NO_PODS)
    try:
        with dry_run.of(kube) as server:
            yield Judge(kube, server)
    finally:
        # The policies first, so that none of them is about what goes after them.
        kube.delete(*parity.judging(refuse=True), wait=False)
        kube.delete(*parity.kept_outside(), space)
        definitions.remove()


def test_of_new_objects_the_api_server_says_what_check_says(judge: Judge) -> None:
    apart, reached = parity.creations(judge.warn())
    assert apart == []
    assert reached == parity.IN_CLUSTER


def test_of_changed_objects_the_api_server_says_what_check_says(judge: Judge) -> None:
    apart, reached, own = parity.updates(judge.warn())
    assert apart == []
    assert reached == parity.IN_CLUSTER - own


@pytest.fixture(scope="module")
def older(judge: Judge) -> Judge:
    """The API server refuses; objects that are against it are older than that."""
    lenient = judge.warn()
    for content in (*(parity.kept(c.bad) for c in parity.old_objects()), OLD):
        parity.keep(lenient, content)
    return judge


def test_what_is_older_than_a_rule_can_be_worked_on(older: Judge) -> None:
    assert parity.refused_updates(older.refuse()) == []


def test_kubectl_shows_a_refusal_until_there_is_a_waiver(older: Judge) -> None:
    older.refuse()
    about = (f"deployment/{OLD['metadata']['name']}", "-n", SPACE)
    change = ("patch", *about, "-p", json.dumps({"spec": {"minReadySeconds": 9}}))
    older.kube.run("annotate", *about, "a=b")
    refused = older.kube.run(*change, check=False)
    assert refused.returncode
    assert parity.said(OLD)[RULE] in refused.stderr
    older.refuse({RULE: [f"Deployment/{SPACE}/other", parity.name(OLD)]})
    older.kube.run(*change)


def test_errors_are_refused_in_production_unless_waived(judge: Judge) -> None:
    apart, reached = parity.refused_creations(judge.refuse())
    assert apart == []
    waived = parity.waivers()
    apart, others = parity.waived_creations(judge.refuse(waived), waived)
    assert apart == []
    assert reached | others == parity.ERRORS


def test_only_a_controller_makes_what_its_owner_is_judged_for(judge: Judge) -> None:
    judge.refuse()
    # Whoever says that a controller made it is judged.
    assert RULE in refusal(judge.kube, owned(BAD, "v1", "ConfigMap"))
    job = workload("Job", container=parity.WITHOUT_DIGEST)
    of_a_cron_job = owned(job, "batch/v1", "CronJob")
    assert RULE in refusal(judge.kube, of_a_cron_job)
    controller = ("--as", "system:serviceaccount:kube-system:cronjob-controller")
    by_controller = refusal(judge.kube, of_a_cron_job, *controller)
    assert "ValidatingAdmissionPolicy" not in by_controller
    assert RULE in refusal(judge.kube, job, *controller)


def owned(content: Object, version: str, kind: str) -> Object:
    """The object as if one of that kind had made it."""
    owner = {"apiVersion": version, "kind": kind, "name": "o", "uid": "o"}
    made = {"ownerReferences": [{**owner, "controller": True}]}
    found: Object = changed(content, {"metadata": made})
    return found


def refusal(kube: Kube, content: Object, *user: str) -> str:
    """Why a dry run is refused; empty if it is not."""
    arguments = ("create", "--dry-run=server", "-f", "-", *user)
    text = json.dumps(parity.placed(content))
    done = kube.run(*arguments, text=text, check=False)
    return done.stderr if done.returncode else ""
