"""Floor and ceiling of a cluster's cost; an unknown price is said and never 0."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from components import catalog
from components.cluster.settings import ClusterSettings
from components.settings import parse
from slipway import stack_settings
from slipway.cost.command import command
from slipway.cost.estimate import HOURS_PER_MONTH, Estimate, estimate
from toolchain import paths

STACKS = ("cluster.dev", "cluster.prod")


def of(stack: str) -> Estimate:
    return estimate(stack, stack_settings.load(stack, ClusterSettings))


def lines(found: Estimate) -> dict[str, Any]:
    return {line.name: line for line in found.lines}


def hourly(name: str) -> float:
    price = catalog.price(name, "us-east-1")
    assert price
    return price.usd_per_hour


def changed(**account: Any) -> ClusterSettings:
    """cluster.dev, elsewhere."""
    raw = stack_settings.load("cluster.dev", ClusterSettings).model_dump(mode="json")
    region = account["region"]
    text = json.dumps(raw).replace("us-east-1", region)
    return parse(ClusterSettings, json.loads(text), "test")


def test_a_pool_costs_its_nodes_at_the_dearest_type() -> None:
    found = lines(of("cluster.dev"))
    assert found["system"].floor.usd_per_hour == pytest.approx(2 * hourly("m7a.large"))
    gpu = found["gpu"]
    assert gpu.floor.usd_per_hour == 0
    assert gpu.ceiling.usd_per_hour == pytest.approx(4 * hourly("g6.4xlarge"))
    assert "spot" in gpu.note


def with_pool(name: str, **change: Any) -> dict[str, Any]:
    """Lines of cluster.prod with something else said of a pool."""
    raw = stack_settings.load("cluster.prod", ClusterSettings).model_dump(mode="json")
    raw["pools"][name] |= change
    return lines(estimate("cluster.prod", parse(ClusterSettings, raw, "test")))


def test_what_is_reserved_is_paid_whether_used_or_not() -> None:
    held = stack_settings.load("cluster.prod", ClusterSettings).pools["h100"]
    reservation = held.model_dump(mode="json")["reservation"] | {"instances": 5}
    h100 = with_pool("h100", min_nodes=0, reservation=reservation)["h100"]
    assert h100.floor == h100.ceiling
    assert h100.floor.usd_per_hour == pytest.approx(5 * hourly("p5.48xlarge"))
    assert h100.what == "0 to 2 nodes of p5.48xlarge out of 5 reserved"


def test_unused_reservations_of_unknown_size_make_the_floor_a_least() -> None:
    l40s = lines(of("cluster.prod"))["l40s"]
    (unknown,) = l40s.floor.unknown
    assert "cr-0fedcba9876543210" in unknown
    assert not l40s.ceiling.unknown
    without = with_pool("l40s", reservations=[], capacity=["spot"])["l40s"]
    assert not without.floor.unknown
    shown = CliRunner().invoke(command, ["cluster.prod"]).output
    assert "Not in the floor: reservations of l40s" in " ".join(shown.split())
    assert f"≥ {of('cluster.prod').floor.usd_per_hour:,.3f} to" in shown


@pytest.mark.parametrize("stack", STACKS)
def test_the_sum_is_that_of_the_lines(stack: str) -> None:
    found = of(stack)
    floor = sum(line.floor.usd_per_hour for line in found.lines)
    ceiling = sum(line.ceiling.usd_per_hour for line in found.lines)
    assert found.floor.usd_per_hour == pytest.approx(floor)
    assert found.ceiling.usd_per_hour == pytest.approx(ceiling)
    assert found.ceiling.usd_per_month == pytest.approx(ceiling * HOURS_PER_MONTH)
    assert found.floor.usd_per_hour <= found.ceiling.usd_per_hour
    assert not found.ceiling.unknown


def test_gateways_and_endpoints_are_counted_by_zone() -> None:
    dev, prod = lines(of("cluster.dev")), lines(of("cluster.prod"))
    ratio = prod["NAT"].floor.usd_per_hour / dev["NAT"].floor.usd_per_hour
    assert ratio == pytest.approx(3)
    assert "endpoints" not in dev, "a gateway endpoint is free"
    assert prod["endpoints"].floor.usd_per_hour > 0


def test_a_price_that_is_not_known_is_said() -> None:
    found = estimate("cluster.dev", changed(region="us-west-2"))
    assert found.floor.usd_per_hour == 0
    unknown = " ".join(found.ceiling.unknown)
    for what in ("m7a.large", "g6.4xlarge", "control plane", "NAT"):
        assert what in unknown
    assert found.floor.unknown


def test_hosts_on_premises_are_billed_by_their_size_which_is_not_known() -> None:
    raw = stack_settings.load("cluster.prod", ClusterSettings).model_dump(mode="json")
    ranges = {"node_cidrs": ["10.80.0.0/16"], "pod_cidrs": ["10.81.0.0/16"]}
    raw["cluster"]["hybrid_nodes"] = ranges
    found = estimate("cluster.prod", parse(ClusterSettings, raw, "test"))
    assert "hybrid nodes" in " ".join(found.ceiling.unknown)
    assert found.floor.unknown
    assert "hybrid nodes" not in lines(of("cluster.prod"))


def test_support_past_its_standard_end_costs_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = lines(of("cluster.dev"))["control plane"].floor.usd_per_hour
    settings = stack_settings.load("cluster.dev", ClusterSettings)
    end = catalog.kubernetes_version(settings.cluster.version).standard_until
    monkeypatch.setenv("SLIPWAY_TODAY", end.isoformat())
    after = lines(estimate("cluster.dev", settings))["control plane"]
    assert after.floor.usd_per_hour == pytest.approx(6 * before)


def test_the_command_prints_tables_and_json() -> None:
    run = CliRunner().invoke
    shown = run(command, list(STACKS))
    assert shown.exit_code == 0, shown.output
    assert "cluster.dev in us-east-1" in shown.output
    total = of("cluster.dev")
    ends = (total.floor.usd_per_hour, total.ceiling.usd_per_hour)
    assert "{:,.3f} to {:,.3f}".format(*ends) in shown.output
    assert all(str(day) in shown.output for _, day in of("cluster.dev").sources)
    printed = json.loads(run(command, ["cluster.prod", "--json"]).output)[0]
    assert printed["floor"]["usd_per_hour"] == round(
        of("cluster.prod").floor.usd_per_hour, 4
    )
    assert printed["ceiling"]["at_least"] is False
    wrong = run(command, ["models.lab"])
    assert wrong.exit_code == 2
    assert "only stacks of the layer cluster" in wrong.output


def test_the_page_shows_what_is_printed() -> None:
    page = (paths.ROOT / "docs" / "how-to" / "cost.md").read_text()
    shown = CliRunner().invoke(command, ["cluster.prod"])
    assert f"```\n{shown.output}```\n" in page
