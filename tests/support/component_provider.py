"""The component provider as a process, with a monitor in the engine's place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import struct_pb2
from pulumi.runtime.proto import (
    engine_pb2_grpc,
    provider_pb2,
    provider_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
)

from slipway.rendering.recorder import Recording, RecordingEngine, RecordingMonitor
from toolchain import paths

PROJECT, STACK = "theirs", "dev"
STARTED_SECONDS = 60


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """Records what the provider registers, as a rendering does."""

    def __init__(self, recording: Recording) -> None:
        self.inner = RecordingMonitor(recording, PROJECT, STACK)

    def SupportsFeature(self, request: Any, _: Any) -> Any:  # noqa: N802
        answer: Any = self.inner.SupportsFeature(request)  # type: ignore[no-untyped-call]
        return resource_pb2.SupportsFeatureResponse(hasSupport=answer.hasSupport)

    def GetDeploymentInfo(self, request: Any, _: Any) -> Any:  # noqa: N802
        return self.inner.GetDeploymentInfo(request)  # type: ignore[no-untyped-call]

    def RegisterResource(self, request: Any, _: Any) -> Any:  # noqa: N802
        return self.inner.RegisterResource(request)

    def RegisterResourceOutputs(self, request: Any, _: Any) -> Any:  # noqa: N802
        return self.inner.RegisterResourceOutputs(request)


class Engine(engine_pb2_grpc.EngineServicer):
    """Keeps what the provider logs."""

    def __init__(self, recording: Recording) -> None:
        self.inner = RecordingEngine(recording)

    def Log(self, request: Any, _: Any) -> Any:  # noqa: N802
        return self.inner.Log(request)


@dataclass(frozen=True)
class Running:
    """A started provider."""

    stub: Any
    recording: Recording
    monitor: str
    """Address of the monitor."""

    def construct(self, token: str, name: str, inputs: Mapping[str, Any]) -> Any:
        """The ConstructResponse; grpc.RpcError if the provider refuses."""
        struct = struct_pb2.Struct()
        struct.update(inputs)
        request = provider_pb2.ConstructRequest(
            project=PROJECT,
            stack=STACK,
            type=token,
            name=name,
            inputs=struct,
            monitorEndpoint=self.monitor,
            parallel=4,
        )
        return self.stub.Construct(request, timeout=STARTED_SECONDS)


@contextmanager
def running(*command: str | Path, **environment: str) -> Iterator[Running]:
    """Starts `command` (by default this checkout's provider) until the block ends."""
    recording = Recording()
    server = grpc.server(ThreadPoolExecutor(4))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(Monitor(recording), server)
    engine_pb2_grpc.add_EngineServicer_to_server(Engine(recording), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    words = command or (sys.executable, paths.ROOT / "slipway" / "provider")
    with subprocess.Popen(
        [*words, address], stdout=subprocess.PIPE, env=environment or None, text=True
    ) as process:
        try:
            assert process.stdout
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub = provider_pb2_grpc.ResourceProviderStub(channel)
                yield Running(stub, recording, address)
        finally:
            process.terminate()
            server.stop(None)
