#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# remote.sh AGFSD REMOTE_TEST PLUGIN: runs the plugin against a server on a free port. 77: no server.
set -eu
agfsd=$1 test=$2 plugin=$3
[ -x "$agfsd" ] || exit 77
dir=$(mktemp -d)
pid=
cleanup() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

"$agfsd" --addr 127.0.0.1:0 --addr-file "$dir/addr" >"$dir/log" 2>&1 &
pid=$!
tries=0
until [ -s "$dir/addr" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 200 ] || ! kill -0 "$pid" 2>/dev/null; then
        cat "$dir/log" >&2
        echo "the server did not start" >&2
        exit 1
    fi
    sleep 0.05
done
url=$(head -n 1 "$dir/addr")/api/v1
curl -fsS -X POST "$url/mount" -d '{"fstype":"memfs","path":"/plugin-test","config":{}}' >/dev/null
"$test" "$plugin" "{\"base_url\":\"$url\",\"mount_path\":\"/remote\"}" /plugin-test/t
"$test" "$plugin" "{\"base_url\":\"$url\",\"protocol\":\"h2\",\"mount_path\":\"/remote\"}" /plugin-test/t
