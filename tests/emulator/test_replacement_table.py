"""What `slipway compare` says of a change is what the engine does.

For each type and property of the table there is a resource in which this property alone
changes. One preview of the real engine gives its verdict on all of them. The engine
asks the provider that the tests have in place of Pulumi's own
(docs/decisions/0015-a-provider-of-our-own-before-emulators.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from pulumi import automation

from slipway.engine import pulumi_cli
from slipway.engine.loops import Loops
from slipway.preview import changes, replacement
from slipway.rendering.render import render
from tests.support.aws.handler import TAGS
from tests.support.aws.provider import serving
from tests.support.aws.table import HANDLERS
from tests.support.aws.unmade import UnmadeProvider
from toolchain import paths

pytestmark = [
    pytest.mark.programs,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
Case = tuple[str, str]
"""A type and a path of its inputs."""
TYPES: dict[str, dict[str, list[str]]] = replacement.table()["aws"]["types"]
REPLACING = ("replace", "create-replacement", "delete-replaced")
DECIDED_BY_VALUES = {
    ("aws:ec2/vpc:Vpc", "instanceTenancy"),
    ("aws:ec2/vpcEndpoint:VpcEndpoint", "privateDnsEnabled"),
    ("aws:eks/cluster:Cluster", "encryptionConfig"),
    # Older copies of the provider replace, newer ones update.
    ("aws:eks/cluster:Cluster", "remoteNetworkConfig"),
    *(
        (f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule", source)
        for way in ("Egress", "Ingress")
        for source in (
            *("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId"),
        )
    ),
}
"""Inputs that our components may give and of which the table says nothing."""
NOT_HELD = {
    # Handlers refuse inputs that no component gives.
    ("aws:ec2/launchTemplate:LaunchTemplate", "namePrefix"),
    ("aws:ec2/natGateway:NatGateway", "privateIp"),
    ("aws:ec2/natGateway:NatGateway", "secondaryAllocationIds"),
    ("aws:ec2/vpcEndpoint:VpcEndpoint", "serviceRegion"),
    ("aws:eks/nodeGroup:NodeGroup", "diskSize"),
    ("aws:iam/role:Role", "namePrefix"),
    ("aws:kms/key:Key", "customKeyStoreId"),
    ("aws:kms/key:Key", "customerMasterKeySpec"),
    ("aws:kms/key:Key", "isEnabled"),
    ("aws:s3/bucket:Bucket", "bucketPrefix"),
    # The update gives the association another id, which a provider cannot hand back.
    ("aws:ec2/routeTableAssociation:RouteTableAssociation", "routeTableId"),
}
"""Of the table; the source alone says it."""


def verdicts() -> dict[Case, str]:
    """What the table says of each path: `replace` or `update`."""
    return {
        (kind, path): verdict
        for kind, lists in TYPES.items()
        for verdict, paths in lists.items()
        for path in paths
    }


HELD = sorted(verdicts().keys() - NOT_HELD)


def resource_name(case: Case) -> str:
    kind, path = case
    return f"{kind.rpartition(':')[2]}-{path}"


def inputs(case: Case, value: str) -> dict[str, Any]:
    """All that the type needs, and the value at the path."""
    kind, path = case
    found: dict[str, Any] = dict.fromkeys(sorted(HANDLERS[kind].required), "given")
    first, *rest = path.split(".")
    nested: Any = value
    for key in reversed(rest):
        nested = {key: nested}
    return found | {first: nested}


def program(value: str) -> Callable[[], None]:
    """A resource for each case, with this value in the place that changes."""

    def run() -> None:
        provider = aws.Provider("aws", region="eu-central-1")
        opts = pulumi.ResourceOptions(provider=provider)
        for case in HELD:
            kind, _ = case
            pulumi.CustomResource(
                kind, resource_name(case), inputs(case, value), opts=opts
            )

    return run


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The engine's verdict by resource: `replace`, `update`, or what else it does."""
    folder: Path = tmp_path_factory.mktemp("table")
    (folder / "state").mkdir()
    cli, loops = pulumi_cli.find(), Loops()
    found: dict[str, str] = {}

    def note(event: Any) -> None:
        if pre := event.resource_pre_event:
            name = pre.metadata.urn.rpartition("::")[2]
            operation = pre.metadata.op.value
            found[name] = "replace" if operation in REPLACING else operation

    with serving(UnmadeProvider()) as address:
        options = automation.LocalWorkspaceOptions(
            pulumi_command=cli.command,
            env_vars={
                **cli.environment,
                "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
                "PULUMI_CONFIG_PASSPHRASE": "test",
                "PULUMI_DEBUG_PROVIDERS": address,
            },
        )
        stack = automation.create_stack(
            "table",
            project_name="held",
            program=loops.watched(program("before")),
            opts=options,
        )
        stack.up()
        stack.workspace.program = loops.watched(program("after"))
        stack.preview(on_event=note)
        yield found
        loops.close()


def test_the_engine_does_what_the_table_says(operations: dict[str, str]) -> None:
    said = verdicts()
    wrong = {
        case: (said[case], operations.get(resource_name(case)))
        for case in HELD
        if operations.get(resource_name(case)) != said[case]
    }
    assert wrong == {}


def test_a_report_says_what_the_engine_does(operations: dict[str, str]) -> None:
    """The whole way of `slipway compare`, from two renderings on."""
    base, head = (
        render("cluster.table", {}, program=program(value)).resources
        for value in ("before", "after")
    )
    items = changes.stack_report("cluster.table", base, head).items
    engine = {"replaced": "replace", "changed": "update"}
    reported = {item.name: engine.get(item.action, item.action) for item in items}
    assert reported == {
        resource_name(case): operations[resource_name(case)] for case in HELD
    }


def test_the_table_has_every_type_and_input_that_the_components_use() -> None:
    assert set(TYPES) == set(HANDLERS)
    known = {
        (kind, name)
        for kind, handler in HANDLERS.items()
        for name in handler.known() - {TAGS}
    }
    listed = {(kind, path.partition(".")[0]) for kind, path in verdicts()}
    whole = {(kind, "vpcConfig") for kind, _ in known}
    assert known - listed - whole == DECIDED_BY_VALUES


def test_what_is_not_held_is_in_the_table_and_cannot_be_held() -> None:
    assert verdicts().keys() >= NOT_HELD
    refused = {
        case
        for case in verdicts()
        if case[1].partition(".")[0] not in HANDLERS[case[0]].known()
    }
    without_id = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    assert {case for case in NOT_HELD if case[0] != without_id} == refused


def test_the_page_says_how_much_is_held() -> None:
    page = (paths.ROOT / "docs" / "how-to" / "preview-report.md").read_text()
    whole = " ".join(page.split())
    assert f"each of {len(HELD)} properties" in whole
    assert f"{len(NOT_HELD)} of {len(verdicts())} properties" in whole
    assert f"all {len(TYPES)} types" in whole
