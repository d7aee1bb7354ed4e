"""The loop itself, on small programs: engine, our provider, emulators, and back.

With controls: the same faults that the lives of the real stacks would show are made
here, and are seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pulumi
import pulumi_aws as aws
import pytest

from slipway.engine.results import EngineError
from tests.support.aws import sweep
from tests.support.aws.look import tags
from tests.support.aws.table import HANDLERS
from tests.support.aws.world import World, world

ACCOUNT, REGION = "111122223333", "eu-central-1"
DELAY_SECONDS = 2.0
Program = Callable[[], None]

# The SDK leaves its event loop open when a run fails.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def provider(account: str = ACCOUNT) -> pulumi.ResourceOptions:
    made = aws.Provider(
        "aws",
        region=REGION,
        allowed_account_ids=[account],
        default_tags={"tags": {"slipway.dev/stack": "cluster.tiny"}},
    )
    return pulumi.ResourceOptions(provider=made)


def network(opts: pulumi.ResourceOptions) -> aws.ec2.Vpc:
    return aws.ec2.Vpc(
        "vpc", cidr_block="10.0.0.0/16", tags={"Name": "tiny"}, opts=opts
    )


def subnet(vpc: pulumi.Input[str], opts: pulumi.ResourceOptions) -> aws.ec2.Subnet:
    return aws.ec2.Subnet(
        "subnet",
        vpc_id=vpc,
        cidr_block="10.0.0.0/24",
        availability_zone=f"{REGION}a",
        opts=opts,
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    content = {"account": {"id": ACCOUNT, "region": REGION}}
    folder = tmp_path_factory.mktemp("tiny")
    with world("cluster.tiny", folder, content) as tiny:
        yield tiny


@pytest.fixture
def tiny(shared: World) -> Iterator[World]:
    """The account as it was: what a test leaves is found in the next one's way."""
    before = sweep.everything(shared.account)
    yield shared
    shared.provider.before = lambda verb, urn: None
    shared.destroy()
    assert sweep.beside(before, sweep.everything(shared.account)) == {}


def refused(tiny: World, program: Program) -> str:
    """What the engine says as it cannot run the program."""
    tiny.program = program
    with pytest.raises(EngineError) as told:
        tiny.up()
    return str(told.value)


def late(kind: str, verb: str) -> Callable[[str, str], None]:
    """Has one type's creation or deletion wait, so that others could come before."""

    def wait(what: str, urn: str) -> None:
        if what == verb and kind in urn:
            time.sleep(DELAY_SECONDS)

    return wait


def test_one_network_from_nothing_to_nothing(tiny: World) -> None:
    def program() -> None:
        pulumi.export("vpc", network(provider()).id)

    tiny.program = program
    made = tiny.up()
    assert made.changes == {"create": 3}
    ec2 = tiny.account.client("ec2")
    (vpc,) = ec2.describe_vpcs(VpcIds=[made.outputs["vpc"]])["Vpcs"]
    assert tags(vpc) == {"Name": "tiny", "slipway.dev/stack": "cluster.tiny"}
    assert tiny.up().changes == {"same": 3}
    assert tiny.destroy().changes == {"delete": 3}


def test_a_type_without_a_handler_is_refused(tiny: World) -> None:
    said = refused(
        tiny,
        lambda: aws.sns.Topic("t", opts=provider()) and None,
    )
    assert "no handler for aws:sns/topic:Topic" in said


def test_an_input_that_no_handler_passes_on_is_refused(tiny: World) -> None:
    def program() -> None:
        cidr = "10.0.0.0/16"
        opts = provider()
        aws.ec2.Vpc("v", cidr_block=cidr, ipv6_cidr_block="fd00::/56", opts=opts)

    said = refused(tiny, program)
    assert "ipv6CidrBlock" in said
    assert "does not know it" in said


def test_another_account_is_refused(tiny: World) -> None:
    said = refused(tiny, lambda: network(provider("999988887777")) and None)
    assert f"account {ACCOUNT} is not one of ['999988887777']" in said


def test_what_boto_refuses_fails_the_stack(tiny: World) -> None:
    said = refused(tiny, lambda: subnet("vpc-0123456789abcdef0", provider()) and None)
    assert "InvalidVpcID.NotFound" in said


def test_a_creation_that_failed_is_made_up_for_by_the_next_run(tiny: World) -> None:
    def program() -> None:
        opts = provider()
        subnet(network(opts).id, opts)

    def fail(verb: str, urn: str) -> None:
        if verb == "create" and "subnet" in urn:
            raise ConnectionError("the line is cut")

    tiny.provider.before = fail
    assert "the line is cut" in refused(tiny, program)
    tiny.provider.before = lambda verb, urn: None
    assert tiny.up().changes == {"create": 1, "same": 3}


def test_an_order_by_dependencies_holds_however_slow(tiny: World) -> None:
    def program() -> None:
        opts = provider()
        vpc = network(opts)
        subnet(vpc.id, opts)

    tiny.program = program
    tiny.provider.before = late("ec2/subnet:Subnet", "delete")
    tiny.up()
    assert tiny.destroy().changes == {"delete": 4}


def test_a_lost_dependency_makes_a_deletion_fail(tiny: World) -> None:
    known: list[str] = []

    def program() -> None:
        opts = provider()
        pulumi.export("vpc", network(opts).id)
        if known:
            subnet(known[0], opts)  # an id as text: the engine knows of no dependency

    tiny.program = program
    known.append(tiny.up().outputs["vpc"])
    tiny.up()
    tiny.provider.before = late("ec2/subnet:Subnet", "delete")
    with pytest.raises(EngineError, match="DependencyViolation"):
        tiny.destroy()


def test_a_nat_gateway_without_its_internet_gateway_is_refused(tiny: World) -> None:
    def program() -> None:
        opts = provider()
        vpc = network(opts)
        place = subnet(vpc.id, opts)
        address = aws.ec2.Eip("address", domain="vpc", opts=opts)
        aws.ec2.InternetGateway("gateway", vpc_id=vpc.id, opts=opts)
        aws.ec2.NatGateway(
            "nat", allocation_id=address.id, subnet_id=place.id, opts=opts
        )

    tiny.provider.before = late("ec2/internetGateway", "create")
    assert "Gateway.NotAttached" in refused(tiny, program)


def test_every_type_that_the_table_has_is_one_of_the_sdk() -> None:
    for kind in HANDLERS:
        module = getattr(aws, kind.split(":")[1].partition("/")[0])
        assert hasattr(module, kind.rpartition(":")[2]), kind
