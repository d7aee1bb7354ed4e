"""The engine itself, on programs of a few components: no cluster, no provider."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from pulumi.automation import PulumiCommand
from pydantic import BaseModel
from rich.console import Console

from components import settings
from slipway.engine import locks, pulumi_cli, sessions, workspace
from slipway.engine.engine import Engine
from slipway.engine.results import EngineError
from stacks import config
from tests.support.kube import wait_until
from toolchain import paths, programs

pytestmark = pytest.mark.programs
STACK = "models.tiny"
STACK_FILE = """config:
  slipway:count: 2
  slipway:nested: {text: "2", number: 1, list: [1, a]}
"""


class Part(pulumi.ComponentResource):
    """A resource that the engine keeps by itself."""

    def __init__(self, name: str) -> None:
        super().__init__("slipway:test:Part", name)
        self.register_outputs({})


def program() -> None:
    read = config.read()
    for number in range(int(read["count"])):
        Part(f"part-{number}")
    pulumi.export("nested", read["nested"])
    pulumi.export("password", pulumi.Output.secret("hush"))


@pytest.fixture(scope="module", autouse=True)
def cli() -> None:
    if programs.find("pulumi") is None:
        pytest.skip("Pulumi's CLI is neither on PATH nor here: `make up` gets it")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one stack; state in a folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for variable in ("PULUMI_BACKEND_URL", *workspace.PASSPHRASE_VARIABLES):
        monkeypatch.delenv(variable, raising=False)
    root = tmp_path / "checkout"
    file = root / "stacks/config" / f"Pulumi.{STACK}.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(STACK_FILE)
    (root / "Pulumi.yaml").write_text((paths.ROOT / "Pulumi.yaml").read_text())
    return root


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def engine(checkout: Path, said: io.StringIO) -> Callable[..., Engine]:
    def make(run: Callable[[], None] = program) -> Engine:
        return Engine(Console(file=said), {STACK: run}, checkout)

    return make


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def change_count(checkout: Path, count: int) -> None:
    file = checkout / "stacks/config" / f"Pulumi.{STACK}.yaml"
    file.write_text(STACK_FILE.replace("count: 2", f"count: {count}"))


def test_the_cli_runs_only_for_what_is_read(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run of it takes a third of a second of CPU time, whatever it does."""
    asked: list[str] = []
    run = PulumiCommand.run

    def counting(
        self: PulumiCommand, words: list[str], *more: Any, **named: Any
    ) -> Any:
        asked.append(" ".join(it for it in words[:2] if not it.startswith("-")))
        return run(self, words, *more, **named)

    engine().up(STACK)
    monkeypatch.setattr(PulumiCommand, "run", counting)
    monkeypatch.setattr(PulumiCommand, "__init__", None)  # runs it for its version
    assert engine().up(STACK).outputs["password"] == "[secret]"
    assert asked == ["stack select", "up"]
    asked.clear()
    engine().destroy(STACK)
    assert asked == ["stack select", "destroy"]


def test_the_state_is_what_the_cli_exports(
    engine: Callable[..., Engine], checkout: Path
) -> None:
    def states() -> tuple[dict[str, Any], dict[str, Any]]:
        found = sessions.open_stack(STACK, pulumi_cli.find(), lambda: None, checkout)
        return found.state(), replace(found, file=None).state()

    empty, exported = states()
    assert empty == exported
    engine().up(STACK)
    full, exported = states()
    assert full == exported
    assert len(full["deployment"]["resources"]) == 3
    assert "hush" not in json.dumps(full)


def test_outputs_are_what_the_cli_shows(
    engine: Callable[..., Engine], checkout: Path
) -> None:
    def run() -> None:
        program()
        hidden = pulumi.Output.secret("hush")
        pulumi.export("mixed", {"name": "a", "key": hidden, "list": [1, hidden]})
        pulumi.export("many", pulumi.Output.secret({"key": ["hush"]}))
        pulumi.export("nothing", None)

    found = sessions.open_stack(STACK, pulumi_cli.find(), lambda: None, checkout)
    assert found.outputs() == replace(found, file=None).outputs() == {}
    engine(run).up(STACK)
    shown = replace(found, file=None).outputs()
    assert found.outputs() == shown
    assert shown["mixed"]["name"] == "a"
    assert "hush" not in json.dumps(shown)


def test_outputs_that_are_files_are_left_to_the_cli(
    engine: Callable[..., Engine], checkout: Path
) -> None:
    def run() -> None:
        pulumi.export("file", pulumi.StringAsset("text"))

    shown = engine(run).up(STACK).outputs
    found = sessions.open_stack(STACK, pulumi_cli.find(), lambda: None, checkout)
    assert found.outputs() == shown == replace(found, file=None).outputs()


def test_a_stack_from_nothing_to_nothing(
    engine: Callable[..., Engine], checkout: Path, said: io.StringIO
) -> None:
    before = digests(checkout)
    up = engine().up(STACK)
    assert up.changes == {"create": 3}
    assert up.outputs == {
        "nested": {"text": "2", "number": 1, "list": [1, "a"]},
        "password": "[secret]",
    }
    assert engine().up(STACK).changes == {"same": 3}
    assert digests(checkout) == before, "the checkout was changed"
    work = workspace.folder(STACK) / "stacks/config" / f"Pulumi.{STACK}.yaml"
    assert "encryptionsalt" in work.read_text()

    change_count(checkout, 3)
    preview = engine().preview(STACK)
    assert preview.changes == {"create": 1, "same": 3}
    assert [step.urn.split("::")[-1] for step in preview.steps] == ["part-2"]
    assert engine().refresh(STACK).changes == {"same": 3}
    assert engine().destroy(STACK).changes == {"delete": 3}

    passphrase = workspace.passphrase_file()
    assert passphrase.stat().st_mode & 0o777 == 0o600
    assert passphrase.read_text() not in said.getvalue()
    assert "hush" not in said.getvalue()
    assert "create Part part-0" in said.getvalue()


def test_an_up_may_read_the_real_resources_first(
    engine: Callable[..., Engine],
) -> None:
    """Also where there are none yet, and what is read is not a change."""
    assert engine().up(STACK, refresh=True).changes == {"create": 3}
    again = engine().up(STACK, refresh=True)
    assert again.changes == {"same": 3}
    assert again.steps == ()


def test_an_up_that_would_change_nothing_needs_no_engine(
    engine: Callable[..., Engine],
    checkout: Path,
    said: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    up = engine().up(STACK)
    assert up.changes == {"create": 3}
    with monkeypatch.context() as patched:
        patched.setattr(sessions, "open_stack", None)  # a call would fail
        again = engine().up(STACK, shortcut=True)
    assert again.changes == {"same": 3}
    assert again.outputs == up.outputs
    assert "3 resources compared directly, without the engine" in said.getvalue()
    change_count(checkout, 3)
    assert engine().up(STACK, shortcut=True).changes == {"create": 1, "same": 3}
    assert engine().destroy(STACK).changes == {"delete": 4}
    assert engine().up(STACK, shortcut=True).changes == {"create": 4}


def test_wrong_settings_are_found_before_the_engine_starts(
    engine: Callable[..., Engine], checkout: Path
) -> None:
    class Model(BaseModel):
        count: int
        other: int

    def wrong() -> None:
        Part("before")
        settings.parse(Model, config.read(), "stacks/config")

    with pytest.raises(settings.SettingsError, match="other"):
        engine(wrong).up(STACK)
    assert not (paths.state() / "pulumi").exists(), "the state was touched"


def test_a_kubeconfig_that_is_not_there_is_found_before_the_engine_starts(
    engine: Callable[..., Engine],
) -> None:
    nowhere = "/nowhere/kubeconfig"  # a path of the test's own may be cut, as long ones

    def run() -> None:
        kubernetes.Provider("cluster", kubeconfig=nowhere)

    with pytest.raises(settings.SettingsError) as error:
        engine(run).up(STACK)
    assert str(error.value) == (
        "stacks/config/Pulumi.models.tiny.yaml: 1 problem, nothing was touched\n"
        f"  cluster.kubeconfig: '{nowhere}'\n"
        f"    reason: there is no kubeconfig {nowhere}\n"
        "    fix: start the lab (slipway local up), or give another kubeconfig"
    )


def test_a_failing_program_says_what_is_left(engine: Callable[..., Engine]) -> None:
    runs: list[int] = []

    def fails() -> None:
        """Passes the check, and fails under the engine."""
        runs.append(1)
        Part("made")
        if len(runs) > 1:
            raise ValueError("out of luck")

    with pytest.raises(EngineError) as error:
        engine(fails).up(STACK)
    text = str(error.value)
    assert text.startswith(f"{STACK}: up failed after ")
    assert "out of luck" in text
    assert f"To go on where it stopped: slipway up {STACK}" in text
    assert engine(lambda: Part("made") and None).up(STACK).changes


def test_another_passphrase_is_explained(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine().up(STACK)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another one")
    with pytest.raises(EngineError) as error:
        engine().up(STACK)
    assert "The state was encrypted with another passphrase" in str(error.value)
    assert "another one" not in str(error.value)


def lock(pid: int, host: str) -> Path:
    backend = workspace.backend_folder()
    assert backend is not None
    folder = locks.folder(backend, "slipway", STACK)
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "pid": pid,
        "username": "somebody",
        "hostname": host,
        "timestamp": "2026-01-02T03:04:05Z",
    }
    (folder / "a-b-c.json").write_text(json.dumps(content))
    return folder / "a-b-c.json"


def test_the_lock_of_another_host_is_respected(engine: Callable[..., Engine]) -> None:
    held = lock(1, "elsewhere.example")
    with pytest.raises(EngineError, match="somebody@elsewhere"):
        engine().up(STACK)
    assert held.exists()


SCRIPT = """
import sys, time
from pathlib import Path
from rich.console import Console
from slipway.engine.engine import Engine
from tests.unit import test_engine

def slow():
    test_engine.program()
    if Path(sys.argv[2]).exists():
        Path(sys.argv[3]).touch()
        deadline = time.monotonic() + 60
        while not Path(sys.argv[4]).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    Path(sys.argv[2]).touch()

Engine(Console(), {"models.tiny": slow}, Path(sys.argv[1])).up("models.tiny")
"""


@pytest.fixture
def running(checkout: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """An `up` of another process that is in the middle of its program."""
    marks = tmp_path / "checked", tmp_path / "running", tmp_path / "go-on"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, checkout, *marks],
        cwd=paths.ROOT,
        env=os.environ | {"PYTHONPATH": str(paths.ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_until(lambda: marks[1].exists() or process.poll(), 60, "the program", 0.05)
    assert process.poll() is None, process.communicate()[0]
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_run_in_progress_is_respected_and_repaired_when_killed(
    engine: Callable[..., Engine], running: subprocess.Popen[str]
) -> None:
    with pytest.raises(EngineError, match="is being changed by another run"):
        engine().up(STACK)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert set(engine().up(STACK).changes) <= {"create", "same"}
    assert engine().up(STACK).changes == {"same": 3}
    # The lock was cleared by us, or by the orphaned engine if that noticed first.
    backend = workspace.backend_folder()
    assert backend is not None
    assert not list(locks.folder(backend, "slipway", STACK).glob("*.json"))


def test_a_run_that_is_asked_to_stop_stops(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    backend = workspace.backend_folder()
    assert backend is not None
    held = locks.folder(backend, "slipway", STACK)
    assert list(held.iterdir())
    running.send_signal(signal.SIGTERM)
    wait_until(lambda: not list(held.iterdir()), 60, "the engine to stop")
    (tmp_path / "go-on").touch()
    output, _ = running.communicate(timeout=60)
    assert "Stopping after the operations that run now" in output
    assert f"{STACK}: up was interrupted after" in output
    assert f"slipway up {STACK}" in output


def test_forget_leaves_no_state(engine: Callable[..., Engine], checkout: Path) -> None:
    engine().up(STACK)
    file = checkout / "stacks/config" / f"Pulumi.{STACK}.yaml"
    file.unlink()  # as where a killed run's checkout is gone
    engine().forget("tiny")
    assert not workspace.folder(STACK).exists()
    file.write_text(STACK_FILE)
    assert engine().up(STACK).changes == {"create": 3}
