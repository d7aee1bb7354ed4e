"""What gRPC itself logs: nothing of callers who have gone."""

from __future__ import annotations

import logging

import pytest
from model_server import grpc_server

LIBRARY = logging.getLogger("grpc._cython.cygrpc")


def test_a_caller_who_has_gone_is_no_error_of_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert grpc_server.GrpcServer  # its import sets the filter
    method = "[/inference.GRPCInferenceService/ModelInfer]"
    LIBRARY.error("ExecuteBatchError raised in core by servicer method %s", method)
    LIBRARY.error("Unexpected [KeyError] raised by servicer method %s", method)
    assert [line.getMessage() for line in caplog.records] == [
        f"Unexpected [KeyError] raised by servicer method {method}"
    ]
