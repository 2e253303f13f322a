#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# From nothing to two servers, one mounted in the other over HTTP/2 with mutual TLS.
#
#   tools/quickstart.sh [--once] [--remote-port N] [--remote-tls-port N] [--local-port N] [--dir DIR]
#
#   --once               stop everything at the end; otherwise two servers keep running
#   --local-port N       of the local server (clear text, loopback)
#   --remote-tls-port N  of the remote server (TLS, asks for a client certificate)
#   --remote-port N      of the plain server that stands for the http:// remotes of the session
#   --dir DIR            for certificates, configuration, logs and data (default: a new one in /tmp)
#
# Ports not given are free ones. Installs missing Debian packages (as root or with sudo), builds in
# build-quickstart, listens on loopback only, never asks.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build-quickstart
once=no dir= made_dir=no local_port=0 tls_port=0 plain_port=0
pids=() # servers to stop when something fails

note() {
    printf '\n==> %s  [%ss]\n' "$*" "$SECONDS"
}

# fail WHAT WHAT-TO-DO
fail() {
    printf '\nquickstart: %s\n            %s\n' "$1" "$2" >&2
    exit 1
}

stop() {
    local pid
    for pid in "$@"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "$@"; do
        wait "$pid" 2>/dev/null || true
    done
}

on_exit() {
    local code=$?
    trap - EXIT
    stop "${pids[@]}"
    if [ $code != 0 ] && [ -n "$dir" ]; then
        printf '            Servers that were started are stopped. Logs and files: %s\n' "$dir" >&2
    fi
    exit $code
}
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

usage() {
    sed -n '5,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

# port FLAG VALUE: fails unless VALUE is a port.
port() {
    case "${2:-}" in
    '' | *[!0-9]*) fail "$1 needs a port number, not '${2:-}'" 'Leave it out to have a free port chosen.' ;;
    esac
    [ "${#2}" -le 5 ] && [ "$2" -le 65535 ] || fail "$1 $2: ports end at 65535" 'Choose a smaller one.'
}

while [ $# -gt 0 ]; do
    case "$1" in
    --once) once=yes && shift ;;
    --local-port) port "$@"; local_port=$2; shift 2 ;;
    --remote-tls-port) port "$@"; tls_port=$2; shift 2 ;;
    --remote-port) port "$@"; plain_port=$2; shift 2 ;;
    --dir)
        [ -n "${2:-}" ] || fail '--dir needs a directory' 'Leave it out to have one made in /tmp.'
        dir=$2
        shift 2
        ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && fail "no such flag: $1" 'The flags are listed above.' ;;
    esac
done

# ---- build --------------------------------------------------------------------------------------

note 'packages: what is missing is installed'
"$root/tools/dev/packages.sh" build ||
    fail 'packages are missing and could not be installed' 'The line above names them; then start this again.'
if [ -n "$dir" ]; then
    mkdir -p "$dir" && dir=$(cd "$dir" && pwd) && [ -w "$dir" ] ||
        fail "cannot write to '$dir'" 'Give another --dir.'
else
    dir=$(mktemp -d /tmp/proxyfs-XXXXXX) && made_dir=yes
fi
certs=$dir/certs

note "build: $build"
if [ ! -f "$build/build.ninja" ]; then
    rm -rf "$build"
    /usr/bin/meson setup "$build" "$root" -Dtests=false -Dbuildtype=release >"$dir/build.log" 2>&1 || {
        tail -n 20 "$dir/build.log" >&2
        fail 'meson could not set up the build' "The whole output is in $dir/build.log."
    }
fi
ninja -C "$build" tools/agfsd/agfsd tools/agfs/agfs >"$dir/build.log" 2>&1 || {
    tail -n 20 "$dir/build.log" >&2
    fail 'the build failed' "The whole output is in $dir/build.log; rm -r $build starts from scratch."
}
export PATH=$build/tools/agfs:$build/tools/agfsd:$PATH
agfsd --version

# ---- servers ------------------------------------------------------------------------------------

note "certificates: a CA, a server and a client in $certs"
"$root/tools/dev/certs.sh" "$certs" ||
    fail 'the certificates could not be made' 'The line above says why.'

# A proxy that the environment names has no business with servers on this machine.
export no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost
curl() {
    command curl -sS --fail-with-body --max-time 30 "$@"
}
as_client=(--cacert "$certs/ca.pem" --cert "$certs/client.pem" --key "$certs/client.key")

# start NAME: runs agfsd with DIR/NAME.yaml; sets pid and url once it serves everything configured.
start() {
    local name=$1 i
    rm -f "$dir/$name.url"
    setsid agfsd -c "$dir/$name.yaml" --addr-file "$dir/$name.url" \
        </dev/null >"$dir/$name.log" 2>&1 &
    pid=$!
    pids+=("$pid")
    for ((i = 0; i < 200; i++)); do
        if [ -s "$dir/$name.url" ]; then
            url=$(head -n 1 "$dir/$name.url")
            ! curl -o /dev/null "${as_client[@]}" "$url/api/v1/ready" 2>/dev/null || return 0
        fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    tail -n 5 "$dir/$name.log" >&2
    fail "the $name server did not start" "Its log is $dir/$name.log; is a port that you gave in use?"
}

note 'remote server: HTTP/2 over TLS, a client certificate is required'
mkdir -p "$dir/remote-disk"
cat >"$dir/remote.yaml" <<YAML
server:
  tls:
    address: 127.0.0.1:$tls_port
    cert: $certs/server.pem
    key: $certs/server.key
    client_ca: $certs/ca.pem
    client_cert: required
plugins:
  memfs: {enabled: true, path: /}
  localfs: {enabled: true, path: /disk, config: {local_dir: $dir/remote-disk}}
YAML
start remote
remote_pid=$pid remote_url=$url
curl -o /dev/null "${as_client[@]}" "$remote_url/api/v1/health" \
    -w "$remote_url: process $pid, HTTP/%{http_version}, status %{http_code} with a client certificate\n"
if curl -o /dev/null 2>/dev/null --cacert "$certs/ca.pem" "$remote_url/api/v1/health"; then
    fail 'the remote let somebody in who has no client certificate' "Please report this, with $dir/remote.log."
fi
echo "$remote_url: refuses without one"

# What a mount of the remote needs: in the shell, and in YAML.
tls_options="ca_file=$certs/ca.pem client_cert=$certs/client.pem client_key=$certs/client.key"
tls_yaml="ca_file: $certs/ca.pem, client_cert: $certs/client.pem, client_key: $certs/client.key"

note 'local server: clear text on loopback, the remote mounted at /remote and /proxyfs'
cat >"$dir/local.yaml" <<YAML
server:
  address: 127.0.0.1:$local_port
plugins:
  proxyfs:
    - {name: remote, enabled: true, path: /remote, config: {base_url: $remote_url/api/v1, $tls_yaml}}
    - {name: proxyfs, enabled: true, path: /proxyfs, config: {base_url: $remote_url/api/v1, $tls_yaml}}
YAML
start local
local_pid=$pid local_url=$url
export AGFS_API_URL=$local_url # for agfs
echo "$local_url: process $pid"

cat >"$dir/plain.yaml" <<YAML
server:
  address: 127.0.0.1:$plain_port
plugins:
  memfs: {enabled: true, path: /}
YAML
start plain
plain_pid=$pid plain_url=$url
echo "$plain_url: process $pid, plain HTTP, for the http:// remotes of the session only"

# ---- session ------------------------------------------------------------------------------------

# session: shows what the shell makes of standard input; nothing in it may fail.
session() {
    agfs --echo /dev/stdin 2>"$dir/session.err" | tee "$dir/session.out"
    [ ! -s "$dir/session.err" ] || {
        cat "$dir/session.err" >&2
        fail 'a command of the session failed' "The line above says why; see also $dir/local.log."
    }
}

# expect FILE LINE...: these lines came, in this order.
expect() {
    local file=$1 line rest
    shift
    rest=$(cat "$dir/$file")
    for line in "$@"; do
        grep -qxF -e "$line" <<<"$rest" ||
            fail "the session should have shown '$line'" "What it showed is in $dir/$file."
        rest=$(sed "1,$(grep -nxF -m1 -e "$line" <<<"$rest" | cut -d: -f1)d" <<<"$rest")
    done
}

# run COMMAND...: shows it and what it prints.
run() {
    local word shown='$'
    for word in "$@"; do
        case "$word" in
        *[?\ ]* | '') shown+=" \"$word\"" ;;
        *) shown+=" $word" ;;
        esac
    done
    echo "$shown"
    "$@" >"$dir/run.out" || fail "failed: $*" "See $dir/local.log."
    cat "$dir/run.out"
    [ -z "$(tail -c 1 "$dir/run.out")" ] || echo
}

note 'session: mounting'
session <<SHELL
unmount /remote
# Mount a single remote AGFS server
mount proxyfs /remote base_url=$remote_url/api/v1 $tls_options

# Mount multiple remote servers
mount proxyfs /dc1 base_url=$plain_url/api/v1
mount proxyfs /dc2 base_url=$plain_url/api/v1
mount proxyfs /backup base_url=$remote_url/api/v1 $tls_options

# Mount with HTTPS
mount proxyfs /secure base_url=$remote_url/api/v1 $tls_options

mount
SHELL
# shellcheck disable=SC2086 # options are words
run agfs mount proxyfs /prod base_url=$remote_url/api/v1 $tls_options

note 'session: use after mounting'
session <<'SHELL'
# All these operations happen on the remote server
mkdir /remote/data
echo "hello" > /remote/data/file.txt
cat /remote/data/file.txt
ls /remote/data

# The same file through other mounts of that server, and not on another server
cat /secure/data/file.txt
ls /dc1

# Hot reload the proxy connection if needed
echo '' > /remote/reload
SHELL
expect session.out hello file.txt hello 'ProxyFS reloaded successfully'

note 'session: the API'
api=http://localhost:${local_url##*:}/api/v1
run curl -X POST "$api/directories?path=/remote/memfs"
run curl -X PUT "$api/files?path=/remote/memfs/file.txt" -d hello
run curl "$api/files?path=/remote/memfs/file.txt"
expect run.out hello
run curl -X PUT "$api/files?path=/proxyfs/reload" -d ''
grep -q 'ProxyFS reloaded successfully' "$dir/run.out" ||
    fail 'the reload did not answer as it should' "See $dir/run.out."

note 'session: the shell'
session <<'SHELL'
rm -r /remote/memfs
# All operations are executed on the remote server
mkdir /remote/memfs
echo "hello" > /remote/memfs/file.txt
cat /remote/memfs/file.txt
ls /remote/memfs

# Hot reload the proxy connection
echo '' > /proxyfs/reload

# Check reload file info
stat /proxyfs/reload
cat /proxyfs/.proxyfs/status
SHELL
expect session.out hello file.txt 'ProxyFS reloaded successfully' 'File: reload' 'Type: File' \
    'Mode: 200  (write-only)' 'Meta.type: control' \
    'Meta.description: Write to this file to reload proxy connection'

# ---- a directory tree ---------------------------------------------------------------------------

# digest DIR: one number for the names and contents of all files below.
digest() {
    (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
}

note 'a real directory tree: the source of this project to the remote and back, through the mount'
rm -rf "$dir/source" "$dir/back" "$dir/remote-disk/source"
mkdir "$dir/source"
tar -C "$root" --exclude=./.git --exclude='./build*' -cf - . | tar -C "$dir/source" -xf - ||
    fail 'the source could not be copied' "Is the disk full? $dir"
run agfs --quiet cp -r "local:$dir/source" /remote/disk/source
run agfs --quiet cp -r /remote/disk/source "local:$dir/back"
before=$(digest "$dir/source") there=$(digest "$dir/remote-disk/source") after=$(digest "$dir/back")
echo "files:                $(find "$dir/source" -type f | wc -l), $(du -sk "$dir/source" | cut -f1) KiB"
echo "sha256 before:        $before"
echo "sha256 on the remote: $there"
echo "sha256 after:         $after"
[ "$before" = "$there" ] && [ "$before" = "$after" ] ||
    fail 'the tree changed on its way' "Compare: diff -r $dir/source $dir/remote-disk/source; diff -r $dir/source $dir/back"
echo 'equal: nothing was lost or changed'

# ---- the end ------------------------------------------------------------------------------------

session >/dev/null <<'SHELL'
unmount /dc1
unmount /dc2
unmount /backup
unmount /secure
unmount /prod
SHELL
stop "$plain_pid"

if [ $once = yes ]; then
    note 'done: stopping the servers'
    stop "$local_pid" "$remote_pid"
    pids=()
    [ $made_dir = no ] || rm -rf "$dir"
    exit 0
fi
pids=()
note 'done: both servers keep running'
cat <<END
remote: $remote_url (process $remote_pid, log $dir/remote.log)
local:  $local_url (process $local_pid, log $dir/local.log)
stop:   kill $local_pid $remote_pid; rm -r $dir
Type next:  $build/tools/agfs/agfs --server $local_url
END
