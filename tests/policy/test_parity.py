"""The rules as admission policies, evaluated here; tests/cluster asks an API server."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from components.security.network import NAMESPACE_LABEL
from tests.policy import parity
from tests.policy.corpus import workload
from tests.support.admission_model import Model
from tests.support.dry_run import DryRuns


@pytest.fixture
def model() -> Model:
    made = Model()
    made.namespaces[parity.SPACE] = {NAMESPACE_LABEL: parity.SPACE}
    made.judge(parity.judging(refuse=False))
    return made


@pytest.fixture
def server(model: Model) -> Iterator[DryRuns]:
    transport = httpx.MockTransport(model)
    with httpx.Client(base_url="http://api", transport=transport) as client:
        yield DryRuns(client)


def test_policies_say_of_new_objects_what_check_says(server: DryRuns) -> None:
    apart, reached = parity.creations(server)
    assert apart == []
    assert reached == parity.IN_CLUSTER


def test_policies_say_of_changed_objects_what_check_says(server: DryRuns) -> None:
    apart, reached, own = parity.updates(server)
    assert apart == []
    assert reached == parity.IN_CLUSTER
    assert own == set()


def test_errors_are_refused_in_production_unless_waived(
    server: DryRuns, model: Model
) -> None:
    made, waived = parity.judging(refuse=True), parity.waivers()
    model.judge(made)
    apart, reached = parity.refused_creations(server)
    assert apart == []
    model.judge([parity.parameters(waived), *made[1:]])
    apart, others = parity.waived_creations(server, waived)
    assert apart == []
    assert reached | others == parity.ERRORS


def test_what_is_older_than_a_rule_can_be_worked_on(
    server: DryRuns, model: Model
) -> None:
    old = parity.old_objects()
    assert len(old) >= 12
    for case in old:
        parity.keep(server, parity.kept(case.bad))
    model.judge(parity.judging(refuse=True))
    assert parity.refused_updates(server) == []


def test_a_waiver_of_one_rule_is_none_of_another(server: DryRuns, model: Model) -> None:
    made = parity.judging(refuse=True)
    bad = parity.placed(workload(container={"image": "registry.example.com/server:1"}))
    waived = {"images-by-digest": [parity.name(bad)]}
    assert parity.said(bad).keys() == {"images-by-digest", "image-registries"}
    model.judge([parity.parameters(waived), *made[1:]])
    assert server.create(bad).refusal.keys() == {"image-registries"}


def test_a_refusal_says_id_reason_and_fix(server: DryRuns, model: Model) -> None:
    model.judge(parity.judging(refuse=True))
    bad = workload(container=parity.WITHOUT_DIGEST)
    assert server.create(parity.placed(bad)).refusal == {
        "images-by-digest": "images-by-digest: Images are not named by digest: server "
        "runs registry.example.com/team/server:1. Give the image as "
        "registry/name@sha256:digest, or a name of images.lock."
    }


def test_what_is_kept_makes_no_pods_by_itself() -> None:
    found = {case.bad["kind"]: parity.kept(case.bad) for case in parity.CASES}
    assert found["Deployment"]["spec"]["paused"]
    assert found["Job"]["spec"]["suspend"]
