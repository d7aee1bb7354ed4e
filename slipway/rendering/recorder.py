"""Pulumi's test monitor, made to record a program's resources as the engine gets them.

`pulumi.runtime.mocks.MockMonitor` answers a program in the engine's place. This one
records what is registered, names resources as the engine does, and refuses what the
engine refuses.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import mocks, rpc
from pulumi.runtime.proto import engine_pb2, resource_pb2

from components.cluster.existing.outputs import ClusterOutputs, placeholder
from slipway.rendering.request_digest import digest
from toolchain.errors import WrongInputError

STACK_TYPE = "pulumi:pulumi:Stack"
STACK_REFERENCE = "pulumi:pulumi:StackReference"
KUBERNETES = "kubernetes:"
KUBERNETES_PROVIDER = "pulumi:providers:kubernetes"
AWS = "aws:"
ELASTIC_IP = "aws:ec2/eip:Eip"
EKS_CLUSTER = "aws:eks/cluster:Cluster"
DEFINITION = ":CustomResourceDefinition"
MARK = rpc._special_sig_key
"""The key of a mapping that stands for something else, such as a secret value."""
SECRET_MARK = rpc._special_secret_sig
"""What that key has if it is a secret value."""


_LONG = 200
"""Characters of a text that no other resource is likely to have."""


class DuplicateResourceError(WrongInputError):
    """Two resources of one program have the same URN."""


@dataclass(frozen=True)
class Resource:
    """One resource as the program registered it."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    """By the names that the provider knows (camelCase), plain values, no nulls."""
    custom: bool
    """False for components, which only group others."""
    parent: str = ""
    provider: str = ""
    has_secrets: bool = False
    ignore_changes: tuple[str, ...] = ()
    protect: bool = False
    retain: bool = False
    """Whether it is kept when it is destroyed."""
    depends_on: tuple[str, ...] = ()
    digest: str = ""
    """Digest of the whole request: different requests have different digests."""


@dataclass
class Recording:
    """The registrations of one run of a program."""

    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    """Warnings and errors that the program logged."""


def values(struct: struct_pb2.Struct) -> tuple[dict[str, Any], bool]:
    """What the struct holds as plain values without nulls, and whether of secrets.

    The SDK's own way takes five times as long: seconds, for all definitions of custom
    kinds. It is left to it to unwrap secrets and files, which are structs with a mark.
    """
    try:
        return _mapping(struct), False
    except _MarkedError:
        found, has_secrets = rpc.deserialize_properties_unwrap_secrets(struct)
        return plain(found), has_secrets


class _MarkedError(Exception):
    """A struct stands for something else than a mapping, as a secret."""


def _mapping(struct: struct_pb2.Struct) -> dict[str, Any]:
    fields = struct.fields
    if MARK in fields:
        raise _MarkedError
    return {
        sys.intern(key): found
        for key, value in fields.items()
        if (found := _value(value)) is not None
    }


def _value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _mapping(value.struct_value)
    if kind == "list_value":
        return [_value(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "string_value":
        found = value.string_value
        if found == rpc.UNKNOWN:
            return None
        # Most texts are those of other resources, too: one copy of each is kept.
        return sys.intern(found) if len(found) < _LONG else found
    return value.bool_value if kind == "bool_value" else None


def plain(value: Any) -> Any:
    """Numbers that are whole as int: the protocol knows only floating point numbers."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _identifier(type_: str, name: str, inputs: dict[str, Any]) -> str:
    """The id that the resource would have, as far as it can be known."""
    if not type_.startswith(KUBERNETES):
        return f"{name}-id"
    metadata = inputs.get("metadata") or {}
    parts = [metadata.get("namespace"), metadata.get("name", name)]
    return "/".join(part for part in parts if part)


def made_up_arn(type_: str, name: str) -> str:
    """The ARN of a resource, without what only AWS knows."""
    service = type_.removeprefix(AWS).partition("/")[0]
    return f"arn:aws:{service}:::{name}"


def _outputs(request: Any) -> Any:
    """Each resource gets its inputs as outputs; those of AWS an ARN beside them.

    Else what refers to an ARN would be missing in the rendering. It is none that AWS
    would give: account and region are left out, the name is the resource's in Pulumi.
    Likewise what others ask of an address or of an EKS cluster. Of the definition of a
    custom kind nobody asks for the schema, which the SDK would read again for seconds.
    """
    if request.type.endswith(DEFINITION):
        outputs = struct_pb2.Struct()
        for key in set(request.object.fields) - {"spec"}:
            outputs.fields[key].CopyFrom(request.object.fields[key])
        outputs.get_or_create_struct("spec")
        return outputs
    if not request.type.startswith(AWS) or "arn" in request.object:
        # The request's own message, for to take it apart and put it together again
        # takes seconds with large objects.
        return request.object
    outputs = struct_pb2.Struct()
    outputs.CopyFrom(request.object)
    outputs["arn"] = made_up_arn(request.type, request.name)
    if request.type == ELASTIC_IP:
        outputs["allocationId"] = f"{request.name}-id"
    if request.type == EKS_CLUSTER:
        outputs["endpoint"] = f"https://{request.name}.invalid"
        outputs.get_or_create_struct("certificateAuthority")["data"] = ""
        vpc = outputs.get_or_create_struct("vpcConfig")
        vpc["clusterSecurityGroupId"] = f"{request.name}-security-group-id"
    return outputs


class _Answers(mocks.Mocks):
    """Look-ups are answered with what they were asked with: nothing is looked up."""

    def call(self, _: mocks.MockCallArgs) -> tuple[dict[Any, Any], None]:
        return {}, None

    def new_resource(
        self, args: mocks.MockResourceArgs
    ) -> tuple[str | None, dict[Any, Any]]:
        return args.resource_id or f"{args.name}-id", args.inputs


class RecordingMonitor(mocks.MockMonitor):
    """Answers a program in the engine's place and records what it registers."""

    def __init__(self, recording: Recording, project: str, stack: str) -> None:
        super().__init__(_Answers())
        self.recording = recording
        # Not asked of Pulumi's settings: the monitor is called in threads that do not
        # have the program's context, and would get another program's names.
        self.project, self.stack = project, stack
        self._urns: set[str] = set()
        self._lock = threading.Lock()

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        # As the engine does (sdk/go/common/resource/urn, 2025): the types of all
        # parents but the stack, where the base class takes only the direct parent's.
        parents = parent.split("::")[2] if parent else STACK_TYPE
        if parents != STACK_TYPE:
            type_ = f"{parents}${type_}"
        return "::".join([f"urn:pulumi:{self.stack}", self.project, type_, name])

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        inputs, has_secrets = values(request.object)
        self._record(request, urn, inputs, has_secrets)
        identifier = _identifier(request.type, request.name, inputs)
        self.resources[urn] = self.ResourceRegistration(urn, identifier, inputs)
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id=identifier if request.custom else "", object=_outputs(request)
        )

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        """Only another stack's outputs are read: each says what it stands for."""
        if request.type != STACK_REFERENCE:
            return super().ReadResource(request)  # type: ignore[no-untyped-call]
        urn = self.make_urn(request.parent, request.type, request.name)
        inputs = {"name": request.id}
        self._record(request, urn, inputs, has_secrets=False)
        outputs = {name: placeholder(name) for name in ClusterOutputs.names()}
        self.resources[urn] = self.ResourceRegistration(urn, request.id, inputs)
        answer = resource_pb2.ReadResourceResponse(urn=urn)
        answer.properties.update(
            {**inputs, "outputs": outputs, "secretOutputNames": []}
        )
        return answer

    def _record(
        self, request: Any, urn: str, inputs: dict[str, Any], has_secrets: bool
    ) -> None:
        with self._lock:
            if urn in self._urns:
                raise DuplicateResourceError(
                    f"two resources are called {request.name!r} ({urn}): "
                    "give one of them another name"
                )
            self._urns.add(urn)
            self.recording.resources.append(
                Resource(
                    urn=urn,
                    type=request.type,
                    name=request.name,
                    inputs=inputs,
                    custom=getattr(request, "custom", True),
                    parent=request.parent,
                    provider=request.provider,
                    has_secrets=has_secrets,
                    ignore_changes=tuple(getattr(request, "ignoreChanges", ())),
                    protect=getattr(request, "protect", False),
                    retain=getattr(request, "retainOnDelete", False),
                    depends_on=tuple(sorted(request.dependencies)),
                    digest=digest(request),
                )
            )

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if f"::{STACK_TYPE}::" in request.urn:
            outputs, _ = values(request.outputs)
            self.recording.outputs.update(outputs)
        return empty_pb2.Empty()


class RecordingEngine(mocks.MockEngine):
    """Keeps what a program logs."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(None)
        self.recording = recording

    def Log(self, request: Any) -> Any:  # noqa: N802
        if request.severity in (engine_pb2.WARNING, engine_pb2.ERROR):
            self.recording.messages.append(request.message)
        return empty_pb2.Empty()
