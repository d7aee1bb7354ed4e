"""One digest for all that a program asks of the engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from pulumi.runtime.proto import resource_pb2, source_pb2

from slipway.rendering.request_digest import digest
from toolchain import paths

Request = Any


def request() -> Request:
    made = resource_pb2.RegisterResourceRequest(
        type="kubernetes:core/v1:ConfigMap",
        name="one",
        custom=True,
        dependencies=["urn:a", "urn:b"],
        ignoreChanges=["spec.replicas"],
    )
    made.object.update({"data": {"key": "value"}, "list": [1, 2]})
    made.propertyDependencies["data"].urns.extend(["urn:a", "urn:b"])
    return made


def change_input(made: Request) -> None:
    made.object["data"]["key"] = "other"


def change_order(made: Request) -> None:
    made.object["list"] = [2, 1]


def protect(made: Request) -> None:
    made.protect = True


def take_longer(made: Request) -> None:
    made.customTimeouts.create = "20m"


def need_another(made: Request) -> None:
    made.dependencies.append("urn:c")


def need_another_for_a_property(made: Request) -> None:
    made.propertyDependencies["data"].urns.append("urn:c")


def name_an_alias(made: Request) -> None:
    made.aliases.add(urn="urn:before")


@pytest.mark.parametrize(
    "change",
    [
        *[change_input, change_order, protect, take_longer, need_another],
        *[need_another_for_a_property, name_an_alias],
    ],
    ids=lambda change: change.__name__,
)
def test_whatever_is_asked_counts(change: Callable[[Request], None]) -> None:
    changed = request()
    change(changed)
    assert digest(changed) != digest(request())


def test_where_it_is_asked_and_the_order_of_sets_do_not_count() -> None:
    moved = request()
    moved.sourcePosition.CopyFrom(source_pb2.SourcePosition(uri="file:///x.py", line=7))
    del moved.dependencies[:], moved.propertyDependencies["data"].urns[:]
    moved.dependencies.extend(["urn:b", "urn:a"])
    moved.propertyDependencies["data"].urns.extend(["urn:b", "urn:a"])
    assert digest(moved) == digest(request())
    assert moved.sourcePosition.line == 7, "the request itself was changed"


def test_the_order_of_keys_does_not_count() -> None:
    keys = [f"key-{number}" for number in range(20)]
    one, other = request(), request()
    one.object.update(dict.fromkeys(keys, "x"))
    other.object.update(dict.fromkeys(reversed(keys), "x"))
    assert digest(one) == digest(other)


def test_another_process_finds_the_same() -> None:
    """Whatever the order in which it hashes words."""
    script = (
        "from tests.unit.test_request_digest import digest, request\n"
        "print(digest(request()))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=paths.ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {digest(request())}
