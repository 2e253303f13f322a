#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# Compares the vendored uPlot with the npm package of its version, or replaces it by another version.
#
#   refresh.sh             verify: exit code 1 and the names of the files that differ
#   refresh.sh VERSION     replace, README.md included
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
old=$(sed -n '1s/^# uPlot //p' README.md)
new=${1:-$old}
files=(dist/uPlot.iife.min.js dist/uPlot.min.css LICENSE)

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
(cd "$tmp" && npm pack --silent "uplot@$new" >/dev/null && tar xzf "uplot-$new.tgz")
if [ $# = 0 ]; then
    bad=0
    for f in "${files[@]}"; do
        cmp "$tmp/package/$f" "${f##*/}" || bad=1
        grep -qF "$(sha256sum <"${f##*/}" | cut -d' ' -f1)" README.md || {
            printf 'README.md: not the sha256 of %s\n' "${f##*/}"
            bad=1
        }
    done
    [ $bad = 1 ] || printf 'the files are those of uplot %s\n' "$old"
    exit $bad
fi
for f in "${files[@]}"; do
    before=$(sha256sum <"${f##*/}" | cut -d' ' -f1)
    cp "$tmp/package/$f" .
    sed -i "s/$before/$(sha256sum <"${f##*/}" | cut -d' ' -f1)/" README.md
done
sed -i "s/${old//./\\.}/$new/g" README.md
