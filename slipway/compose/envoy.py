"""envoy.yaml: the configuration that Envoy Gateway would send to a proxy.

Listeners, connection limit, request ids, path normalisation and access log are those
that Envoy Gateway 1.9 gave a proxy of platform.lab (its config_dump, 2026-11-23). New
are the endpoints: names that Docker resolves, health checks in place of endpoint
slices, and a retry where no byte of an answer has come.
"""

from __future__ import annotations

from typing import Any

from components.platform.gateway import METRICS_PORT, PROXY_PORT
from slipway.compose.objects import Objects
from slipway.compose.routes import ANOTHER_HOST, Envoy, routes
from slipway.compose.servers import Backend, Backends

ADMIN_PORT = 19000
READY_PORT = 19003
BUFFER_BYTES = 32768
_TYPE = "type.googleapis.com/envoy.extensions."
_FILTERS = "filters.http."
_ADMIN = "admin"
RETRY = {
    # No endpoint slice shows that a container leaves: requests that are refused or cut
    # off before the response begins are retried on another replica.
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 2,
    **ANOTHER_HOST,
}

EJECTION = {
    # A replica that cannot be reached gets no requests until its health check passes:
    # once restarted, it would answer 503 while it loads its model.
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 1,
    "enforcing_consecutive_local_origin_failure": 100,
    # The server's own responses are for its callers: overload is not a failure.
    "enforcing_consecutive_5xx": 0,
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_success_rate": 0,
    "enforcing_local_origin_success_rate": 0,
    "base_ejection_time": "30s",
    "max_ejection_percent": 100,
}


def bootstrap(
    objects: Objects,
    backends: Backends,
    *,
    access_log: dict[str, str],
    max_connections: int | None,
    request_timeout: str | None,
) -> Envoy:
    """The whole configuration. `request_timeout` is for reading a request."""
    found = routes(objects, backends.cluster_of)
    listeners = [
        _listener(found, access_log, max_connections, request_timeout),
        _metrics_listener(),
        _ready_listener(),
    ]
    clusters = [_admin_cluster(), *map(_cluster, backends.used())]
    return {
        "node": {"id": "gateway", "cluster": "slipway"},
        "admin": {"address": _address("127.0.0.1", ADMIN_PORT)},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }


def _address(host: str, port: int) -> Envoy:
    return {"socket_address": {"address": host, "port_value": port}}


def _typed(name: str, kind: str, **fields: Any) -> Envoy:
    return {"name": name, "typed_config": {"@type": f"{_TYPE}{kind}", **fields}}


def _router() -> Envoy:
    kind = f"{_FILTERS}router.v3.Router"
    return _typed(f"envoy.{_FILTERS}router", kind, suppress_envoy_headers=True)


def _manager(prefix: str, found: list[Envoy], **fields: Any) -> Envoy:
    filters, host = fields.pop("http_filters", []), fields.pop("host", {})
    host = {"name": prefix, "domains": ["*"], "routes": found, **host}
    return _typed(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=prefix,
        route_config={
            "name": prefix,
            "virtual_hosts": [host],
            "ignore_port_in_host_matching": True,
        },
        http_filters=[*filters, _router()],
        normalize_path=True,
        **fields,
    )


def _log(access_log: dict[str, str]) -> list[Envoy]:
    return [
        _typed(
            "envoy.access_loggers.file",
            "access_loggers.file.v3.FileAccessLog",
            path="/dev/stdout",
            log_format={"json_format": access_log},
        )
    ]


def _listener(
    found: list[Envoy],
    access_log: dict[str, str],
    max_connections: int | None,
    request_timeout: str | None,
) -> Envoy:
    # The prefix that the platform's alerts query.
    prefix = f"http-{PROXY_PORT}"
    manager = _manager(
        prefix,
        found,
        host={"retry_policy": RETRY},
        access_log=_log(access_log),
        use_remote_address=True,
        # A caller's own id finds its prediction in the log again.
        generate_request_id=True,
        preserve_external_request_id=True,
        request_id_extension={
            "typed_config": {
                "@type": f"{_TYPE}request_id.uuid.v3.UuidRequestIdConfig",
                # It would change a character of ids that are as long as a UUID.
                "pack_trace_reason": False,
            }
        },
        merge_slashes=True,
        path_with_escaped_slashes_action="UNESCAPE_AND_REDIRECT",
        server_header_transformation="PASS_THROUGH",
        common_http_protocol_options={
            "headers_with_underscores_action": "REJECT_REQUEST"
        },
        http2_protocol_options={
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65536,
            "initial_connection_window_size": 1048576,
        },
        **({"request_timeout": request_timeout} if request_timeout else {}),
    )
    filters = [manager]
    if max_connections:
        limit = _typed(
            "envoy.filters.network.connection_limit",
            "filters.network.connection_limit.v3.ConnectionLimit",
            stat_prefix=prefix,
            max_connections=max_connections,
        )
        filters.insert(0, limit)
    return {
        "name": "http",
        "address": _address("0.0.0.0", PROXY_PORT),  # noqa: S104 published on loopback
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [{"filters": filters}],
    }


def _metrics_listener() -> Envoy:
    get = {"name": ":method", "string_match": {"exact": "GET"}}
    match = {"path": "/stats/prometheus", "headers": [get]}
    only = {"match": match, "route": {"cluster": _ADMIN}}
    return {
        "name": "metrics",
        "address": _address("0.0.0.0", METRICS_PORT),  # noqa: S104 not published
        "filter_chains": [{"filters": [_manager("metrics", [only])]}],
    }


def _ready_listener() -> Envoy:
    """Respond to /ready as long as the proxy works; for the container's own check."""
    check = _typed(
        f"envoy.{_FILTERS}health_check",
        f"{_FILTERS}health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=[{"name": ":path", "string_match": {"exact": "/ready"}}],
    )
    refused = {"match": {"prefix": "/"}, "direct_response": {"status": 500}}
    manager = _manager("ready", [refused], http_filters=[check])
    return {
        "name": "ready",
        "address": _address("127.0.0.1", READY_PORT),
        "filter_chains": [{"filters": [manager]}],
    }


def _endpoints(name: str, hosts: list[tuple[str, int]]) -> Envoy:
    endpoints = [{"endpoint": {"address": _address(*host)}} for host in hosts]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}


def _admin_cluster() -> Envoy:
    return {
        "name": _ADMIN,
        "type": "STATIC",
        "connect_timeout": "0.25s",
        "load_assignment": _endpoints(_ADMIN, [("127.0.0.1", ADMIN_PORT)]),
    }


def _cluster(backend: Backend) -> Envoy:
    found: Envoy = {
        "name": backend.cluster,
        # Docker's own name server returns every running replica.
        "cluster_type": _typed(
            "envoy.cluster.dns",
            "clusters.dns.v3.DnsCluster",
            dns_lookup_family="V4_ONLY",
            dns_refresh_rate="1s",
            dns_failure_refresh_rate={"base_interval": "1s", "max_interval": "2s"},
        ),
        # The kernel accepts connections however busy a server is: silence means gone.
        "connect_timeout": "0.5s",
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "lb_policy": "LEAST_REQUEST",
        # If all replicas are unhealthy, requests fail at once instead of waiting.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "ignore_health_on_host_removal": True,
        "outlier_detection": EJECTION,
        "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
        "load_assignment": _endpoints(
            backend.cluster, [(host, backend.port) for host in backend.hosts]
        ),
    }
    found |= backend.traffic
    if backend.health_path:
        found["health_checks"] = [
            {
                "timeout": "3s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": {
                    # Otherwise the cluster's name, which no web framework accepts as a
                    # host.
                    "host": backend.hosts[0],
                    "path": backend.health_path,
                },
            }
        ]
    if backend.http2:
        options: Envoy = {"explicit_http_config": {"http2_protocol_options": {}}}
        kind = "upstreams.http.v3.HttpProtocolOptions"
        found["typed_extension_protocol_options"] = {
            f"envoy.extensions.{kind}": {"@type": f"{_TYPE}{kind}", **options}
        }
    return found
