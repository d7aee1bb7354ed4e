"""AWS emulators as processes of their own, in an environment of their own.

moto plays every service but EKS, which ministack plays: it has the add-ons, access
entries and pod identities that moto lacks. Both listen on 127.0.0.1 only. The
environment has no Docker client, without which neither can start a container.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolchain import own_venv, paths

REQUIREMENTS = paths.ROOT / "tests" / "emulator" / "requirements-emulators.txt"
HOST = "127.0.0.1"
START_SECONDS = 300
STOP_SECONDS = 10

RUN = """
import ctypes, runpy, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs a module that ends with the test run, however that ends."""


@dataclass(frozen=True)
class Endpoints:
    """Where the emulators of one account listen."""

    account: str
    """Number of the account, 12 digits."""
    moto: str
    ministack: str


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


@contextmanager
def _process(
    name: str, arguments: list[str], port: int, environment: dict[str, str], log: Path
) -> Iterator[None]:
    """Run an emulator until the block ends; show its output if it fails."""
    with tempfile.TemporaryDirectory(prefix=f"slipway-{name}-") as folder:
        # Nothing of the user's: no credentials, no proxy, no Docker socket by a name.
        clean = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": folder,
            "TMPDIR": folder,
            "DOCKER_HOST": "unix:///nonexistent",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(own_venv.python(REQUIREMENTS)), "-c", RUN, *arguments],
                cwd=folder,
                env=clean | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} did not start: {log.read_text()}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def running(account: str, region: str, logs: Path) -> Iterator[Endpoints]:
    """Both emulators, empty, playing one account; they log into the folder `logs`."""
    moto, ministack = _free_port(), _free_port()
    with ExitStack() as stack:
        stack.enter_context(
            _process(
                "moto",
                ["moto.server", "--host", HOST, "--port", str(moto)],
                moto,
                {
                    "MOTO_ACCOUNT_ID": account,
                    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
                    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
                },
                logs / "moto.log",
            )
        )
        stack.enter_context(
            _process(
                "ministack",
                ["ministack"],
                ministack,
                {
                    "BIND_HOST": HOST,
                    "GATEWAY_PORT": str(ministack),
                    "MINISTACK_ACCOUNT_ID": account,
                    "MINISTACK_REGION": region,
                },
                logs / "ministack.log",
            )
        )
        yield Endpoints(account, f"http://{HOST}:{moto}", f"http://{HOST}:{ministack}")
