"""Models rendered in groups are those of one run of the program."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.settings import SettingsError
from slipway.rendering import grouped, processes, program_run, writing
from slipway.rendering.recorder import Recording, Resource
from slipway.rendering.render import Rendered, render
from stacks.groups import Group
from stacks.values import encoded
from tests.support import rendered as r
from toolchain import paths

SHARED: dict[str, Any] = {
    "client_keys": {"callers": {"alice": {"secure": "AAAB"}}},
    "platform": {"keda": {}},
}


def models(number: int) -> dict[str, Any]:
    """Of the kinds that share something with other models of their stack."""
    kinds: list[dict[str, Any]] = [
        {"access": {"api_keys": {"secret": "callers"}}},
        {"scaling": {"idle": {"wake_seconds": 8}}},
        {"monitor": {}, "prediction_log": {"sink": "monitor"}},
        {},
    ]
    found = {}
    for index in range(number):
        route = {"prefix": f"/m/v{index}", "sunset": "2020-01-01"}
        own = {"model": "employment", "model_image": "employment", "route": route}
        found[f"m{index}"] = own | kinds[index % len(kinds)]
    return found


def both(
    made: Callable[[], Rendered], monkeypatch: pytest.MonkeyPatch
) -> tuple[Rendered, Rendered]:
    """As a whole, and each member in a group of its own; both must be what they are."""
    monkeypatch.setattr(grouped, "LEAST", 10_000)
    whole = made()
    monkeypatch.setattr(grouped, "LEAST", 2)
    monkeypatch.setattr(grouped, "SIZE", 1)
    before, groups = grouped.recorded, []

    def noted(run: grouped.Run, divided: Any) -> Recording:
        found = before(run, divided)
        groups.extend(divided)
        return found

    monkeypatch.setattr(grouped, "recorded", noted)
    in_groups = made()
    assert len(groups) > 2
    return whole, in_groups


def same(one: Rendered, other: Rendered) -> bool:
    return (one.resources, one.outputs, one.messages) == (
        other.resources,
        other.outputs,
        other.messages,
    )


@pytest.mark.parametrize("stack", ["models.gpu", "models.lab"])
def test_groups_of_a_stack_are_the_stack(
    stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, in_groups = both(lambda: render(stack, images=r.IMAGES), monkeypatch)
    assert same(whole, in_groups)


def test_what_models_share_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, in_groups = both(lambda: r.models(models=models(8), **SHARED), monkeypatch)
    assert same(whole, in_groups)
    assert len(whole.messages) == 8
    names = {one.name for one in whole.resources}
    assert {"waker", "model-monitor", "client-keys"} <= names


def test_files_are_the_same_byte_by_byte(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(writing, "_AT_ONCE", 3)
    whole, in_groups = both(lambda: r.models(models=models(4), **SHARED), monkeypatch)
    written = in_groups.write(tmp_path, secrets=True)
    assert {one.name: one.read_text() for one in written} == whole.files(secrets=True)
    private = {one.name for one in written if one.stat().st_mode & 0o077 == 0}
    assert private == set(whole.secrets) - set(whole.sealed)


def test_errors_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are refused together, whatever the groups."""
    wrong = models(4)
    wrong["m1"]["route"] = wrong["m3"]["route"] = {"prefix": "no path"}
    texts = []
    for least in (10_000, 2):
        monkeypatch.setattr(grouped, "LEAST", least)
        with pytest.raises(SettingsError) as error:
            r.models(models=wrong)
        texts.append(str(error.value))
    assert texts[0] == texts[1]
    assert {"m1", "m3"} <= set(texts[0].replace(".", " ").split())


def test_a_group_that_fails_lets_the_whole_say_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> Recording:
        raise ValueError("a group failed")

    monkeypatch.setattr(grouped, "LEAST", 2)
    monkeypatch.setattr(grouped, "recorded", fail)
    assert len(r.models(models=models(3)).outputs["paths"]) == 3


def test_few_models_and_what_is_checked_as_a_whole_are_not_divided() -> None:
    few: dict[str, Any] = {f"m{index}": {} for index in range(grouped.LEAST - 1)}
    many = few | {"one": {}}

    def number(stack: str, **config: Any) -> int:
        return len(grouped.groups(stack, encoded(config)))

    assert number("models.test", models=few) == 0
    assert number("models.test", models=many) == 3
    assert number("models.test", models=many, adopt=["Namespace/models"]) == 0
    assert number("jobs.test", models=many) == 0
    assert number("models.test", models="no mapping") == 0


def resource(urn: str, digest: str) -> Resource:
    return Resource(urn, "t", "n", {}, custom=True, digest=digest)


def test_what_groups_share_must_be_the_same_in_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "_may_fork", lambda: False)
    made = {True: resource("a", "1"), False: resource("a", "2")}

    def run(group: Any) -> Recording:
        return Recording([made[group.rest]])

    divided = [Group(rest=True), Group(frozenset({"m"}))]
    with pytest.raises(ValueError, match="a is not the same in two groups"):
        grouped.recorded(run, divided)
    made[False] = made[True]
    assert grouped.recorded(run, divided).resources == [made[True]]


# Processes


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two, whatever threads the tests' process has."""
    monkeypatch.setattr(processes, "_cores", lambda: 2)
    monkeypatch.setattr(processes, "_may_fork", lambda: True)


@pytest.mark.usefixtures("forks")
def test_parts_are_worked_on_in_two_processes_and_come_in_order() -> None:
    found = list(processes.each(lambda part: (part * 10, os.getpid()), range(5)))
    assert [(part, ten) for part, (ten, _) in found] == [(n, n * 10) for n in range(5)]
    workers = {pid for _, (_, pid) in found}
    assert len(workers) == 2
    assert os.getpid() not in workers


@pytest.mark.usefixtures("forks")
def test_an_error_in_a_fork_is_raised_as_it_is() -> None:
    def work(part: int) -> int:
        if part == 3:
            raise SettingsError("here", [])
        return part

    found = processes.each(work, range(5))
    assert [next(found) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
    with pytest.raises(SettingsError):
        next(found)


@pytest.mark.usefixtures("forks")
def test_the_parts_of_a_fork_that_was_killed_are_worked_on_again() -> None:
    own = os.getpid()

    def work(part: int) -> int:
        if part == 2 and os.getpid() != own:
            os.kill(os.getpid(), signal.SIGKILL)
        return part * 10

    assert [found for _, found in processes.each(work, range(6))] == [
        number * 10 for number in range(6)
    ]


@pytest.mark.usefixtures("forks")
def test_groups_are_rendered_in_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere in these tests too few cores or a thread too many may prevent it."""
    before, here = program_run.alone, []

    def noted(function: Callable[[], None]) -> None:
        here.append(os.getpid())  # a fork appends to a list of its own
        before(function)

    monkeypatch.setattr(program_run, "alone", noted)
    whole, in_groups = both(lambda: r.models(models=models(4), **SHARED), monkeypatch)
    assert len(here) == 2  # the whole, and what groups share
    assert same(whole, in_groups)


PARENT = r"""
import os, time
from slipway.rendering import processes

def work(part):
    os.write(1, f"{os.getpid()}\n".encode())
    time.sleep(1)

processes._cores = lambda: 2
list(processes.each(work, range(4)))
"""


def parent() -> tuple[subprocess.Popen[str], list[int]]:
    """A process with two forks that work, and the identifiers of these."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=paths.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, [int(process.stdout.readline()) for _ in range(2)]


def test_a_fork_leaves_ctrl_c_to_its_parent() -> None:
    """A terminal sends it to both; the fork would print a traceback of its own."""
    process, forks = parent()
    for fork in forks:
        os.kill(fork, signal.SIGINT)
    written, errors = process.communicate(timeout=60)
    assert errors == ""
    assert process.pid not in map(int, written.split())


def test_a_fork_whose_parent_was_killed_prints_no_traceback() -> None:
    process, _ = parent()
    process.kill()
    _, errors = process.communicate(timeout=60)  # the forks have the same streams
    assert errors == ""


def test_a_process_with_threads_is_not_forked() -> None:
    """The lock that a thread holds would stay locked in the fork."""
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        assert not processes._may_fork()
        found = processes.each(lambda _: os.getpid(), [1, 2])
        assert {pid for _, pid in found} == {os.getpid()}
    finally:
        release.set()
        thread.join()


def test_no_cycles_are_looked_for_while_a_program_runs() -> None:
    seen = []
    program_run.alone(lambda: seen.append(gc.isenabled()))
    assert seen == [False]
    assert gc.isenabled()
