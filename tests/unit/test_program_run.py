"""A program runs in this process as in the engine's hands, only quicker."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pulumi
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime import resource as sdk_resource
from pulumi.runtime import rpc

from slipway.rendering.recorder import plain, values
from slipway.rendering.render import render

SECRET = {
    rpc._special_sig_key: rpc._special_secret_sig,
    "value": {"password": "open sesame"},
}
UNKNOWN = rpc.UNKNOWN


@pytest.mark.parametrize(
    ("given", "has_secrets"),
    [
        ({}, False),
        ({"a": 1, "b": 1.5, "c": True, "d": "text", "e": -0.0, "f": 1e300}, False),
        ({"gone": None, "kept": [None, 1.0, "x"], "in": {"gone": None}}, False),
        ({"deep": {"er": [{"est": [[1, 2.5], []]}, {}]}}, False),
        ({"later": UNKNOWN, "all": [UNKNOWN, 3], "in": {"it": UNKNOWN}}, False),
        ({"open": 1, "closed": SECRET}, True),
        ({"open": 1, "in": {"closed": SECRET}}, True),
        ({"all": [1, SECRET]}, True),
    ],
)
def test_values_are_those_that_the_sdk_reads(
    given: dict[str, Any], has_secrets: bool
) -> None:
    struct = struct_pb2.Struct()
    struct.update(given)
    wanted, _ = rpc.deserialize_properties_unwrap_secrets(struct)
    found, marked = values(struct)
    assert found == plain(wanted)
    assert repr(found) == repr(plain(wanted))  # 1 and 1.0 are equal, but not the same
    assert marked is has_secrets


class Thing(pulumi.CustomResource):
    """Any resource."""

    size: pulumi.Output[int]

    def __init__(self, name: str, size: pulumi.Input[int]) -> None:
        super().__init__("kubernetes:core/v1:Thing", name, {"size": size})


def many(count: int) -> None:
    """Resources that each need the one before."""
    size: pulumi.Input[int] = 1
    for number in range(count):
        size = Thing(f"t{number}", size).size.apply(lambda it: it + 1)
    pulumi.export("last", size)


def test_the_work_grows_as_the_resources_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not with the square of them, as the SDK waits."""
    watched = []
    wait = asyncio.tasks._wait  # type: ignore[attr-defined]

    def counted(tasks: Any, *rest: Any) -> Any:
        watched.append(len(tasks))
        return wait(tasks, *rest)

    monkeypatch.setattr(asyncio.tasks, "_wait", counted)
    work = {}
    for count in (20, 80):
        watched.clear()
        rendered = render("models.test", config={}, program=lambda n=count: many(n))
        assert rendered.outputs == {"last": count + 1}
        work[count] = sum(watched)
    assert work[20] >= 20
    assert work[80] <= 5 * work[20]


def test_no_stack_is_looked_at_and_others_programs_have_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = []
    extract = traceback.extract_stack

    def noted(*args: Any, **more: Any) -> traceback.StackSummary:
        taken.append(1)
        return extract(*args, **more)

    monkeypatch.setattr(traceback, "extract_stack", noted)
    render("models.test", config={}, program=lambda: many(3))
    assert not taken
    sdk_resource._get_stack_trace()
    assert taken
