"""The tables of the catalogue, the add-ons and the images agree with each other."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from datetime import date

import pytest
import yaml

from components import catalog
from components.cluster import addon_versions, kubernetes_support
from components.cluster.nodes import amis, driver_checks
from components.cluster.nodes.reserved_pool import ReservedPool
from slipway.catalog import describe, published
from tests.support import pools
from toolchain import paths
from toolchain.errors import OperatorError

DAY = date(2026, 11, 28)
"""The day on which the tables were last looked over."""
TYPES = catalog.instance_types()
ACCELERATED = re.compile(r"(p|g|gr|trn|inf|dl|dl2q|vt|f)\d.*")


def _stack_versions() -> dict[str, str]:
    found = {}
    for path in sorted((paths.ROOT / "stacks" / "config").glob("Pulumi.cluster.*")):
        settings = yaml.safe_load(path.read_text())["config"]
        found[path.name] = settings["slipway:cluster"]["version"]
    return found


def test_every_pinned_version_is_in_the_table_of_support() -> None:
    known = set(catalog.kubernetes_versions())
    assert set(addon_versions.PINNED) <= known
    assert set(amis.lock().release_versions) <= known


def test_every_offered_version_has_addons_and_images() -> None:
    offered = set(kubernetes_support.offered(DAY))
    assert offered == {"1.35", "1.36"}
    assert offered <= set(addon_versions.PINNED)
    assert offered <= set(amis.lock().release_versions)


def test_a_version_about_to_leave_is_taken_and_not_offered() -> None:
    assert "1.34" in kubernetes_support.supported(DAY)
    (problem,) = kubernetes_support.problems("1.99", extended_support=False, day=DAY)
    assert "give one of 1.35, 1.36" in problem.fix


@pytest.mark.parametrize("name", _stack_versions())
def test_a_stack_of_ours_begins_with_60_days_of_standard_support(name: str) -> None:
    assert _stack_versions()[name] in kubernetes_support.offered(DAY)


def test_1_36_is_general_since_june() -> None:
    found = catalog.kubernetes_version("1.36")
    assert found.standard_until == date(2027, 8, 2)
    assert not list(
        kubernetes_support.problems("1.36", extended_support=False, day=DAY)
    )


@pytest.fixture(scope="module")
def bandwidths() -> dict[str, float]:
    try:
        return published.bandwidths()
    except (OperatorError, OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"the pinned packages cannot be had here: {error}")


def test_every_accelerated_family_is_there_or_left_out_with_a_reason(
    bandwidths: dict[str, float],
) -> None:
    known = {name.partition(".")[0] for name in bandwidths}
    accelerated = {family for family in known if ACCELERATED.fullmatch(family)}
    ours = {t.family for t in TYPES}
    assert len(accelerated) > 25
    assert accelerated - ours == set(catalog.left_out())
    assert not ours & set(catalog.left_out())


def test_bandwidths_are_those_of_a_second_source(bandwidths: dict[str, float]) -> None:
    accelerated = [t for t in TYPES if t.gpu or t.neuron]
    assert len(accelerated) > 60
    assert {
        t.name: t.network_gbps
        for t in accelerated
        if t.network_gbps != pytest.approx(bandwidths[t.name], abs=0.001)
    } == {}


@pytest.mark.parametrize(
    ("name", "gbps"),
    [
        ("g6e.48xlarge", 400),
        ("p6-b200.48xlarge", 3200),
        ("p6-b300.48xlarge", 6400),
        ("trn2.3xlarge", 200),
        ("p4d.24xlarge", 400),
        ("c6in.32xlarge", 200),
        ("g5.xlarge", 2.5),
    ],
)
def test_a_bandwidth_is_the_types_own(name: str, gbps: float) -> None:
    assert catalog.instance_type(name).network_gbps == gbps


@pytest.mark.parametrize(
    ("own", "cards", "gbps"),
    [
        ("400 Gigabit", [400.0] * 4, 400),
        ("4x 100 Gigabit", [100.0] * 4, 400),
        ("Up to 12.5 Gigabit", [3.125], 3.125),
        ("12.5 Gigabit", [12.5], 12.5),
        ("Moderate", [0.3], 0.3),
    ],
)
def test_what_lasts_is_read_of_a_description(
    own: str, cards: list[float], gbps: float
) -> None:
    network = {"NetworkPerformance": own}
    found = describe._gbps(network, [{"BaselineBandwidthInGbps": c} for c in cards])
    assert found == gbps


MEMORY_GIB = {
    "Trainium": 32,
    "Trainium2": 96,
    "Inferentia": 8,
    "Inferentia2": 32,
}
"""Of a chip, from AWS's pages of the families."""
WHOLE_GPU_MIB = {"L4": 22888}


def test_totals_are_counts_times_a_known_part() -> None:
    for found in TYPES:
        if found.neuron:
            assert found.neuron.memory == MEMORY_GIB[found.neuron.model] * 1024
        if found.gpu and found.gpu.partition < 1:
            whole = WHOLE_GPU_MIB[found.gpu.model]
            assert found.gpu.memory == int(whole * found.gpu.partition), found.name


@pytest.mark.parametrize(
    ("model", "driver"),
    [
        ("A100", "450.80.02"),
        ("H100", "525.85.12"),
        ("H200", "550.90.07"),
        ("B200", "570.133.20"),
        ("B300", "580.82.07"),
        ("RTX PRO 4500", "575.64"),
    ],
)
def test_the_least_driver_for_mig(model: str, driver: str) -> None:
    assert catalog.accelerator(model).minimum_driver == driver


def test_what_can_be_cut_says_which_driver_cuts_it() -> None:
    for found in catalog.accelerators().values():
        assert bool(found.mig_profiles) == bool(found.minimum_driver), found.model


def _with_driver(monkeypatch: pytest.MonkeyPatch, driver: str) -> None:
    lock = amis.lock()
    key = "al2023-x86_64-nvidia"
    image = dataclasses.replace(lock.images[key], driver=driver)
    changed = dataclasses.replace(lock, images={**lock.images, key: image})
    monkeypatch.setattr(amis, "lock", lambda: changed)


def _pool(**change: object) -> ReservedPool:
    return ReservedPool.model_validate({**pools.H100, **change})


MIG = {"gpu": {"mode": "mig", "mig_profile": "3g.40gb"}}


def test_mig_with_an_older_driver_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    types = [catalog.instance_type("p5.48xlarge")]
    pool = _pool(**MIG)
    assert list(driver_checks.problems(pool, types)) == []
    _with_driver(monkeypatch, "525.85.11")
    (problem,) = driver_checks.problems(pool, types)
    assert problem.path == "gpu.mode"
    assert "driver 525.85.11" in problem.reason
    assert "525.85.12" in problem.reason
    assert list(driver_checks.problems(_pool(), types)) == []


def test_a_pair_known_as_bad_is_refused_with_its_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (p6e,) = (bad for bad in catalog.known_bad() if "p6e-gb200" in bad.families)
    types = [catalog.instance_type("p5.48xlarge")]
    monkeypatch.setattr(
        catalog, "known_bad", lambda: (dataclasses.replace(p6e, families=("p5",)),)
    )
    pool = _pool(efa=True)
    assert list(driver_checks.problems(pool, types)) == []
    _with_driver(monkeypatch, "595.91.07")
    (problem,) = driver_checks.problems(pool, types)
    assert problem.path == "efa"
    assert p6e.source in problem.reason
    assert "580" in problem.fix
    assert list(driver_checks.problems(_pool(efa=False), types)) == []
    _with_driver(monkeypatch, "59.5.1")
    assert list(driver_checks.problems(pool, types)) == []
