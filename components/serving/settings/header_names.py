"""Request headers that already have a meaning, and what it is."""

from __future__ import annotations

TAKEN = {
    **dict.fromkeys(
        (
            "connection",
            "expect",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ),
        "it is about one connection, and proxies remove it (RFC 9110, section 7.6.1)",
    ),
    **dict.fromkeys(
        (
            "accept",
            "accept-encoding",
            "content-encoding",
            "content-length",
            "content-type",
            "host",
            "inference-header-content-length",
            "range",
        ),
        "it describes the request's body or answer",
    ),
    **dict.fromkeys(
        ("cookie", "origin", "referer", "user-agent"), "browsers and clients set it"
    ),
    **dict.fromkeys(
        ("forwarded", "via", "x-forwarded-for", "x-real-ip"),
        "proxies write the caller's address into it",
    ),
    **dict.fromkeys(
        ("baggage", "traceparent", "tracestate", "x-request-id"),
        "it identifies the request in logs and traces",
    ),
    **dict.fromkeys(
        ("x-client-id", "x-client-subject"), "the gateway writes the client into it"
    ),
    **dict.fromkeys(
        ("x-model", "x-model-revision"), "callers choose a model or a revision with it"
    ),
    "authorization": "tokens are in it",
}
PREFIXES = {
    "grpc-": "gRPC uses it",
    "x-envoy-": "Envoy acts on it",
    "x-forwarded-": "proxies write what they received into it",
}


def meaning(name: str) -> str | None:
    """What a header in lower case is for; None if it is free."""
    if name in TAKEN:
        return TAKEN[name]
    return next(
        (why for start, why in PREFIXES.items() if name.startswith(start)), None
    )
