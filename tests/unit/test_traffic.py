"""What the gateway is told to do when a replica is not there."""

from __future__ import annotations

from typing import Any

from components.serving import runtimes
from tests.support import rendered as r


def policy(**args: Any) -> dict[str, Any]:
    spec: dict[str, Any] = r.manifest(r.model(**args), "BackendTrafficPolicy")["spec"]
    return spec


def test_another_replica_is_asked_only_where_none_answered() -> None:
    retry = policy()["retry"]
    assert retry["numRetries"] == 2
    # A status is an answer: a busy server's 503 would be multiplied.
    assert set(retry["retryOn"]) == {"triggers"}
    wanted = {"connect-failure", "refused-stream", "reset"}
    assert set(retry["retryOn"]["triggers"]) == wanted


def test_a_slow_model_is_not_asked_twice_unless_somebody_says_so() -> None:
    assert "timeout" not in policy()["retry"]["perRetry"]
    found = policy(requests={"retries": {"attempt_seconds": 2}})
    assert found["retry"]["perRetry"]["timeout"] == "2s"


def test_what_waits_for_a_lost_replica_is_asked_again_all_at_once() -> None:
    breaker = policy()["circuitBreaker"]
    # A budget refuses most of what fails in one moment: 365 of 20,000 in the lab.
    assert "retryBudget" not in breaker
    assert breaker["maxParallelRetries"] == breaker["maxParallelRequests"]


def test_only_who_cannot_be_reached_is_left_out_and_never_most() -> None:
    passive = policy()["healthCheck"]["passive"]
    assert passive["splitExternalLocalOriginErrors"]
    assert passive["consecutive5XxErrors"] == 0 == passive["consecutiveGatewayErrors"]
    assert passive["maxEjectionPercent"] <= 50


def test_they_can_be_switched_off() -> None:
    found = policy(requests={"retries": {"attempts": 0}})
    assert found["retry"] == {"numRetries": 0}
    assert found["timeout"]["tcp"] == {"connectTimeout": "1s"}


def test_access_is_in_the_same_policy() -> None:
    found = policy(access={"rate_total": {"requests": 5, "per": "second"}})
    assert {"rateLimit", "retry", "healthCheck"} <= set(found)


STREAM: dict[str, Any] = {
    "lifecycle": {
        "longest_request_seconds": 300,
        "stream_idle_seconds": 20,
        "drain_seconds": 300,
        "grace_seconds": 320,
    },
    "alerts": {"p99_milliseconds": 60_000, "queue_p99_milliseconds": 5000},
}


def test_an_answer_in_pieces_has_a_limit_and_one_for_its_silence() -> None:
    found = r.model(**STREAM)
    spec = r.manifest(found, "BackendTrafficPolicy")["spec"]
    assert spec["timeout"]["http"] == {"streamIdleTimeout": "20s"}
    rules = r.manifest(found, "HTTPRoute")["spec"]["rules"]
    limits = [rule["timeouts"]["request"] for rule in rules if "backendRefs" in rule]
    assert set(limits) == {"300s"}
    assert "http" not in policy()["timeout"]


def test_a_stream_of_grpc_has_both_limits() -> None:
    runtime = {"kind": "onnx", "grpc": True}
    found = r.model(**STREAM, runtime=runtime, grpc_route=True)
    spec = r.manifest(found, "BackendTrafficPolicy")["spec"]
    wanted = {"requestTimeout": "300s", "streamIdleTimeout": "20s"}
    assert spec["timeout"]["http"] == wanted
    assert spec["timeout"]["tcp"]


def test_every_kind_that_streams_is_asked_for_its_limits() -> None:
    """A table over the kinds: no default of another kind holds for them."""
    streaming = {kind for kind in runtimes.ALL if kind.FACTS.streams}
    assert runtimes.Vllm in streaming
    for kind in runtimes.ALL:
        # What gives answers in pieces by its nature has paths of that kind.
        talks = any("completions" in path for path in kind.FACTS.public)
        assert talks == (kind in streaming), kind
