"""The component provider over gRPC, with Pulumi's own client and no engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import errors_pb2, provider_pb2, status_pb2

from components.serving.model_server import ModelServer
from slipway.provider.exposed import TABLE
from slipway.provider.inputs import ModelServerInputs
from slipway.rendering.recorder import Recording, Resource
from slipway.rendering.render import render
from tests.support import component_provider
from tests.support.component_provider import Running
from toolchain import paths

DIGEST = "sha256:" + "1" * 64
MODEL: dict[str, Any] = {
    "image": f"registry.example/slipway/model-server@{DIGEST}",
    "model_image": f"registry.example/models/employment@{DIGEST}",
    "route": {"prefix": "/employment/v1"},
    "scaling": {"min_replicas": 2, "max_replicas": 4},
    "platform": {"namespace": "theirs"},
}
SERVER = "slipway:serving:ModelServer"


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    with component_provider.running() as found:
        yield found


@pytest.fixture(scope="module")
def schema(provider: Running) -> dict[str, Any]:
    answer = provider.stub.GetSchema(provider_pb2.GetSchemaRequest())
    found: dict[str, Any] = json.loads(answer.schema)
    return found


def objects(recording: Recording) -> dict[str, dict[str, Any]]:
    """Inputs of what a provider would make, by the end of its URN."""
    return {_short(it): it.inputs for it in recording.resources if it.custom}


def _short(resource: Resource) -> str:
    return "::".join(resource.urn.split("::")[2:])


def test_the_schema_has_every_component_with_its_settings(
    schema: dict[str, Any],
) -> None:
    assert set(schema["resources"]) == {one.token for one in TABLE}
    server = schema["resources"][SERVER]
    assert server["isComponent"]
    assert set(server["inputProperties"]) == set(ModelServerInputs.model_fields)
    assert server["inputProperties"]["scaling"]["$ref"].endswith(":Scaling")
    assert all(it["plain"] for it in server["inputProperties"].values())
    assert set(server["properties"]) == {"service", "path", "version"}


def test_every_type_that_the_schema_names_is_in_it(schema: dict[str, Any]) -> None:
    named = {it for it in _references(schema) if it.startswith("#/types/")}
    assert len(named) > 30
    assert named <= {f"#/types/{token}" for token in schema["types"]}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def test_a_constructed_server_is_the_one_of_a_python_program(
    provider: Running,
) -> None:
    provider.recording.resources.clear()
    answer = provider.construct(SERVER, "employment", MODEL)
    given = ModelServerInputs.model_validate(MODEL)

    def program() -> None:
        ModelServer("employment", given, given.platform)

    rendered = render("models.any", {}, program=program)
    ours = {_short(it): it.inputs for it in rendered.resources if it.custom}
    assert len(ours) > 8
    assert objects(provider.recording) == ours
    assert answer.urn.endswith(f"::{SERVER}::employment")
    assert dict(answer.state.items()) == {
        "service": "employment",
        "path": "/employment/v1",
        "version": DIGEST[7:19],
    }


def test_all_that_is_wrong_is_reported_at_once_and_nothing_is_made(
    provider: Running,
) -> None:
    provider.recording.resources.clear()
    wrong = {**MODEL, "scaling": {"min_replicas": 5, "max_replicas": 4}, "imagee": "x"}
    with pytest.raises(grpc.RpcError) as caught:
        provider.construct(SERVER, "employment", wrong)
    found = _errors(caught.value)
    assert set(found) == {"scaling.max_replicas", "imagee"}
    assert "it is less than min_replicas" in found["scaling.max_replicas"]
    assert provider.recording.resources == []


def _errors(error: Any) -> dict[str, str]:
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    raw = dict(error.trailing_metadata())["grpc-status-details-bin"]
    details = errors_pb2.InputPropertiesError()
    assert status_pb2.Status.FromString(raw).details[0].Unpack(details)
    return {it.property_path: it.reason for it in details.errors}


def test_a_component_that_is_not_there(provider: Running) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        provider.construct("slipway:serving:Nothing", "x", {})
    said = _errors(caught.value)["type"]
    assert said.startswith("slipway has no slipway:serving:Nothing; it has slipway:")


def test_subnets_of_the_network_are_inputs_of_the_cluster(provider: Running) -> None:
    provider.recording.resources.clear()
    given = {
        "name": "dev",
        "version": "1.36",
        "account": "123456789012",
        "region": "eu-central-1",
        "administrators": ["arn:aws:iam::123456789012:role/admin"],
        "vpc_id": "vpc-1",
        "subnets": ["subnet-a", "subnet-b"],
    }
    provider.construct("slipway:cluster:Eks", "eks", given)
    (cluster,) = (
        it for it in provider.recording.resources if it.type.endswith(":Cluster")
    )
    assert cluster.inputs["vpcConfig"]["subnetIds"] == ["subnet-a", "subnet-b"]
    del given["subnets"]
    with pytest.raises(grpc.RpcError) as caught:
        provider.construct("slipway:cluster:Eks", "eks", given)
    assert "subnets" in _errors(caught.value)


def test_the_plugin_file_lies_beside_the_program() -> None:
    folder = paths.ROOT / "slipway" / "provider"
    assert (folder / "PulumiPlugin.yaml").read_text() == "runtime: python\n"
    assert (folder / "__main__.py").is_file()
