#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# Checks that includes point downwards and that each foreign library is known in one room.
# Prints FILE:LINE of every breach; exit code 1 when there is one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Room: what its files may include, as prefixes of "...". Own files are always allowed.
declare -A may=(
    [lib/base]=''
    [lib/net]='base/'
    [lib/http]='base/'
    [lib/h2]='base/ http/'
    [lib/h1]='base/ http/'
    [lib/wire]='base/'
    [lib/conn]='base/ net/ http/ h2/ h1/'
    [lib/fs]='base/ http/ wire/ conn/'
    [plugin]='base/ wire/json'
    [tools/common]=''
    [tools/agfs]=''
    [tools/bench]=''
    [tools/bench/limits]='base/ net/ wire/' # servers and loads to compare with
    [tools/agfsd]='base/ net/ wire/ h2/mem'
)
# Header of a foreign library: the rooms that may include it.
foreign=(
    'openssl/=lib/net tools/bench' # the bench also measures what is possible without the library
    'json-c/=lib/wire tools/bench/limits tools/bench' # the bench reads its own reports again, to compare them
    'nghttp2/=lib/h2 tools/agfsd tools/bench tools/bench/limits' # floor_client is nghttp2 and OpenSSL alone
    'http_parser.h=lib/h1 tools/agfsd'
    'uv.h=tools/agfsd'
    'yaml.h=tools/agfsd'
    'pcre2.h=tools/agfsd'
    'sqlite3.h=tools/agfsd'
    'xxhash.h=tools/agfsd'
    'histedit.h=tools/agfs'
)
breaches=0

breach() {
    printf '%s\n' "$*"
    breaches=$((breaches + 1))
}

check_own() {
    local room=$1 where=$2 header=$3 prefix
    case "$header" in
    "${room#lib/}"/* | proxyfs/*) return ;;
    ../*) breach "$where: \"$header\" leaves its room by a relative path" && return ;;
    */*) ;;
    *) return ;;
    esac
    for prefix in ${may[$room]}; do
        [[ $header != "$prefix"* ]] || return 0
    done
    breach "$where: $room must not include \"$header\""
}

check_foreign() {
    local room=$1 where=$2 header=$3 row
    for row in "${foreign[@]}"; do
        if [[ $header == "${row%%=*}"* && " ${row#*=} " != *" $room "* ]]; then
            breach "$where: <$header> belongs to ${row#*=}"
        fi
    done
}

for room in "${!may[@]}"; do
    [ -d "$room" ] || continue
    while IFS=: read -r file line text; do
        header=${text#*[\"<]}
        header=${header%%[\">]*}
        case "$text" in
        *\"*) check_own "$room" "$file:$line" "$header" ;;
        *) check_foreign "$room" "$file:$line" "$header" ;;
        esac
    done < <(grep -nE '^ *# *include' /dev/null "$room"/*.[ch] 2>/dev/null || true)
done
# The public headers stand alone.
while IFS= read -r hit; do
    breach "$hit: a public header includes a private one"
done < <(grep -nE '^ *# *include "' include/proxyfs/*.h || true)
for room in lib/*/; do
    [ -n "${may[${room%/}]+x}" ] || breach "${room%/}: a room without a rule in tools/dev/layers.sh"
done
[ $breaches = 0 ] || {
    printf 'layers: %s breaches\n' "$breaches"
    exit 1
}
