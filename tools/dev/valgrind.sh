#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# A session between two servers over mutual TLS, all programs under valgrind: no error, no leak.
#
#   tools/dev/valgrind.sh BUILD-DIR
set -euo pipefail
build=$(cd "${1:?usage: tools/dev/valgrind.sh BUILD-DIR}" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d)
pids=()
on_exit() {
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    rm -rf "$dir"
}
trap on_exit EXIT
check=(valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite,indirect,possible
    --error-exitcode=99 "--log-file=$dir/valgrind.%p")

# start NAME FLAG...: a server; sets url.
start() {
    local name=$1 i
    shift
    "${check[@]}" "$build/tools/agfsd/agfsd" --addr-file "$dir/$name.url" "$@" 2>"$dir/$name.log" &
    pids+=($!)
    for ((i = 0; i < 600; i++)); do
        [ ! -s "$dir/$name.url" ] || break
        sleep 0.05
    done
    url=$(head -n 1 "$dir/$name.url")
}

"$here/certs.sh" "$dir/pki"
start remote --tls-addr 127.0.0.1:0 --tls-cert "$dir/pki/server.pem" --tls-key "$dir/pki/server.key" \
    --client-ca "$dir/pki/ca.pem" --mount memfs:/
remote=$url
start local -addr 127.0.0.1:0
"${check[@]}" "$build/tools/agfs/agfs" --server "$url" /dev/stdin >"$dir/out" <<SHELL
mount proxyfs /remote base_url=$remote ca_file=$dir/pki/ca.pem client_cert=$dir/pki/client.pem client_key=$dir/pki/client.key
mkdir /remote/data
echo "hello" > /remote/data/file.txt
cat /remote/data/file.txt
ls -l /remote/data
mv /remote/data/file.txt /remote/data/moved.txt
stat /remote/reload
echo '' > /remote/reload
cat /remote/.proxyfs/status
cp -r local:$here /remote/scripts
cp -r /remote/scripts local:$dir/back
grep -r pids /remote/scripts
rm -r /remote/data
unmount /remote
SHELL
diff -r "$here" "$dir/back"
code=0
for pid in "${pids[@]}"; do
    kill "$pid"
    wait "$pid" || code=$?
done
pids=()
for report in "$dir"/valgrind.*; do
    [ ! -s "$report" ] || {
        cat "$report"
        code=1
    }
done
[ $code = 0 ] || echo "valgrind.sh: a program failed or lost memory (exit code $code)" >&2
exit $code
