#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# The one list of Debian packages. Installs those of a purpose that are missing, and nothing else.
#
#   tools/dev/packages.sh build     to build and run library, plugin and tools
#   tools/dev/packages.sh check     also for tests, second compiler, style
#   tools/dev/packages.sh --list build|check
#
# Needs root, or sudo without a password, only when something is missing. Never asks.
set -euo pipefail

build=(gcc libc6-dev meson ninja-build pkg-config
    libssl-dev libnghttp2-dev libjson-c-dev libhttp-parser-dev # lib/
    libuv1-dev libyaml-dev libpcre2-dev libxxhash-dev libsqlite3-dev # tools/agfsd
    libedit-dev # tools/agfs
    zlib1g-dev # tools/bench: HdrHistogram logs are deflated
    openssl curl ca-certificates)
check=("${build[@]}" git g++ clang llvm clang-format libcriterion-dev python3
    valgrind mandoc spin # spin: tests/model
    nghttp2-proxy nginx-light caddy python3-h2 python3-httpx python3-requests # tests/integ
    nghttp2-server nghttp2-client libcurl4-openssl-dev strace # tools/bench/limits.sh
    iproute2 nftables mount util-linux # tests/integ/netns_test.py
    chromium-headless-shell) # looks at the HTML report; smaller than the whole chromium

fail() {
    printf 'packages.sh: %s\n' "$*" >&2
    exit 1
}

list_only=no
if [ "${1:-}" = --list ]; then
    list_only=yes
    shift
fi
case "${1:-}" in
build) packages=("${build[@]}") ;;
check) packages=("${check[@]}") ;;
*) fail 'usage: tools/dev/packages.sh [--list] build|check' ;;
esac
if [ $list_only = yes ]; then
    printf '%s\n' "${packages[@]}"
    exit 0
fi

command -v dpkg-query >/dev/null || fail "this is not Debian: install the counterparts of: ${packages[*]}"

# pkgconf provides pkg-config, and so on: a provided name counts as installed.
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}, ${Provides}\n' |
    sed -n 's/^installed //p' | tr ',' '\n' | sed 's/^ *//; s/ *(.*//')
missing=()
for p in "${packages[@]}"; do
    grep -qxF -e "$p" <<<"$installed" || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null ||
        fail "packages are missing; run as root: apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo -n)
fi
printf 'installing: %s\n' "${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0
    -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"${apt[@]}" update </dev/null >"$log" 2>&1 || true # another source may be broken; the next step tells
if ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >>"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "apt-get could not install: ${missing[*]} (is the network reachable, is this Debian 12?)"
fi
