"""Drift that the real engine finds in an emulated account.

Of most types the emulator's provider sees only that a resource is gone; of log groups
it reads the retention too. What the engine says is kept for the unit tests
(tests/support/recorded_events.py).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator

import pulumi
import pulumi_aws as aws
import pytest
from rich.console import Console

from slipway.drift import checking, reading
from slipway.drift.report import DriftReport
from slipway.engine import workspace
from slipway.preview.report import PathChange
from tests.support import recorded_events
from tests.support.aws import cloudwatch
from tests.support.aws.world import World, world

ACCOUNT, REGION, STACK = "111122223333", "eu-central-1", "cluster.tiny"
LOG, HIDDEN, QUEUE = "host-log", "secret-log", "interruptions"
HUSH = "a-value-that-nobody-may-see"


def program() -> None:
    made = aws.Provider("aws", region=REGION, allowed_account_ids=[ACCOUNT])
    opts = pulumi.ResourceOptions(provider=made)
    aws.cloudwatch.LogGroup(LOG, name=LOG, retention_in_days=30, opts=opts)
    aws.cloudwatch.LogGroup(
        HIDDEN,
        name=HIDDEN,
        retention_in_days=30,
        tags={"team": pulumi.Output.secret(HUSH)},
        opts=opts,
    )
    aws.sqs.Queue(
        QUEUE,
        name=QUEUE,
        message_retention_seconds=300,
        sqs_managed_sse_enabled=True,
        opts=opts,
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The tests go through one life of the stack, in their order."""
    content = {"account": {"id": ACCOUNT, "region": REGION}}
    folder = tmp_path_factory.mktemp("tiny")
    with world(STACK, folder, content, program) as made:
        made.up()
        yield made


def drift(tiny: World) -> DriftReport:
    console = Console(file=io.StringIO())
    return checking.check([STACK], lambda name: reading.read(name, console, tiny.root))


def backend() -> dict[str, str]:
    """Digests of all files of the backend."""
    folder = workspace.backend_folder()
    assert folder is not None
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_a_stack_without_state_is_not_checked_and_gets_none(tiny: World) -> None:
    text = tiny.root / "stacks/config"
    (text / "Pulumi.cluster.other.yaml").write_text(
        (text / f"Pulumi.{STACK}.yaml").read_text()
    )
    before = backend()
    console = Console(file=io.StringIO())
    found = checking.check(
        ["cluster.other"], lambda name: reading.read(name, console, tiny.root)
    )
    assert [stack.stack for stack in found.unchecked] == ["cluster.other"]
    assert "has no state of it" in found.stacks[0].error
    assert backend() == before


def test_nothing_has_drifted_right_after_an_update(tiny: World) -> None:
    found = drift(tiny)
    assert found.verdict == "No drift in 3 resources."
    assert found.level == "nothing"


def test_what_others_changed_and_deleted_is_found_and_left_alone(tiny: World) -> None:
    logs, sqs = tiny.account.client("logs"), tiny.account.client("sqs")
    for name in (LOG, HIDDEN):
        logs.put_retention_policy(logGroupName=name, retentionInDays=7)
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"])
    before = backend()
    with recorded_events.recording() as events:
        found = drift(tiny)
    assert backend() == before, "the state was written"
    assert {(item.action, item.name) for item in found.items} == {
        ("changed", LOG),
        ("changed", HIDDEN),
        ("deleted", QUEUE),
    }
    (shown,) = (item for item in found.items if item.name == LOG)
    assert shown.changes == (PathChange("retentionInDays", "30", "7"),)
    (hidden,) = (item for item in found.items if item.name == HIDDEN)
    assert hidden.secret
    assert hidden.changes == ()
    assert HUSH in str(events), "an output without a mark"
    assert HUSH not in str(found)
    recorded_events.compare("refresh", events)
    assert found == drift(tiny), "what was found is still there"


def test_what_cannot_be_read_is_told(
    tiny: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise PermissionError("logs:DescribeLogGroups is denied")

    monkeypatch.setattr(cloudwatch.LogGroup, "read", read)
    found = drift(tiny)
    assert "logs:DescribeLogGroups is denied" in found.stacks[0].error
    assert found.unchecked == found.stacks
    assert found.items == ()


def test_a_refreshing_update_puts_it_right(tiny: World) -> None:
    done = tiny.engine.up(STACK, refresh=True)
    assert {"create", "update"} <= set(done.changes)
    assert drift(tiny).level == "nothing"
