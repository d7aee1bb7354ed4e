"""The real engine's preview of a change, as `slipway compare` gets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import previewed, recorded_events
from tests.support.aws.world import World, world


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[World]:
    content = {"account": {"id": previewed.ACCOUNT, "region": previewed.REGION}}
    with world(previewed.STACK, tmp_path, content, previewed.applied) as made:
        made.up()
        yield made


def test_a_preview_tells_what_becomes_of_each_resource(tiny: World) -> None:
    tiny.program = previewed.head
    with recorded_events.recording() as events:
        found = tiny.preview()
    assert {one.name: one.verdict for one in found.verdicts} == {
        "main": "changed",
        "second": "replaced",
        "log": "changed",
        "queue": "replaced",
        "forgotten": "changed",
    }
    (queue,) = (one for one in found.verdicts if one.name == "queue")
    assert queue.replacing == ("name",)
    assert tiny.up().changes["replace"] == 2, "the preview changed nothing before"
    recorded_events.compare("preview", events)
