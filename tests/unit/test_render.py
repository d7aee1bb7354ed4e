"""`render`: what a program registers, as manifests and as a list."""

from __future__ import annotations

import base64
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest
import yaml
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace, Secret

from components.setting_secrets import Encrypted
from slipway.rendering.manifests import DuplicateObjectError
from slipway.rendering.recorder import DuplicateResourceError
from slipway.rendering.render import Rendered, render
from stacks import config

STACK = "models.lab"


class Group(pulumi.ComponentResource):
    """A component with a component in it, to see the parents in URNs."""

    def __init__(self, name: str) -> None:
        super().__init__("slipway:test:Group", name)
        child = pulumi.ResourceOptions(parent=self)
        ConfigMap(name, metadata={"name": name, "namespace": "a"}, opts=child)
        self.register_outputs({})


def deployment(replicas: float | None = 2) -> None:
    container = {"name": "server", "image": "x", "image_pull_policy": "IfNotPresent"}
    Deployment(
        "server",
        metadata={"name": "server", "namespace": "a"},
        spec=kubernetes.apps.v1.DeploymentSpecArgs(
            replicas=replicas,
            min_ready_seconds=None,
            selector=kubernetes.meta.v1.LabelSelectorArgs(match_labels={"a_b": "c"}),
            template=kubernetes.core.v1.PodTemplateSpecArgs(
                spec=kubernetes.core.v1.PodSpecArgs(
                    termination_grace_period_seconds=30,
                    containers=[kubernetes.core.v1.ContainerArgs(**container)],
                )
            ),
        ),
    )


def rendered(program: Any, settings: dict[str, Any] | None = None) -> Rendered:
    return render(STACK, settings or {}, {}, program)


def test_manifest_is_what_the_engine_would_send() -> None:
    (manifest,) = rendered(deployment).manifests
    assert manifest == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "server", "namespace": "a"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"a_b": "c"}},
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "server",
                            "image": "x",
                            "imagePullPolicy": "IfNotPresent",
                        }
                    ],
                    "terminationGracePeriodSeconds": 30,
                }
            },
        },
    }
    assert type(manifest["spec"]["replicas"]) is int


def test_each_run_has_the_global_state_to_itself() -> None:
    before = pulumi.runtime.settings.get_root_resource()
    first = rendered(lambda: Group("one"))
    second = rendered(lambda: Group("two"))
    assert [m["metadata"]["name"] for m in second.manifests] == ["two"]
    assert rendered(lambda: Group("one")) == first
    assert pulumi.runtime.settings.get_root_resource() is before


def test_urns_are_the_engines() -> None:
    def program() -> None:
        Group("one")
        Namespace("a", metadata={"name": "a"})

    start = "urn:pulumi:models.lab::slipway::"
    assert rendered(program).urns == [
        start + "kubernetes:core/v1:Namespace::a",
        start + "slipway:test:Group$kubernetes:core/v1:ConfigMap::one",
        start + "slipway:test:Group::one",
    ]


def test_objects_are_in_the_order_in_which_they_can_be_applied(tmp_path: Path) -> None:
    def program() -> None:
        deployment()
        Group("one")
        Namespace("a", metadata={"name": "a"})

    result = rendered(program)
    kinds = [m["kind"] for m in result.manifests]
    assert kinds == ["Namespace", "ConfigMap", "Deployment"]
    names = [path.name for path in result.write(tmp_path)]
    assert names == sorted(names)
    assert names == [
        "00-namespace.a.yaml",
        "03-configmap.a.one.yaml",
        "07-deployment.a.server.yaml",
    ]
    written = yaml.safe_load((tmp_path / STACK / names[2]).read_text())
    assert written == result.manifests[2]


def test_writing_again_deletes_only_what_it_wrote(tmp_path: Path) -> None:
    rendered(lambda: Group("one")).write(tmp_path)
    theirs = tmp_path / STACK / "kustomization.yaml"
    theirs.write_text("resources: []\n")
    rendered(lambda: Group("two")).write(tmp_path)
    found = sorted(path.name for path in (tmp_path / STACK).iterdir())
    assert found == ["03-configmap.a.two.yaml", "kustomization.yaml"]


def test_secrets_are_plain_and_named_and_written_on_demand_only(
    tmp_path: Path,
) -> None:
    def program() -> None:
        value = pulumi.Output.secret("hush")
        Secret("s", metadata={"name": "s"}, string_data={"password": value})
        Group("one")

    result = rendered(program)
    secret = next(m for m in result.manifests if m["kind"] == "Secret")
    assert secret["stringData"] == {"password": "hush"}
    assert result.secrets == ["03-secret.s.yaml"]
    file = tmp_path / STACK / "03-secret.s.yaml"
    others = result.write(tmp_path)
    assert others
    assert file not in others
    assert "hush" not in "".join(path.read_text() for path in others)
    assert set(result.write(tmp_path, secrets=True)) == {*others, file}
    assert "hush" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    result.write(tmp_path)
    assert not file.exists()


def test_what_only_the_engine_decrypts_is_never_written(tmp_path: Path) -> None:
    """Whoever applied the placeholder would have a key that everybody knows."""

    def program() -> None:
        hidden = pulumi.Output.secret("[secret]")
        coded = base64.b64encode(b"[secret]").decode()
        Secret("plain", metadata={"name": "plain"}, string_data={"key": hidden})
        Secret(
            "coded",
            metadata={"name": "coded"},
            data={"key": pulumi.Output.secret(coded)},
        )
        Secret(
            "known",
            metadata={"name": "known"},
            string_data={"key": pulumi.Output.secret("hush")},
        )

    result = rendered(program)
    assert len(result.secrets) == 3
    assert sorted(result.sealed) == ["03-secret.coded.yaml", "03-secret.plain.yaml"]
    result.write(tmp_path, secrets=True)
    written = {path.name for path in (tmp_path / STACK).iterdir()}
    assert written & set(result.secrets) == {"03-secret.known.yaml"}


def test_secret_inputs_of_cloud_resources_are_listed_on_demand_only(
    tmp_path: Path,
) -> None:
    class Password(pulumi.CustomResource):
        def __init__(self) -> None:
            value = pulumi.Output.secret("hush")
            super().__init__("aws:ssm/parameter:Parameter", "p", {"value": value})

    result = rendered(Password)
    (file,) = result.write(tmp_path)
    assert "hush" not in file.read_text()
    assert "left out" in file.read_text()
    result.write(tmp_path, secrets=True)
    assert "hush" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_cloud_resources_are_listed_with_their_inputs(tmp_path: Path) -> None:
    class Bucket(pulumi.CustomResource):
        def __init__(self) -> None:
            super().__init__("aws:s3/bucketV2:BucketV2", "data", {"forceDestroy": True})

    result = rendered(Bucket)
    assert result.cloud == [
        {
            "type": "aws:s3/bucketV2:BucketV2",
            "name": "data",
            "urn": "urn:pulumi:models.lab::slipway::aws:s3/bucketV2:BucketV2::data",
            "inputs": {"forceDestroy": True},
        }
    ]
    assert result.manifests == []
    assert not result.uses_kubernetes
    (file,) = result.write(tmp_path)
    assert file == tmp_path / "models.lab.cloud.json"


def test_what_only_aws_gives_is_shown_as_such(tmp_path: Path) -> None:
    class Made(pulumi.CustomResource):
        arn: pulumi.Output[str]

    def program() -> None:
        vpc = Made("aws:ec2/vpc:Vpc", "net", {"cidrBlock": "10.0.0.0/16"})
        policy = vpc.id.apply(lambda found: f"vpc/{found} of my-net-id")
        Made("aws:ec2/subnet:Subnet", "one", {"vpcId": vpc.id, "note": policy})

    (file,) = rendered(program).write(tmp_path)
    made = {one["name"]: one["inputs"] for one in json.loads(file.read_text())}
    assert made["one"] == {
        "vpcId": "(known after apply: net-id)",
        "note": "vpc/(known after apply: net-id) of my-net-id",
    }


def test_outputs_of_one_resource_reach_another() -> None:
    def program() -> None:
        first = ConfigMap("first", metadata={"name": "first", "namespace": "a"})
        name = first.metadata.name.apply(lambda text: f"{text}-copy")
        ConfigMap("second", metadata={"name": name})
        pulumi.export("name", name)

    result = rendered(program)
    names = [m["metadata"]["name"] for m in result.manifests]
    assert names == ["first-copy", "first"]
    assert result.outputs == {"name": "first-copy"}


def test_a_program_reads_its_settings_as_the_engine_gives_them() -> None:
    read: list[dict[str, Any]] = []
    settings = {
        "mapping": {"number": 1, "yes": True, "text": "2"},
        "number": 2,
        "yes": True,
        "text": "1.10",
        "other:key": "not ours",
        "password": {"secure": "v1:abc"},
    }
    rendered(lambda: read.append(config.read()), settings)
    assert isinstance(read[0].pop("password"), Encrypted)
    assert read == [
        {
            "mapping": {"number": 1, "yes": True, "text": "2"},
            "number": "2",
            "yes": "true",
            "text": "1.10",
        }
    ]


def test_images_stand_in_for_the_lock_and_leave_no_trace() -> None:
    seen: list[str] = []

    def program() -> None:
        seen.append(Path(os.environ["SLIPWAY_IMAGES_LOCK"]).read_text())

    before = os.environ.get("SLIPWAY_IMAGES_LOCK")
    render(STACK, {}, {"model-server": "r/x@sha256:1"}, program)
    assert seen == ['{"model-server": "r/x@sha256:1"}']
    assert os.environ.get("SLIPWAY_IMAGES_LOCK") == before


def test_two_resources_of_one_name_are_refused() -> None:
    def program() -> None:
        for _ in range(2):
            ConfigMap("x", metadata={"name": "x"})

    with pytest.raises(DuplicateResourceError, match="two resources are called 'x'"):
        rendered(program)


def test_two_resources_that_are_one_object_are_refused() -> None:
    def program() -> None:
        for name in ("x", "y"):
            ConfigMap(name, metadata={"name": "same", "namespace": "a"})

    with pytest.raises(DuplicateObjectError, match="ConfigMap/a/same"):
        _ = rendered(program).manifests


def test_errors_of_the_program_come_out_as_they_are() -> None:
    def early() -> None:
        Group("one")
        raise ValueError("early")

    def late() -> None:
        made = ConfigMap("x", metadata={"name": "x"})
        made.id.apply(lambda _: 1 / 0)

    with pytest.raises(ValueError, match="early"):
        rendered(early)
    with pytest.raises(ZeroDivisionError):
        rendered(late)


def test_renderings_at_the_same_time_do_not_mix() -> None:
    stacks = [f"models.lab{number}" for number in range(6)]

    def one(stack: str) -> Rendered:
        return render(
            stack, {}, None, lambda: [Group(f"g{i}") for i in range(5)] and None
        )

    with ThreadPoolExecutor(max_workers=6) as pool:
        results = list(pool.map(one, stacks))
    for stack, result in zip(stacks, results, strict=True):
        assert len(result.urns) == 10
        assert all(urn.startswith(f"urn:pulumi:{stack}::") for urn in result.urns)
