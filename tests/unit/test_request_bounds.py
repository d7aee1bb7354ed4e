"""What callers may fill of a replica's memory, by the settings of its server."""

from __future__ import annotations

import pytest

from tests.support import rendered


@pytest.mark.parametrize(
    ("memory", "grpc", "buffered", "calls"),
    [
        (512, False, 64 * 2**20, None),
        (87, False, 2**20, None),
        (115, False, 15 * 2**20, None),
        (512, True, 64 * 2**20, "299"),
        (88, True, 2**20, "1"),
    ],
)
def test_what_callers_may_fill_follows_the_memory(
    memory: int, grpc: bool, buffered: int, calls: str | None
) -> None:
    """80 MiB of its own, a body that is read, and as much twice as bodies may take."""
    pod = rendered.pod(
        rendered.model(
            resources={"memory_request_mib": 64, "memory_limit_mib": memory},
            runtime={"kind": "onnx", "grpc": grpc},
        )
    )
    variables = pod["containers"][0]["env"]
    told = {it["name"]: it["value"] for it in variables if "value" in it}
    assert told["MODEL_SERVER_MAX_BUFFERED_BYTES"] == str(buffered)
    assert told.get("MODEL_SERVER_GRPC_MAX_CALLS") == calls
    assert "MODEL_SERVER_MAX_CONNECTIONS" not in told  # those of HTTP
