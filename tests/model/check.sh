#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# check.sh SPIN CC [long]: searches all states of owner.pml, and proves that each fault put into it is
# found. TAP. Takes seconds and 300 MiB; long: three callers with two calls each, minutes and 3 GiB.
set -u
spin=$1 cc=$2
sizes='2x2 3x1'
[ "${3:-}" = long ] && sizes='2x3 3x2'
model=$(cd "$(dirname "$0")" && pwd)/owner.pml
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# errors DEFINE...: how many errors a full search finds; nothing when it did not end.
errors() {
    rm -f pan.log
    "$spin" "$@" -a "$model" >spin.log 2>&1 &&
        "$cc" -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=4096 -o pan pan.c >cc.log 2>&1 &&
        ./pan -m1000000 >pan.log 2>&1 || return
    grep -q 'max search depth too small\|memory limit' pan.log || sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
}

n=0
tell() { # tell OK NAME
    n=$((n + 1))
    echo "$([ "$1" = 0 ] || echo 'not ')ok $n - $2"
}

faults='BREAK_TURN BREAK_LEAVE BREAK_ASKED BREAK_OWNER BREAK_SLEEP'
echo "1..$((2 + $(wc -w <<<"$faults")))"
for size in $sizes; do
    [ "$(errors -DCALLERS="${size%x*}" -DCALLS="${size#*x}")" = 0 ]
    tell $? "callers x calls $size: one driver, every call completes once, none waits for ever"
    sed -n 's/^\( *[0-9.e+]* states, stored\).*/#\1/p' pan.log
done
for fault in $faults; do
    [[ $(errors -DCALLERS=2 -DCALLS=2 -D"$fault") =~ ^[1-9] ]]
    tell $? "$fault is found"
done
