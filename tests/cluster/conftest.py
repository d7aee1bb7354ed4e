"""The lab with both stacks up, as `make up` leaves it; shared by the whole tier."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from rich.console import Console

from tests.support import own_stack
from tests.support.kube import Kube
from toolchain import paths


@dataclass(frozen=True)
class Cluster:
    """The running lab: its API server and its addresses on loopback."""

    kube: Kube
    urls: dict[str, str]
    was_up: bool
    """Whether it ran before the tests, so that they leave it as they found it."""

    @property
    def infer(self) -> str:
        return self.urls["gateway"] + "/employment/v1/infer"


@contextmanager
def alone() -> Iterator[None]:
    """One run of these tests at a time, in a lab that no killed run has left.

    Such a run leaves what its tests did for a while: stacks of their own, Prometheus
    at no replica. No test could say whether that is its own doing.
    """
    import lab
    from slipway.engine.engine import Engine

    path = paths.state() / "cluster-tests.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.fail("another run of these tests uses the lab: wait until it ends")
        lock.seek(0)
        if lock.read():
            print("A killed run of these tests left the lab: it is made anew.")
            lab.Lab().wipe()
            Engine().forget("lab")
            own_stack.forget_all()
        else:
            lock.write(f"{os.getpid()}\n")
            lock.flush()
        yield
        lock.truncate(0)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("the lab makes namespaces: it needs root on Linux")
    import lab
    from lab.settings import LabSettings
    from slipway.local import command as local

    was_up = any(host.init for host in lab.Lab().hosts())
    with alone():
        local.up(Console(stderr=True))
        settings = LabSettings.from_environment()
        yield Cluster(Kube(lab.Lab().kubeconfig), local.urls(settings), was_up)
    if not was_up:
        lab.Lab().down()
