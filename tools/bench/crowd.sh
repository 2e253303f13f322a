#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# What 256 reads of 8 MiB at once through two servers leave of small calls meanwhile: with agfsd, which mounts
# another agfsd over TLS, and in the same places with nginx, which passes requests on to another nginx over TLS.
#
#   tools/bench/crowd.sh [BUILDDIR [READS]]      (default: build 256)
#
# It starts its own servers on loopback and stops them. tests/stress/crowd.c says what is printed.
set -euo pipefail
case "${1:-}" in -*) sed -n '4,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 2 ;; esac
build=$(realpath "${1:-build}") reads=${2:-256}
work=$(mktemp -d) pids=()
trap 'kill ${pids[@]+"${pids[@]}"} 2>/dev/null || true; wait; rm -rf "$work"' EXIT
pki=$build/tests/stress/pki crowd=$build/tests/stress/stress_crowd
mkdir -p "$work/www/api/v1"

echo "==> agfsd"
"$crowd" "$build/tools/agfsd/agfsd" "$pki" "$reads"

command -v nginx >/dev/null || { echo "crowd.sh: nginx is not installed" >&2; exit 1; }
read -r near far far_tls < <(python3 -c 'import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(x.getsockname()[1] for x in s))')
temp="client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;"
common="user $(id -un) $(id -gn); daemon off; worker_processes auto; error_log stderr error; events { worker_connections 2048; }"
cat >"$work/far.conf" <<END
$common pid $work/far.pid;
http { access_log off; sendfile on; keepalive_requests 1000000; ssl_protocols TLSv1.3; $temp
  server { listen 127.0.0.1:$far_tls ssl reuseport; listen 127.0.0.1:$far reuseport;
    ssl_certificate $pki/server.pem; ssl_certificate_key $pki/server.key; root $work/www;
    location = /api/v1/stat { return 200 '{"name":"f","size":8388608,"meta":{"content":{}}}'; } } }
END
cat >"$work/near.conf" <<END
$common pid $work/near.pid;
http { access_log off; keepalive_requests 1000000; $temp
  upstream far { server 127.0.0.1:$far_tls; keepalive 300; keepalive_requests 1000000; }
  server { listen 127.0.0.1:$near reuseport;
    location / { proxy_pass https://far; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_max_temp_file_size 0; proxy_ssl_protocols TLSv1.3; proxy_buffers 16 64k; proxy_buffer_size 64k; } } }
END
for name in far near; do
    nginx -c "$work/$name.conf" -p "$work" 2>"$work/$name.log" &
    pids+=($!)
done
for port in "$near" "$far"; do
    timeout 20 bash -c "until (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; do sleep 0.05; done" ||
        { echo "crowd.sh: nginx does not start: $(tail -n 3 "$work"/*.log)" >&2; exit 1; }
done
echo "==> nginx ('near server' is asked for the far one's answer as well)"
"$crowd" --at "$near" "$far" "$work/www/api/v1/files" "$reads"
