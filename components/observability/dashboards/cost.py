"""Dashboard of what nodes cost, by Karpenter's prices.

Karpenter has metrics of every node of the cluster, and of the prices that it uses:
on-demand list prices and current spot prices of the region, by type and zone (from the
tables that components/catalog has its prices from, renewed by AWS's price list where it
can be reached). They are joined here. It is an estimate of the nodes alone and no bill:
disks, traffic, load balancers and the control plane are not in it (`slipway cost`).

A node of a managed group counts as on demand: Karpenter does not say how it is paid. So
does a reserved one, whose price Karpenter sets near 0 so that it is used first: the
reservation is paid for, used or not.
https://karpenter.sh/docs/reference/metrics/
"""

from __future__ import annotations

from collections.abc import Iterator

from components.observability.dashboards.board import SLOW, Board, Panel, Row, one

HOURS_PER_MONTH = 730
"""Same as in `slipway cost`."""
RESOURCES = "cpu|memory|nvidia.com/gpu"
KEY = "instance_type, capacity_type, zone"
ALLOCATABLE = "karpenter_nodes_allocatable"
NODES = (
    "label_replace(group by (node_name, nodepool, instance_type, capacity_type, zone) "
    f'({ALLOCATABLE}{{resource_type="cpu"}}), "capacity_type", "on-demand", '
    '"capacity_type", "(reserved)?")'
)
"""Each node once, by how it is counted as paid."""
PRICES = (
    f"max by ({KEY}) (karpenter_cloudprovider_instance_type_offering_price_estimate)"
)
COST = f"{NODES} * on ({KEY}) group_left () {PRICES}"
"""US dollars an hour of each node whose price is known."""
UNUSED = "no model gets requests"


def board() -> Board:
    """The dashboard."""
    return Board(
        "cost",
        "Cost of nodes (estimate)",
        "What the nodes cost by Karpenter's prices; an estimate, without disks, "
        "traffic, load balancers and the control plane.",
        (),
        (
            Row("Now", tuple(_now())),
            Row("What is paid for", tuple(_paid())),
            Row("What it is used for", tuple(_used())),
        ),
    )


def _now() -> Iterator[Panel]:
    yield Panel(
        "An hour",
        "Price of the nodes that run now, an hour.",
        "currencyUSD",
        one(f"sum({COST})", "an hour"),
        kind="number",
        width=6,
    )
    yield Panel(
        "A month at this rate",
        f"The same for {HOURS_PER_MONTH} hours, which is not what was spent.",
        "currencyUSD",
        one(f"sum({COST}) * {HOURS_PER_MONTH}", "a month"),
        kind="number",
        width=6,
    )
    yield Panel(
        "A thousand requests",
        "Price of all nodes an hour by thousands of requests to all models an hour.",
        "currencyUSD",
        one(
            f"sum({COST}) / (sum(model:requests:rate) * 3600 / 1000 > 0)",
            "1,000 requests",
        ),
        kind="number",
        width=6,
        empty=UNUSED,
    )
    yield Panel(
        "Nodes without a price",
        "Nodes whose price Karpenter does not know: the sums are then a least.",
        "short",
        one(
            f"count({NODES} unless on ({KEY}) {PRICES}) or 0 * count({NODES})",
            "nodes",
        ),
        kind="number",
        width=6,
    )


def _paid() -> Iterator[Panel]:
    yield Panel(
        "By pool",
        "Price an hour of the nodes of each pool of Karpenter's; without a name: "
        "managed groups.",
        "currencyUSD",
        one(f"sum by (nodepool) ({COST})", "{{nodepool}}"),
    )
    yield Panel(
        "By instance type",
        "Price an hour of the nodes of each instance type and way to pay.",
        "currencyUSD",
        one(
            f"sum by (instance_type, capacity_type) ({COST})",
            "{{instance_type}} {{capacity_type}}",
        ),
    )
    yield Panel(
        "Nodes",
        "Nodes by instance type and way to pay.",
        "short",
        one(
            f"count by (instance_type, capacity_type) ({NODES})",
            "{{instance_type}} {{capacity_type}}",
        ),
    )


def _used() -> Iterator[Panel]:
    chosen = f'{{resource_type=~"{RESOURCES}"}}'
    requested, there = (
        f"sum by (resource_type) ({series}{chosen})"
        for series in ("karpenter_nodes_total_pod_requests", ALLOCATABLE)
    )
    yield Panel(
        "Requested share",
        "Share of the nodes' capacity that pods request: the rest is paid for and "
        "unused.",
        "percentunit",
        one(f"{requested} / ({there} > 0)", "{{resource_type}}"),
        width=12,
        most=1,
    )
    used = f'rate(container_cpu_usage_seconds_total{{container!="",pod!=""}}[{SLOW}])'
    of_server = (
        f"sum by (node, namespace, server) ({used} * on (namespace, pod) "
        "group_left (server) group by (namespace, pod, server) "
        '(up{job="pods",app="model-server"}))'
    )
    price = f'label_replace({COST}, "node", "$1", "node_name", "(.+)")'
    yield Panel(
        "By model server",
        "A server's share of the processor time that pods use on each node, of the "
        "node's price an hour: idle time is divided in proportion.",
        "currencyUSD",
        one(
            f"sum by (namespace, server) ({of_server} / on (node) group_left () "
            f"sum by (node) ({used}) * on (node) group_left () "
            f"max by (node) ({price}))",
            "{{namespace}}/{{server}}",
        ),
        width=12,
    )
