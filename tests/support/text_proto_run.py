"""Runs in an environment of its own: text protobufs by the servers' definitions.

Reads {"name": {"message": ..., "text": ...}} from standard input and writes, by the
same names, {"parsed": ...} or {"error": ...}.

The package tensorflow-serving-api has model_server_config.proto; it needs tensorflow
for its requests alone, so it is installed without. BatchingParameters and
MonitoringConfig it has not: their fields stand here as tensorflow/serving has them:
tensorflow_serving/servables/tensorflow/session_bundle_config.proto and
tensorflow_serving/config/monitoring_config.proto (as known; no package has them).
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    json_format,
    message_factory,
    text_format,
    wrappers_pb2,
)

Field = descriptor_pb2.FieldDescriptorProto
_INT64_VALUE = ".google.protobuf.Int64Value"


def _own() -> dict[str, Any]:
    """The messages that no package has."""
    file = descriptor_pb2.FileDescriptorProto(
        name="own.proto", package="own", syntax="proto3"
    )
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    batching = file.message_type.add(name="BatchingParameters")
    for number, name in enumerate(
        (
            "max_batch_size",
            "batch_timeout_micros",
            "max_enqueued_batches",
            "num_batch_threads",
        ),
        start=1,
    ):
        batching.field.add(
            name=name,
            number=number,
            label=Field.LABEL_OPTIONAL,
            type=Field.TYPE_MESSAGE,
            type_name=_INT64_VALUE,
        )
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(
        name="enable", number=1, label=Field.LABEL_OPTIONAL, type=Field.TYPE_BOOL
    )
    prometheus.field.add(
        name="path", number=2, label=Field.LABEL_OPTIONAL, type=Field.TYPE_STRING
    )
    monitoring = file.message_type.add(name="MonitoringConfig")
    monitoring.field.add(
        name="prometheus_config",
        number=1,
        label=Field.LABEL_OPTIONAL,
        type=Field.TYPE_MESSAGE,
        type_name=".own.PrometheusConfig",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    names = ("BatchingParameters", "MonitoringConfig")
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"own.{name}"))
        for name in names
    }


def _triton() -> Any:
    """The definitions of Triton's client, without its imports of gRPC and numpy."""
    package = importlib.util.find_spec("tritonclient")
    assert package
    assert package.submodule_search_locations
    file = Path(package.submodule_search_locations[0], "grpc", "model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("model_config_pb2", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    tensorflow = importlib.import_module(
        "tensorflow_serving.config.model_server_config_pb2"
    )
    messages = {
        "ModelServerConfig": tensorflow.ModelServerConfig,
        "ModelConfig": _triton().ModelConfig,
        **_own(),
    }
    answers = {}
    for name, asked in json.load(sys.stdin).items():
        try:
            parsed = text_format.Parse(asked["text"], messages[asked["message"]]())
        except text_format.ParseError as error:
            answers[name] = {"error": str(error)}
            continue
        answers[name] = {
            "parsed": json_format.MessageToDict(
                parsed, preserving_proto_field_name=True
            )
        }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
