"""The messages of the Open Inference Protocol and of gRPC's health service.

Their classes are made here from `MESSAGES`, so that nothing generated is kept and no
compiler is needed. Names, numbers and types are those that the protocol's publishers
fixed; a test compares them with the descriptors of a published client. What the server
does not use is left out: protobuf skips fields it does not know.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

INFERENCE = "inference"
HEALTH = "grpc.health.v1"
CHOICE = "parameter_choice"
"""Name of the one choice that a message has: of the fields marked `oneof`."""

_MODEL = ("string name = 1", "string version = 2")
_TENSOR = ("string name = 1", "string datatype = 2", "repeated int64 shape = 3")
_NAMED_TENSOR = (*_TENSOR, "InferTensorContents contents = 5")
# A map is on the wire what a repeated message of key and value is.
_PARAMETERS = "repeated ParametersEntry parameters"

MESSAGES: dict[str, dict[str, tuple[str, ...]]] = {
    INFERENCE: {
        "ServerLiveRequest": (),
        "ServerLiveResponse": ("bool live = 1",),
        "ServerReadyRequest": (),
        "ServerReadyResponse": ("bool ready = 1",),
        "ModelReadyRequest": _MODEL,
        "ModelReadyResponse": ("bool ready = 1",),
        "ServerMetadataRequest": (),
        "ServerMetadataResponse": (
            "string name = 1",
            "string version = 2",
            "repeated string extensions = 3",
        ),
        "ModelMetadataRequest": _MODEL,
        "TensorMetadata": _TENSOR,
        "ModelMetadataResponse": (
            "string name = 1",
            "repeated string versions = 2",
            "string platform = 3",
            "repeated TensorMetadata inputs = 4",
            "repeated TensorMetadata outputs = 5",
        ),
        "InferTensorContents": (
            "repeated bool bool_contents = 1",
            "repeated int32 int_contents = 2",
            "repeated int64 int64_contents = 3",
            "repeated uint32 uint_contents = 4",
            "repeated uint64 uint64_contents = 5",
            "repeated float fp32_contents = 6",
            "repeated double fp64_contents = 7",
            "repeated bytes bytes_contents = 8",
        ),
        "InferParameter": (
            "oneof bool bool_param = 1",
            "oneof int64 int64_param = 2",
            "oneof string string_param = 3",
            "oneof double double_param = 4",
            "oneof uint64 uint64_param = 5",
        ),
        "ParametersEntry": ("string key = 1", "InferParameter value = 2"),
        "InferInputTensor": (*_NAMED_TENSOR, f"{_PARAMETERS} = 4"),
        "InferRequestedOutputTensor": ("string name = 1", f"{_PARAMETERS} = 2"),
        "ModelInferRequest": (
            "string model_name = 1",
            "string model_version = 2",
            "string id = 3",
            f"{_PARAMETERS} = 4",
            "repeated InferInputTensor inputs = 5",
            "repeated InferRequestedOutputTensor outputs = 6",
            "repeated bytes raw_input_contents = 7",
        ),
        "InferOutputTensor": _NAMED_TENSOR,
        "ModelInferResponse": (
            "string model_name = 1",
            "string model_version = 2",
            "string id = 3",
            "repeated InferOutputTensor outputs = 5",
            "repeated bytes raw_output_contents = 6",
        ),
    },
    HEALTH: {
        "HealthCheckRequest": ("string service = 1",),
        # An enumeration on the wire is the same as an int32.
        "HealthCheckResponse": ("int32 status = 1",),
    },
}

_Field = descriptor_pb2.FieldDescriptorProto
_LABELS = {"repeated": _Field.LABEL_REPEATED}
_pool = descriptor_pool.DescriptorPool()  # our own: others may define the same names


def _add(package: str, messages: dict[str, tuple[str, ...]]) -> None:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        if any(text.startswith("oneof ") for text in fields):
            message.oneof_decl.add(name=CHOICE)
        for text in fields:
            *label, kind, field_name, _, number = text.split()
            field = message.field.add(
                name=field_name,
                number=int(number),
                label=_LABELS.get("".join(label), _Field.LABEL_OPTIONAL),
            )
            if label == ["oneof"]:
                field.oneof_index = 0
            if kind in messages:
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")
    _pool.AddSerializedFile(file.SerializeToString())


for _package, _messages in MESSAGES.items():
    _add(_package, _messages)


def message(name: str, package: str = INFERENCE) -> Any:
    """Return the class of a message."""
    found = _pool.FindMessageTypeByName(f"{package}.{name}")
    return message_factory.GetMessageClass(found)
