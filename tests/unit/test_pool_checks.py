"""Checks of pools that today's catalogue and lock have no case for."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from components import catalog
from components.cluster.nodes import amis, pool_places
from components.cluster.nodes.pool_places import Place
from components.cluster.nodes.pool_reach import Reach, reach
from components.settings import SettingsError
from tests.support import pools

PLACE = Place(region="eu-central-1", zones=pools.ZONES, version="1.34")
SYSTEM = pools.pool(pools.SYSTEM)


def with_type(monkeypatch: pytest.MonkeyPatch, **change: Any) -> None:
    """g6.xlarge is another than it is."""
    real = catalog.instance_type

    def changed(name: str) -> catalog.InstanceType:
        found = real(name)
        return dataclasses.replace(found, **change) if name == "g6.xlarge" else found

    monkeypatch.setattr(catalog, "instance_type", changed)


def refused(config: dict[str, Any]) -> list[tuple[str, str]]:
    """Path below the pool and reason of each problem."""
    with pytest.raises(SettingsError) as caught:
        pools.pool(config)
    found = caught.value.problems
    return [(p.path.removeprefix("pools.gpu."), p.reason) for p in found]


def test_gpus_of_others_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = catalog.instance_type("g6.xlarge").gpu
    assert gpu
    other = dataclasses.replace(gpu, manufacturer="AMD")
    with_type(monkeypatch, gpu=other)
    ((path, reason),) = refused(pools.ELASTIC)
    assert path == "instance_types.0"
    assert "AMD's" in reason


def test_what_is_not_sold_as_spot_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with_type(monkeypatch, usage_classes=("on-demand",))
    assert refused(pools.ELASTIC) == [
        ("capacity", "g6.xlarge is not sold as spot, only as on-demand")
    ]


def test_a_type_of_blocks_alone_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with_type(monkeypatch, usage_classes=("capacity-block",))
    config = {**pools.H100, "instance_types": ["g6.xlarge"]}
    ((path, reason),) = refused(config)
    assert (path, "capacity block only" in reason) == ("reservation", True)
    assert pools.pool({**config, "reservation": pools.BLOCK})


def test_a_driver_that_does_not_know_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = amis.lock()
    old = {k: dataclasses.replace(i, driver="470.9") for k, i in lock.images.items()}
    monkeypatch.setattr(amis, "lock", lambda: dataclasses.replace(lock, images=old))
    held = {**pools.H100, "reservation": pools.HELD}
    chosen = {"system": SYSTEM, "gpu": pools.pool(held)}
    (problem,) = pool_places.problems(chosen, PLACE)
    assert problem.path == "pools.gpu.instance_types.0"
    assert "al2023-x86_64-nvidia has 470.9" in problem.reason


def test_every_gpu_of_the_catalogue_is_known_to_the_locks_driver() -> None:
    """A new generation needs a newer lock, not a node that never gets ready."""
    images = amis.lock().images
    for t in catalog.instance_types():
        if t.gpu is None:
            continue
        image = images[amis.key_for(t.architecture, "nvidia")]
        least = catalog.accelerator(t.gpu.model).minimum_driver
        if least:
            assert pool_places.parts(image.driver or "") >= pool_places.parts(least), t


def test_a_version_without_a_release_is_refused() -> None:
    place = dataclasses.replace(PLACE, version="1.29")
    (problem,) = pool_places.problems({"system": SYSTEM}, place)
    assert problem.path == "cluster.version"


def test_a_release_is_never_the_latest() -> None:
    lock = amis.lock()
    assert lock.source.startswith("https://github.com/awslabs/amazon-eks-ami/")
    assert lock.tag == f"v{lock.released:%Y%m%d}"
    for version, release in lock.release_versions.items():
        assert release.startswith(f"{version}.")
        assert release.endswith(f"-{lock.released:%Y%m%d}")
    for image in lock.images.values():
        assert (image.driver is None) == (image.accelerator == "none")


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (pools.SYSTEM, [Reach("m7i.large", 2, 4, ("on-demand",))]),
        (pools.H100, [Reach("p5.48xlarge", 2, 2, ("on-demand",))]),
        (
            {**pools.H100, "reservation": pools.HELD},
            [Reach("p5.48xlarge", 2, 2, ("reserved",))],
        ),
        (
            {**pools.H100, "reservation": pools.BLOCK},
            [Reach("p5.48xlarge", 2, 2, ("capacity-block",))],
        ),
        (
            {
                **pools.ELASTIC,
                "instance_types": ["g6.xlarge", "g6.12xlarge"],
                "max_gpus": 10,
            },
            [
                Reach("g6.xlarge", 0, 10, ("spot", "on-demand")),
                Reach("g6.12xlarge", 0, 2, ("spot", "on-demand")),
            ],
        ),
        (
            {**pools.SYSTEM, "instance_types": ["m7i.large", "m7i.xlarge"]},
            [
                Reach("m7i.large", 2, 4, ("on-demand",)),
                Reach("m7i.xlarge", 0, 4, ("on-demand",)),
            ],
        ),
    ],
)
def test_reach(config: dict[str, Any], wanted: list[Reach]) -> None:
    assert reach(pools.pool(config)) == wanted
