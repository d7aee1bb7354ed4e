"""Request headers that already have a meaning, and what it is."""

from __future__ import annotations

from components.contracts import HEADERS

TAKEN = {
    **dict.fromkeys(
        (
            "connection",
            "expect",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "proxy-connection",
            "http2-settings",
            "max-forwards",
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
            "allow",
            "cache-control",
            "date",
            "digest",
            "endpoint-load-metrics-format",
            "host",
            "inference-header-content-length",
            "pragma",
            "priority",
            "range",
            "repr-digest",
            "retry-after",
            "server",
            "set-cookie",
            "vary",
            "want-content-digest",
            "want-repr-digest",
        ),
        "it describes the request's body or answer",
    ),
    **dict.fromkeys(
        (
            "cookie",
            "dnt",
            "from",
            "origin",
            "referer",
            "save-data",
            "upgrade-insecure-requests",
            "user-agent",
            "x-requested-with",
        ),
        "browsers and clients set it",
    ),
    **dict.fromkeys(
        (
            "cdn-loop",
            "cf-connecting-ip",
            "early-data",
            "fastly-client-ip",
            "forwarded",
            "true-client-ip",
            "via",
            "x-client-ip",
            "x-cluster-client-ip",
            "x-forwarded",
            "x-original-forwarded-for",
            "x-real-ip",
        ),
        "proxies write the caller's address or their own name into it",
    ),
    **dict.fromkeys(
        (
            "b3",
            "baggage",
            "traceparent",
            "tracestate",
            "uber-trace-id",
            "x-cloud-trace-context",
            "x-correlation-id",
            HEADERS["request_id"],
        ),
        "it identifies the request in logs and traces",
    ),
    **dict.fromkeys(
        (
            "x-http-method",
            "x-http-method-override",
            "x-method-override",
            "x-original-url",
            "x-rewrite-url",
        ),
        "web frameworks take the method or the path from it",
    ),
    **dict.fromkeys(
        (HEADERS["client"], HEADERS["subject"]), "the gateway writes the client into it"
    ),
    **dict.fromkeys(
        (HEADERS["model"], HEADERS["revision"]),
        "callers choose a model or a revision with it",
    ),
    "authorization": "tokens are in it",
}
PREFIXES = {
    "accept-": "it describes the request's body or answer",
    "access-control-": "browsers ask by it whether they may call",
    "content-": "it describes the request's body or answer",
    "grpc-": "gRPC uses it",
    "if-": "it makes the request conditional (RFC 9110, section 13)",
    "sec-": "browsers set it, and pages cannot",
    "x-accel-": "NGINX acts on it",
    "x-amz-": "AWS writes into it and signs it",
    "x-amzn-": "AWS's load balancers write into it",
    "x-b3-": "it identifies the request in logs and traces",
    "x-datadog-": "it identifies the request in logs and traces",
    "x-envoy-": "Envoy acts on it",
    "x-forwarded-": "proxies write what they received into it",
    "x-ot-": "it identifies the request in logs and traces",
}


def meaning(name: str) -> str | None:
    """What a header in lower case is for; None if it is free."""
    if name in TAKEN:
        return TAKEN[name]
    return next(
        (why for start, why in PREFIXES.items() if name.startswith(start)), None
    )
