"""The policy pack under Pulumi's CLI, beside an inline program.

The AWS resources are made in the emulated account; Kubernetes' provider writes files
in a cluster's place (`renderYamlToDirectory`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
import pytest
from pulumi import automation

from components.security import rules
from slipway.engine import pulumi_cli
from slipway.policy import check, objects
from slipway.policy.evaluation import Evaluator
from slipway.rendering.render import render
from tests.support.aws import emulators
from tests.support.aws.account import Account
from tests.support.aws.emulators import Endpoints
from tests.support.aws.provider import AwsProvider, serving
from tests.support.aws.table import HANDLERS
from tests.support.policy_packs import Packed, packed

pytestmark = [
    pytest.mark.programs,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
ACCOUNT, REGION = "111122223333", "eu-central-1"
BUCKET = "aws:s3/bucket:Bucket"
TODAY = date(2026, 11, 30)
PRODUCTION = automation.ConfigValue("true")
FOR_EVER, OVER = "2999-12-31", "2026-11-01"


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    folder = tmp_path_factory.mktemp("logs")
    with emulators.running(ACCOUNT, REGION, folder) as found:
        yield found


def stores() -> None:
    """Two buckets: one with what belongs to a bucket, one without."""
    provider = aws.Provider("aws", region=REGION, allowed_account_ids=[ACCOUNT])
    opts = pulumi.ResourceOptions(provider=provider)
    whole = aws.s3.Bucket("whole", bucket="whole-1", force_destroy=True, opts=opts)
    aws.s3.Bucket("bare", bucket="bare-1", force_destroy=True, opts=opts)
    aws.s3.BucketVersioning(
        "whole",
        bucket=whole.id,
        versioning_configuration={"status": "Enabled"},
        opts=opts,
    )
    aws.s3.BucketPublicAccessBlock(
        "whole",
        bucket=whole.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=opts,
    )
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    aws.s3.BucketPolicy(
        "whole",
        bucket=whole.id,
        policy=whole.arn.apply(
            lambda arn: json.dumps({"Statement": [{**statement, "Resource": arn}]})
        ),
        opts=opts,
    )


@pytest.fixture
def project(endpoints: Endpoints, tmp_path: Path) -> Iterator[Packed]:
    provider = AwsProvider(HANDLERS, endpoints)
    with (
        serving(provider) as address,
        packed(tmp_path, "prod", stores, PULUMI_DEBUG_PROVIDERS=address) as made,
    ):
        yield made
        made.stack.destroy()


def test_production_is_refused_before_anything_is_made(
    project: Packed, endpoints: Endpoints
) -> None:
    project.stack.set_config("slipway:production", PRODUCTION)
    done = project.up()
    assert "aws-buckets-are-not-emptied" in done.error
    assert "Traceback" not in done.error
    found = {it.name for it in done.violations if it.rule == "aws-stores-are-protected"}
    assert found
    assert {it.level for it in done.violations} == {"mandatory"}
    s3 = Account(endpoints, REGION).client("s3")
    assert s3.list_buckets()["Buckets"] == []


def test_elsewhere_the_same_is_advice_as_slipway_check_gives_it(
    project: Packed,
) -> None:
    """Rules about one resource, and rules about others beside it."""
    done = project.up(project.folder)
    assert done.error == ""
    rendered = render("models.prod", {}, program=stores)
    found = check.findings(
        Evaluator(rules.load()),
        objects.of_rendered(rendered),
        environment="prod",
        production=False,
        settings={},
        today=TODAY,
    )
    wanted = sorted(
        (rule.id, one.content["name"], ", ".join(wrong))
        for rule, one, wrong, _ in found
    )
    assert ("aws-buckets-want-tls", "bare") in {
        (rule, name) for rule, name, _ in wanted
    }
    assert [(rule, name) for rule, name, _ in wanted if name == "whole"] == [
        ("aws-buckets-are-encrypted", "whole"),
        ("aws-buckets-forget", "whole"),
        ("aws-resources-have-tags", "whole"),
    ]
    said = sorted(done.violations, key=lambda it: (it.rule, it.name))
    assert [(it.rule, it.name) for it in said] == [(r, n) for r, n, _ in wanted]
    for violation, (_, name, wrong) in zip(said, wanted, strict=True):
        assert f"{BUCKET}/{name}: {wrong}. " in violation.message
    assert {it.level for it in said} == {"advisory"}


def test_a_preview_does_not_guess_what_is_not_known_yet(project: Packed) -> None:
    """The policy of the bucket has its ARN in it."""
    done = project.preview()
    found = {(it.rule, it.name) for it in done.violations}
    assert ("aws-buckets-are-encrypted", "bare") in found
    assert not {it for it in found if it[0] == "aws-buckets-want-tls"}


def test_waivers_and_levels_of_the_project_hold(
    project: Packed, tmp_path: Path
) -> None:
    waiver = {"who": "Ada", "why": "It is a test.", "environments": ["prod"]}
    project.rules(
        {
            "waivers": [
                {
                    **waiver,
                    "rules": ["aws-resources-have-tags", "aws-buckets-forget"],
                    "objects": [f"{BUCKET}/whole", f"{BUCKET}/bare"],
                    "until": FOR_EVER,
                },
                {
                    **waiver,
                    "rules": ["aws-buckets-are-encrypted"],
                    "objects": [f"{BUCKET}/bare", f"{BUCKET}/whole"],
                    "until": OVER,
                },
            ]
        }
    )
    levels = tmp_path / "levels.json"
    given = {
        "aws-buckets-are-private": "mandatory",
        "aws-buckets-keep-versions": "disabled",
    }
    levels.write_text(json.dumps(given))
    done = project.preview(policy_pack_configs=[str(levels)])
    assert sorted({(it.rule, it.level) for it in done.violations}) == [
        ("aws-buckets-are-encrypted", "advisory"),
        ("aws-buckets-are-private", "mandatory"),
    ]
    assert done.level("aws-buckets-are-private") == "mandatory"
    assert "preview failed" in done.error


def test_rules_that_are_wrong_stop_the_run(project: Packed) -> None:
    project.rules({"rules": {"of-ours": {"severity": "fatal"}}})
    done = project.preview()
    assert "rules.of-ours.severity" in done.error
    assert done.violations == []


def test_kubernetes_objects_are_judged(tmp_path: Path) -> None:
    cli = pulumi_cli.find()
    pulumi_cli.ensure_kubernetes(cli)

    def program() -> None:
        files = kubernetes.Provider(
            "files", render_yaml_to_directory=str(tmp_path / "made")
        )
        labels = {"app": "web"}
        container = {"name": "web", "image": "nginx:latest"}
        kubernetes.apps.v1.Deployment(
            "web",
            metadata={"name": "web", "namespace": "models"},
            spec={
                "selector": {"match_labels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [container]},
                },
            },
            opts=pulumi.ResourceOptions(provider=files),
        )

    with packed(tmp_path, "dev", program) as made:
        done = made.preview()
        assert done.level("images-by-digest") == "advisory"
        assert done.level("servers-have-network-policies") == "advisory"
        made.stack.set_config("slipway:production", PRODUCTION)
        refused = made.up()
        assert refused.level("images-by-digest") == "mandatory"
        assert not list((tmp_path / "made").rglob("*deployment*"))
