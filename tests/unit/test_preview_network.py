"""The processes that render have no network, or the report says that they had one."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from slipway.preview import child, comparison, rendering, sources
from slipway.preview.sides import Side
from stacks import files
from toolchain.errors import OperatorError

STACK = "models.mine"
PROGRAM = """
import json, os, pathlib, socket, types

def attempt(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"

def render(stack):
    for file in pathlib.Path.home().parent.glob("*.*"):
        file.unlink()
    for descriptor in range(3, 32):
        attempt(lambda: os.write(descriptor, b"forged"))
    own = socket.create_server(("127.0.0.1", 0))
    pathlib.Path({seen!r}).write_text(json.dumps({{
        "port": attempt(lambda: socket.create_connection(("127.0.0.1", {port}), 5)),
        "own": attempt(lambda: socket.create_connection(own.getsockname(), 5)),
        "back": attempt(lambda: os.close(os.open("/proc/%d/ns/net" % os.getppid(), 0))),
        "user": os.getuid(),
        "network": os.readlink("/proc/self/ns/net"),
    }}))
    return types.SimpleNamespace(resources=[])
"""


def permitted() -> bool:
    """Whether the kernel lets this user make namespaces, tried in a fork."""
    process = os.fork()
    if process == 0:
        os._exit(1 if child.without_network() else 0)
    return os.waitpid(process, 0)[1] == 0


@pytest.fixture
def side(tmp_path: Path) -> Side:
    """A checkout whose renderer connects to a port of this machine's loopback."""
    root = tmp_path / "head"
    (root / "slipway" / "rendering").mkdir(parents=True)
    (root / files.CONFIG_FOLDER).mkdir(parents=True)
    (root / "Pulumi.yaml").write_text("name: mine\n")
    files.path(STACK, root).write_text("config: {}\n")
    return Side("head", root)


def rendered(side: Side, tmp_path: Path) -> dict[str, Any]:
    seen = tmp_path / "seen.json"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = PROGRAM.format(seen=str(seen), port=port)
        (side.folder / "slipway" / "rendering" / "render.py").write_text(program)
        lock = tmp_path / "images.lock"
        lock.write_text("{}")
        done = rendering.render([(side, [STACK])], [lock], tmp_path / "work")
    assert done.graphs == [{STACK: ()}]
    found: dict[str, Any] = json.loads(seen.read_text())
    return found | {"told": done.networked}


def test_code_of_a_side_reaches_nothing_on_this_machine(
    side: Side, tmp_path: Path
) -> None:
    if not permitted():
        pytest.skip("the kernel does not permit user namespaces here")
    before = Path("/proc/self/ns/net").readlink()
    found = rendered(side, tmp_path)
    assert (found["port"], found["own"]) == ("ConnectionRefusedError", "done")
    assert found["back"] == "PermissionError"
    assert found["user"] == os.getuid()
    assert found["network"] != str(before)
    assert found["told"] == ""
    assert Path("/proc/self/ns/net").readlink() == before


def test_without_namespaces_the_report_says_so(
    side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the side's code deletes what the process wrote before."""
    program = tmp_path / "renderer.py"
    text = Path(child.__file__).read_text()
    flags = "_NEW_USER | _NEW_NET"
    assert flags in text
    program.write_text(text.replace(flags, "-1"))  # no such flags: EINVAL
    monkeypatch.setattr(child, "__file__", str(program))
    found = rendered(side, tmp_path)
    assert (found["port"], found["told"]) == (
        "done",
        "[Errno 22] unshare: Invalid argument",
    )
    locks = (tmp_path / "images.lock",) * 2
    report = comparison.compare(side, side, [STACK], locks, tmp_path / "other")
    assert report.notes[-1] == (
        "The code that was rendered, head's among it, had this machine's network: "
        "`[Errno 22] unshare: Invalid argument`."
    )


def test_another_system_keeps_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert child.without_network() == "darwin has no namespaces"


def test_this_process_keeps_its_network_if_the_trial_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def enter() -> None:
        raise OSError(1, "unshare: not here")

    monkeypatch.setattr(child, "_enter", enter)
    assert child.without_network() == "[Errno 1] unshare: not here"


FROM_CACHE = """
import os, pathlib, types

def render(stack):
    cache = pathlib.Path(os.environ["XDG_CACHE_HOME"], "slipway", "packages")
    if not (cache / "chart-v1").is_dir():
        raise ValueError(f"{stack}: no chart")
    return types.SimpleNamespace(resources=[])
"""


@pytest.mark.parametrize(
    ("case", "begun"),
    [(("platform.mine", True), 2), (("platform.mine", False), 1), ((STACK, True), 1)],
)
def test_the_caller_fetches_what_a_platform_stack_lacks(
    case: tuple[str, bool],
    begun: int,
    side: Side,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The renderer cannot, without a network and the caller's GOPROXY."""
    stack, is_had = case
    packages = tmp_path / "cache" / "slipway" / "packages"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (side.folder / "slipway" / "rendering" / "render.py").write_text(FROM_CACHE)
    starts: list[Path] = []
    start = rendering._start

    def counted(one: Side, stacks: Any, lock: Path, folder: Path, pipes: Any) -> Any:
        starts.append(folder)
        return start(one, stacks, lock, folder, pipes)

    def fetch() -> None:
        packages.mkdir(parents=True)
        (packages / "lock").touch()
        if not is_had:
            raise OperatorError("no module proxy gave it")
        (packages / "chart-v1").mkdir()

    monkeypatch.setattr(rendering, "_start", counted)
    monkeypatch.setattr(sources, "FETCHES", (fetch,))
    (tmp_path / "work").mkdir()
    given = [(side, [stack])], [None], tmp_path / "work"
    if begun == 2:
        assert rendering.render(*given).graphs == [{stack: ()}]
    else:
        with pytest.raises(rendering.RenderError, match="no chart"):
            rendering.render(*given)
    assert len(starts) == begun
