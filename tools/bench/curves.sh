#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# How cost grows with the work: 1 to 256 callers, 10 to 100,000 directory entries, 1 KiB to 1 GiB, 1 to 64
# remotes; each directly and through a second server, over mutual TLS. A table for each on standard output, and
# callers.html, entries.html, size.html and remotes.html (with the same in .csv) in DIRECTORY.
#
#   tools/bench/curves.sh [--quick] [BUILDDIR [DIRECTORY]]   (default: build curves; two minutes, 3 GiB of disk)
#
# It starts its own servers on loopback and stops them.
set -euo pipefail
quick=
[ "${1:-}" != --quick ] || { quick=1 && shift; }
case "${1:-}" in -*) sed -n '4,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 2 ;; esac
source_dir=$(dirname "${BASH_SOURCE[0]}")/../..
build=$(realpath "${1:-build}") out=${2:-curves}
work=$(mktemp -d) pids=()
trap 'kill ${pids[@]+"${pids[@]}"} 2>/dev/null || true; wait; rm -rf "$work"' EXIT
mkdir -p "$out" "$work/files"
"$source_dir/tools/dev/certs.sh" "$work/pki" >/dev/null
# 64 remotes and the one that prepares: more connections of one certificate than a server takes otherwise.
printf 'server:\n  limits:\n    connections_per_identity: 128\n' >"$work/agfsd.yaml"

# start NAME MOUNT...: a server with those mounts; sets url.
start() {
    local name=$1 mounts=() deadline=$((SECONDS + 20))
    shift
    for m; do mounts+=(--mount "$m"); done
    "$build/tools/agfsd/agfsd" -c "$work/agfsd.yaml" -addr '' --tls-addr 127.0.0.1:0 --tls-cert "$work/pki/server.pem" --tls-key \
        "$work/pki/server.key" --client-ca "$work/pki/ca.pem" --addr-file "$work/$name" --log-level error \
        "${mounts[@]}" >"$work/$name.log" 2>&1 &
    pids+=($!)
    until [ -s "$work/$name" ] && [ "$(tail -c 1 "$work/$name" | wc -l)" = 1 ]; do
        if ! kill -0 $! 2>/dev/null || [ $SECONDS -gt $deadline ]; then
            echo "curves.sh: $name does not start: $(tail -n 3 "$work/$name.log")" >&2
            exit 1
        fi
        sleep 0.05
    done
    read -r url <"$work/$name"
}

# curve NAME TIME ROUNDS VALUES AGFS-BENCH-ARGUMENT...
curve() {
    local name=$1 time=$2 rounds=$3 values=$4
    shift 4
    [ -z "$quick" ] || { time=20ms && rounds=1 && values=${values%%,..*}; } # the first few
    printf '\n==> %s\n' "$name"
    set -- -d "$time" --rounds "$rounds" --sweep "$name=$values" "$@"
    "$build/tools/bench/agfs-bench" -q --cacert "$work/pki/ca.pem" --cert "$work/pki/client.pem" --key \
        "$work/pki/client.key" --html "$out/$name.html" --csv "$out/$name.csv" "$@"
}

start far memfs:/memfs "localfs:/local:local_dir=$work/files"
far=$url
start near "proxyfs:/remote:base_url=$far,ca_file=$work/pki/ca.pem,client_cert=$work/pki/client.pem,client_key=$work/pki/client.key"
near=$url

curve callers 1s 2 1,2,..,256 -w read -s 250 "$far,name=direct,path=/memfs" "$near,name=hop,path=/remote/memfs"
curve entries 1s 2 10,100,..,100000 -w list "$far,name=direct,path=/memfs" "$near,name=hop,path=/remote/memfs"
curve size 2s 1 1KiB,4KiB,..,1GiB -w read "$far,name=direct,path=/local" "$near,name=hop,path=/remote/local"
curve remotes 1s 2 1,2,..,64 -w stat -c 16 "$far,name=direct,path=/memfs"
