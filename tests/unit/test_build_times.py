"""How much longer builds take, by what this machine knows and by this run's pace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolchain import build_times, builds
from toolchain.build_times import TimeLeft


class Clock:
    """Time that passes when the test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(
        build_times, "SHARES", {"first": 100, "second": 300, "third": 50}
    )
    return Clock()


def test_a_first_run_goes_by_its_own_pace(clock: Clock) -> None:
    left = TimeLeft(["first", "second", "third"], {}, clock)
    clock.now += 10
    assert left.at("first", 5, 100) is None  # too little to tell
    clock.now += 40  # half of it in 50 s
    assert left.at("first", 50, 100) == pytest.approx(50 + 300 + 50)
    clock.now += 50  # all of it in 100 s
    assert left.at("second", 0, 40) == pytest.approx(300 + 50)
    clock.now += 300
    assert left.at("third", 5, 5) == pytest.approx(0)


def test_what_was_built_before_takes_what_it_took(clock: Clock) -> None:
    left = TimeLeft(["first", "third"], {"first": 80.0, "third": 20.0}, clock)
    assert left.at("first", 0, 100) == 100
    assert left.at("first", 75, 100) == 40
    assert left.at("third", 1, 2) == 10


def test_groups_that_compile_nothing_hide_nothing(clock: Clock) -> None:
    left = TimeLeft(["first", "files only"], {"first": 80.0}, clock)
    assert left.at("first", 1, 2) == 40
    assert left.at("files only", 0, 0) == 0


def test_the_longest_earlier_build_counts(tmp_path: Path) -> None:
    assert build_times.earlier(tmp_path) is None
    for name, content in (
        ("a", json.dumps({"seconds": 3.5})),
        ("b", json.dumps({"seconds": 120.0})),
        ("cut", '{"seco'),
        ("old", json.dumps({"version": "v1"})),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "build.json").write_text(content)
    assert build_times.earlier(tmp_path) == 120.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.4, "4 s"), (89, "89 s"), (90, "2 min"), (620, "10 min")]
)
def test_times_are_said_for_people(seconds: float, text: str) -> None:
    assert build_times.said(seconds) == text


def test_every_large_group_has_a_size() -> None:
    compiled = {name for name, group in builds.groups().items() if group.module}
    nothing = {name for name, group in builds.groups().items() if not group.packages}
    assert set(build_times.SHARES) == compiled - nothing
