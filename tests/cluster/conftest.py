"""The lab with both stacks up, as `make up` leaves it; shared by the whole tier."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from rich.console import Console

from tests.support.kube import Kube


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


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("the lab makes namespaces: it needs root on Linux")
    import lab
    from lab.settings import LabSettings
    from slipway import local

    was_up = any(host.init for host in lab.Lab().hosts())
    local.up(Console(stderr=True))
    settings = LabSettings.from_environment()
    yield Cluster(Kube(lab.Lab().kubeconfig), local.urls(settings), was_up)
    if not was_up:
        lab.Lab().down()
