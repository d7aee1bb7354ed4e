"""The list of what is not judged says what is so: no more and no less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.aws import emulators
from tests.support.aws.account import Account
from tests.support.aws.not_judged import BLIND, CALLS, FORGOTTEN
from toolchain import paths

ACCOUNT, REGION = "111122223333", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/some"
SENT: dict[str, Any] = {
    "bootstrapSelfManagedAddons": False,
    "deletionProtection": True,
    "upgradePolicy": {"supportType": "STANDARD"},
    "zonalShiftConfig": {"enabled": True},
    "nodeRepairConfig": {"enabled": True},
    "updateConfig": {"maxUnavailable": 1},
}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    logs: Path = tmp_path_factory.mktemp("logs")
    with emulators.running(ACCOUNT, REGION, logs) as endpoints:
        yield Account(endpoints, REGION)


def test_what_is_said_to_be_forgotten_is_forgotten(account: Account) -> None:
    for eks in (account.client("eks"), account.rest("eks")):
        own = {name: SENT[name] for name in FORGOTTEN["eks:CreateCluster"]}
        eks.create_cluster(
            name="c", roleArn=ROLE, resourcesVpcConfig={"subnetIds": ["s"]}, **own
        )
        kept = eks.describe_cluster(name="c")["cluster"]
        assert own.keys() & kept.keys() == set(), "an emulator has learnt of these"
        own = {name: SENT[name] for name in FORGOTTEN["eks:CreateNodegroup"]}
        eks.create_nodegroup(
            clusterName="c", nodegroupName="n", nodeRole=ROLE, subnets=["s"], **own
        )
        kept = eks.describe_nodegroup(clusterName="c", nodegroupName="n")["nodegroup"]
        assert own.keys() & kept.keys() == set(), "an emulator has learnt of these"


def test_what_is_said_to_be_forgotten_of_emr_is(account: Account) -> None:
    emr = account.client("emr-serverless")
    sent: dict[str, Any] = {
        "architecture": "ARM64",
        "imageConfiguration": {
            "imageUri": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/c:1"
        },
        "monitoringConfiguration": {
            "managedPersistenceMonitoringConfiguration": {"enabled": False}
        },
    }
    assert set(sent) == set(FORGOTTEN["emr-serverless:CreateApplication"])
    made = emr.create_application(
        name="a", releaseLabel="emr-7.13.0", type="SPARK", **sent
    )
    kept = emr.get_application(applicationId=made["applicationId"])["application"]
    assert sent.keys() & kept.keys() == set(), "the emulator has learnt of these"


def test_a_call_that_is_not_on_the_list_cannot_be_skipped(account: Account) -> None:
    with pytest.raises(NotImplementedError, match="not_judged"):
        account.unjudged("eks", "DeleteCluster", name="c")


def test_a_call_on_the_list_is_still_checked_in_form(account: Account) -> None:
    account.unjudged("eks", "UpdateClusterVersion", name="c", version="1.36")
    with pytest.raises(Exception, match="Unknown parameter"):
        account.unjudged("eks", "UpdateClusterVersion", name="c", to="1.36")


def test_every_name_on_the_lists_is_a_call_of_aws(account: Account) -> None:
    for name in {*CALLS, *FORGOTTEN, *BLIND}:
        service, _, operation = name.partition(":")
        model = account.client(service.replace("servicequotas", "service-quotas")).meta
        assert not operation or operation in model.service_model.operation_names


def test_the_page_names_what_is_not_judged() -> None:
    page = (paths.ROOT / "docs" / "how-to" / "emulator.md").read_text()
    names = {name.partition(":")[2] for name in CALLS if "tag" not in name.lower()}
    names |= {name for parameters in FORGOTTEN.values() for name in parameters}
    assert {name for name in names if f"`{name}`" not in page} == set()
