"""Loaded by schemathesis (SCHEMATHESIS_HOOKS): what no schema can say of a request.

A case that shall be right gets as many values as its shape has, names each output once
and leaves the server time, by header and by parameter; raw tensors have tests of their
own.
"""

from __future__ import annotations

import math
from typing import Any

import schemathesis


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out raw tensors, and headers that nobody knows, which nobody refuses."""
    headers = {name.lower() for name in case.headers or {}}
    return (
        case.media_type in {None, "application/json"}
        and "x-schemathesis-unknown-property" not in headers
    )


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    timeout = (case.headers or {}).get("X-Request-Timeout-Ms", "")
    if timeout.isdigit() and 0 < int(timeout) < 1_000_000_000:
        case.headers["X-Request-Timeout-Ms"] = "60000"
    if isinstance(case.body, dict):
        parameters = case.body.get("parameters")
        if isinstance(parameters, dict) and isinstance(parameters.get("timeout"), int):
            parameters["timeout"] = 60_000_000 if parameters["timeout"] > 0 else 0
    if case.meta is None or case.meta.generation.mode == "negative":
        return
    if not isinstance(case.body, dict):
        return
    for tensor in case.body["inputs"]:
        data, width = tensor["data"], math.prod(tensor["shape"][1:])
        is_nested = isinstance(data[0], list)
        rows = len(data) if is_nested else len(data) // int(width)
        tensor["shape"] = [rows, *map(int, tensor["shape"][1:])]
        tensor["data"] = data if is_nested else data[: rows * int(width)]
    if outputs := case.body.get("outputs"):
        named = {output["name"]: output for output in outputs}
        case.body["outputs"] = list(named.values())
