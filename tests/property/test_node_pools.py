"""Whatever pool the settings accept can work: its nodes fit, and its pods onto them."""

from __future__ import annotations

import email
import functools
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from components import catalog
from components.catalog import InstanceType
from components.cluster.nodes import amis, node_capacity, pool_nodes, user_data
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.launch_template import interfaces
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.pool_places import parts
from components.cluster.nodes.pool_reach import most_nodes, reach
from components.cluster.nodes.reserved_pool import ReservedPool
from components.platform import karpenter, node_pools
from components.settings import SettingsError
from slipway.doctor import quantity
from tests.support import pools, schemas

Config = dict[str, Any]
MANY = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
FAMILIES: dict[tuple[str, str | None], list[InstanceType]] = {}
for one in catalog.instance_types():
    FAMILIES.setdefault((one.architecture, node_capacity.accelerator(one)), []).append(
        one
    )
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,30}[a-z0-9])?", fullmatch=True)
TAINT = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["team", "example.com/only", "a.b-c/d_e"]),
        "effect": st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"]),
    },
    optional={"value": st.sampled_from(["", "a", "B-2"])},
)


@functools.cache
def crds() -> dict[str, Any]:
    """Karpenter's definitions by kind."""
    return {crd["spec"]["names"]["kind"]: crd for crd in karpenter.definitions()}


@st.composite
def layout(draw: Any, types: list[InstanceType]) -> Config:
    modes = ["whole", "time_slicing"]
    profiles = []
    if (gpu := types[0].gpu) and (
        profiles := [p.name for p in catalog.accelerator(gpu.model).mig_profiles]
    ):
        modes.append("mig")
    mode = draw(st.sampled_from(modes))
    if mode == "mig":
        return {"mode": mode, "mig_profile": draw(st.sampled_from(profiles))}
    if mode == "time_slicing":
        return {"mode": mode, "replicas": draw(st.integers(2, 48))}
    return {"mode": mode}


@st.composite
def common(draw: Any, types: list[InstanceType]) -> Config:
    disk = draw(st.integers(20, 16_384))
    room = min(node_capacity.content_gib(t, disk) for t in types)
    assume(room >= 1)
    found = {
        "instance_types": [t.name for t in types],
        "disk_gib": disk,
        "content_gib": draw(st.integers(1, min(room, 100_000))),
        "taints": draw(
            st.lists(TAINT, max_size=3, unique_by=lambda t: (t["key"], t["effect"]))
        ),
        "labels": draw(st.dictionaries(st.just("example.com/team"), st.just("a"))),
        "zones": draw(st.lists(st.sampled_from(pools.ZONES), max_size=2, unique=True)),
    }
    if types[0].gpu:
        found["gpu"] = draw(layout(types))
    if draw(st.booleans()):
        most = min(node_capacity.admitted_pods(t) for t in types)
        found["max_pods"] = draw(st.integers(8, min(most, 737)))
    return found


@st.composite
def family(draw: Any) -> list[InstanceType]:
    """Some types of one architecture and accelerator."""
    found = FAMILIES[draw(st.sampled_from(sorted(FAMILIES, key=str)))]
    chosen: list[InstanceType] = draw(
        st.lists(st.sampled_from(found), min_size=1, max_size=4, unique=True)
    )
    return chosen


@st.composite
def elastic(draw: Any) -> Config:
    types = draw(family())
    found = draw(common(types))
    ladder = draw(
        st.sets(st.sampled_from(["reserved", "spot", "on-demand"]), min_size=1)
    )
    found["capacity"] = [c for c in ("reserved", "spot", "on-demand") if c in ladder]
    if "reserved" in ladder:
        found["reservations"] = [pools.RESERVATION]
    counts = [node_capacity.devices(t) for t in types]
    if counts[0]:
        # Around the bound, so that some are refused.
        step = math.gcd(*counts)
        found["max_gpus"] = step * draw(st.integers(1, 200))
    else:
        found["max_nodes"] = draw(st.integers(1, 5000))
    found["model_load_seconds"] = draw(st.integers(0, 7200))
    return {"kind": "elastic", **found}


@st.composite
def reserved(draw: Any) -> Config:
    types = draw(family())
    most = draw(st.integers(1, 450))
    found = {
        **draw(common(types)),
        "min_nodes": draw(st.integers(0, most)),
        "max_nodes": most,
    }
    for name in ("efa", "placement_group"):
        found[name] = draw(st.sampled_from([None, None, True, False]))
    if len(types) == 1 and draw(st.booleans()):
        held = draw(st.sampled_from([pools.HELD, pools.BLOCK]))
        found["reservation"] = {**held, "instances": most}
        found["zones"] = []
    return {"kind": "reserved", **found}


def accepted(config: Config) -> NodePoolBase:
    """The pool, if the settings accept it."""
    try:
        return pools.pool(config)
    except SettingsError as error:
        event(f"refused: {error.problems[0].path.rpartition('.')[2]}")
        assume(condition=False)
        raise


def capacity(pool: ElasticPool, t: InstanceType) -> dict[str, Decimal]:
    """What Karpenter counts of one node."""
    found = {
        "cpu": Decimal(t.vcpus),
        "memory": Decimal(t.memory * 2**20),
        "nodes": Decimal(1),
    }
    if name := pool_nodes.resource(pool):
        found[name] = Decimal(pool_nodes.resource_count(pool, t))
    return found


def tolerated(taint: pool_nodes.NodeTaint, tolerations: list[Config]) -> bool:
    """As the scheduler decides it."""
    return any(
        one["key"] == taint.key
        and one.get("effect") in (None, taint.effect)
        and (one["operator"] == "Exists" or one["value"] == taint.value)
        for one in tolerations
    )


def within(
    limits: Mapping[str, str], wanted: Mapping[str, Decimal], times: int
) -> bool:
    """Whether so many nodes are within all limits."""
    return all(
        wanted.get(name, Decimal(0)) * times <= quantity.parse(limit)
        for name, limit in limits.items()
    )


@MANY
@given(elastic())
def test_the_limits_admit_each_type_up_to_the_bound_and_no_further(
    config: Config,
) -> None:
    pool = accepted(config)
    assert isinstance(pool, ElasticPool)
    limits = node_pools.limits(pool)
    for t in pool_nodes.types(pool):
        most = most_nodes(pool, t.name)
        assert most >= 1
        assert within(limits, capacity(pool, t), most)
        assert not within(limits, capacity(pool, t), most + 1)


@MANY
@given(elastic(), NAMES)
def test_karpenter_takes_what_is_rendered(config: Config, name: str) -> None:
    pool = accepted(config)
    assert isinstance(pool, ElasticPool)
    found = node_pools.rendered(name, pool, pools.KARPENTER)
    for manifest in found:
        assert schemas.crd_problems(manifest, crds()[manifest["kind"]]) == []
    after = found[1]["spec"]["disruption"]["consolidateAfter"]
    assert int(after.rstrip("s")) >= pool.model_load_seconds


@MANY
@given(st.one_of(elastic(), reserved()), NAMES)
def test_who_asks_for_a_pool_gets_onto_its_nodes(config: Config, name: str) -> None:
    pool = accepted(config)
    asked = pool_nodes.placement(name, pool)
    labels = pool_nodes.labels(name, pool)
    assert asked.node_selector.items() <= labels.items()
    for taint in pool_nodes.taints(pool):
        assert tolerated(taint, asked.tolerations)
    for t in pool_nodes.types(pool):
        if node_capacity.devices(t):
            # A pod that asks for nothing must not get onto it.
            assert any(x.effect == "NoSchedule" for x in pool_nodes.taints(pool))
            assert asked.resources[t.name] >= 1
        assert pool_nodes.max_pods(pool) <= node_capacity.admitted_pods(t)
        assert node_capacity.content_gib(t, pool.disk_gib) >= pool.content_gib


@MANY
@given(st.one_of(elastic(), reserved()))
def test_each_type_can_be_had_with_an_image_that_drives_it(config: Config) -> None:
    pool = accepted(config)
    image = amis.lock().image(pool_nodes.ami(pool))
    for t, might in zip(pool_nodes.types(pool), reach(pool), strict=True):
        assert might.nodes_max >= max(1, might.nodes_min)
        assert image.architecture == t.architecture
        assert image.accelerator == node_capacity.driver_kind(t)
        if t.gpu and (least := catalog.accelerator(t.gpu.model).minimum_driver):
            assert parts(image.driver or "") >= parts(least)


@MANY
@given(reserved())
def test_a_template_fits_the_types_network_cards(config: Config) -> None:
    pool = accepted(config)
    assert isinstance(pool, ReservedPool)
    found = interfaces(pool, "sg-1")
    assert found[0]["device_index"] == 0
    for t in pool_nodes.types(pool):
        assert len(found) <= t.network_cards
        adapters = [i for i in found if "efa" in i.get("interface_type", "")]
        assert len(adapters) <= t.efa_interfaces
    zones = pool_nodes.zones(pool, pools.ZONES)
    if pool_nodes.own_placement_group(pool, pools.ZONES):
        assert len(zones) == 1 or pool.placement_group
    if pool.reservation:
        assert zones == (pool.reservation.zone,)


@MANY
@given(st.one_of(elastic(), reserved()))
def test_user_data_is_readable(config: Config) -> None:
    text = user_data.managed(accepted(config))
    message = email.message_from_string(text)
    assert message.is_multipart()
    assert not message.defects
