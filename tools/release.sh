#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# Builds what is to be installed: compiled, made to work for some seconds, and compiled again for what it did then
# (profile-guided optimisation).
#
#   tools/release.sh [BUILDDIR [MESON-OPTION...]]
#
# BUILDDIR (default: build-release) is made anew. Afterwards: meson install -C BUILDDIR. Installs missing Debian
# packages (as root or with sudo), listens on loopback only, never asks.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pids=() work=

note() {
    printf '==> %s  [%ss]\n' "$*" "$SECONDS"
}

fail() {
    printf 'release: %s\n' "$*" >&2
    exit 1
}

on_exit() {
    local code=$?
    trap - EXIT
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    [ -z "$work" ] || rm -rf "$work"
    exit $code
}
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# quietly WHAT COMMAND...: its output is shown when it fails.
quietly() {
    local what=$1
    shift
    "$@" >"$work/log" 2>&1 </dev/null || {
        tail -n 40 "$work/log" >&2
        fail "$what failed (above: the end of what it said)"
    }
}

# start NAME ARGUMENT...: an agfsd on free ports; sets clear and tls to its URLs.
start() {
    local addr=$work/$1.addr pid i
    "$build/tools/agfsd/agfsd" -addr 127.0.0.1:0 --tls-addr 127.0.0.1:0 --tls-cert "$pki/server.pem" \
        --tls-key "$pki/server.key" --client-ca "$pki/ca.pem" --client-cert optional --addr-file "$addr" \
        --log-level warn "${@:2}" >"$work/$1.log" 2>&1 </dev/null &
    pid=$!
    pids+=("$pid")
    for ((i = 0; i < 600; i++)); do
        if [ -s "$addr" ] && [ "$(wc -l <"$addr")" = 2 ]; then
            clear=$(grep '^http:' "$addr") tls=$(grep '^https:' "$addr")
            return
        fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    cat "$work/$1.log" >&2
    fail "the server that the build is tried with does not start"
}

# bench ARGUMENT...: a little of that workload.
bench() {
    quietly "the workload '$*'" "$build/tools/bench/agfs-bench" -q --rounds 1 --warmup 0 "$@"
}

agfs() {
    quietly "'agfs $*'" "$build/tools/agfs/agfs" --server "$near_clear" "$@"
}

# What the programs are for: small calls by few and by many, directly and through a second server, with each kind of
# mount; and large contents. Functions that never run here are made small instead of fast.
work_for_a_while() {
    local target mixed=stat:40,read:40,write:15,list:5
    local as_client=ca_file=$pki/ca.pem,client_cert=$pki/client.pem,client_key=$pki/client.key
    for target in "$far_tls,$as_client" "$near_tls,path=/remote/memfs,$as_client"; do
        bench -w $mixed -s 1KiB -c 1 -n 4000 "$target"
        bench -w $mixed -s 1KiB -c 16 -n 10000 "$target"
        bench -w read -s 250 -c 64 -n 20000 "$target"
        bench -w create+remove -c 8 -n 1000 "$target"
        bench -w list --entries 1000 -n 100 "$target"
        bench -w read -s 64MiB -n 8 "$target"
        bench -w write -s 64MiB -n 8 "$target"
    done
    bench -w $mixed -c 16 -n 4000 "$near_clear,path=/local"
    bench -w enqueue+dequeue -s 100 -c 4 -n 4000 "$far_tls,queue=/queuefs,$as_client" "$near_clear,queue=/remote/queuefs"
    agfs upload -r "$root/lib" /remote/memfs/lib
    agfs cp -r /remote/memfs/lib /local/lib
    agfs grep -r pfs_fail /remote/memfs/lib
    agfs digest /remote/memfs/lib/base/err.c
    agfs download -r /local/lib "$work/lib"
    agfs rm -r /remote/memfs/lib
}

case "${1:-}" in
-h | --help) sed -n '4,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
-*) fail "no such flag: $1 (a build directory is wanted first)" ;;
esac
build=${1:-build-release}
[ $# = 0 ] || shift
[ ! -e "$build" ] || [ -d "$build/meson-private" ] || fail "'$build' is there and is no build directory: give another name"
rm -rf "$build"
work=$(mktemp -d) pki=$work/pki
"$root/tools/dev/packages.sh" build || fail 'packages are missing and could not be installed (above: which)'

note "$build: with counters"
quietly 'setting up the build' /usr/bin/meson setup "$build" "$root" -Dtests=false -Db_pgo=generate "$@"
quietly 'the build' ninja -C "$build" tools/agfsd/agfsd tools/agfs/agfs tools/bench/agfs-bench
build=$(cd "$build" && pwd)

note 'at work'
quietly 'making certificates' "$root/tools/dev/certs.sh" "$pki"
mkdir "$work/files"
start far --mount memfs:/memfs --mount queuefs:/queuefs
far_tls=$tls
start near --mount "localfs:/local:local_dir=$work/files" \
    --mount "proxyfs:/remote:base_url=$far_tls,ca_file=$pki/ca.pem,client_cert=$pki/client.pem,client_key=$pki/client.key"
near_tls=$tls near_clear=$clear
work_for_a_while
kill "${pids[@]}"
wait "${pids[@]}" || fail "a server did not end in order: $(cat "$work"/*.log)"
pids=()

note 'again, for what it did'
quietly 'setting up the build' /usr/bin/meson configure "$build" -Db_pgo=use
quietly 'the build' ninja -C "$build"
note "done: meson install -C $build"
