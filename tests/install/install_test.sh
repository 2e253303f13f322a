#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# install_test.sh BUILD SOURCE: what `meson install` puts in place is complete and usable through
# pkg-config, in C99, C11 and C++, and the library exports its public functions and nothing else.
# Exit code 77 (skipped): built with sanitizers.
set -euo pipefail
build=$1 source=$2 sanitize=$3
[ "$sanitize" = none ] || exit 77
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() {
    echo "$*" >&2
    exit 1
}

DESTDIR=$dir/root meson install -C "$build" --no-rebuild --quiet
pc=$(find "$dir/root" -name proxyfs.pc)
[ -n "$pc" ] || fail 'no proxyfs.pc'
prefix=$dir/root$(sed -n 's/^prefix=//p' "$pc")
lib=$(dirname "$(dirname "$pc")")
for f in "$prefix"/bin/{agfs,agfsd,agfs-bench} "$prefix"/include/proxyfs/{proxyfs,error,driver,host,agfs_plugin}.h \
    "$prefix"/share/man/man1/{agfs,agfs-bench}.1 "$prefix"/share/man/man8/agfsd.8 "$lib"/libproxyfs.so \
    "$lib"/libproxyfs.so.0; do
    [ -s "$f" ] || fail "not installed: ${f#"$dir"/root}"
done

# Where the texts say that the plugin is: with the default prefix, whatever the platform's libdir.
texts=("$source/README.md" "$source/tools/agfsd/agfsd.8")
named=$(grep -ohE '/usr/local/[^ "]*/proxyfs-h2\.so' "${texts[@]}" | sort -u)
[ -s "$prefix/${named#/usr/local/}" ] ||
    fail "the texts name $named, installed is $(find "$dir/root" -name proxyfs-h2.so)"

cat >"$dir/p.c" <<'C'
#include <proxyfs/agfs_plugin.h>
#include <proxyfs/host.h>
#include <proxyfs/proxyfs.h>
#include <stdio.h>

int main(void)
{
    struct pfs_client *c = NULL;
    struct pfs_error err;
    struct pfs_option option = {"base_url", "ftp://nowhere"};

    puts(pfs_version());
    return pfs_client_new(&option, 1, &c, &err) == PFS_CONFIG ? 0 : 1;
}
C
cp "$dir/p.c" "$dir/p.cc"
export PKG_CONFIG_SYSROOT_DIR=$dir/root PKG_CONFIG_PATH=$lib/pkgconfig
read -ra flags < <(pkg-config --cflags --libs proxyfs)
warn=(-Wall -Wextra -Werror -pedantic)
for compile in "cc -std=c99 $dir/p.c" "cc -std=c11 $dir/p.c" "c++ -std=c++11 $dir/p.cc" "c++ -std=c++20 $dir/p.cc"; do
    # shellcheck disable=SC2086 # command and arguments
    $compile "${warn[@]}" -o "$dir/p" "${flags[@]}" || fail "does not compile: ${compile% *}"
    LD_LIBRARY_PATH=$lib "$dir/p" | grep -q libproxyfs || fail "does not run: ${compile% *}"
done
# Before it is installed, too.
read -ra flags < <(env -u PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_PATH="$build/meson-uninstalled" pkg-config --cflags --libs proxyfs)
cc -std=c11 "$dir/p.c" "${warn[@]}" -o "$dir/p" "${flags[@]}" || fail 'does not compile with proxyfs-uninstalled.pc'
LD_LIBRARY_PATH=$build/lib "$dir/p" | grep -q libproxyfs || fail 'does not run with proxyfs-uninstalled.pc'

cat "$prefix"/include/proxyfs/{proxyfs,error,driver,host}.h | tr '\n' ' ' |
    grep -oE 'PFS_API [^;(]*[ *]pfs_[a-z0-9_]+ *\(' | grep -oE 'pfs_[a-z0-9_]+ *\($' | tr -d ' (' |
    LC_ALL=C sort -u >"$dir/declared"
nm -D --defined-only "$lib/libproxyfs.so" | awk '{ print $3 }' | sed 's/@.*//' | LC_ALL=C sort -u >"$dir/exported"
[ "$(wc -l <"$dir/declared")" -gt 30 ] || fail 'the headers could not be read'
diff "$dir/declared" "$dir/exported" >"$dir/diff" ||
    fail "declared (<) and exported (>) functions differ: $(cat "$dir/diff")"

# The program that README.md shows finds everything through pkg-config.
"$prefix/bin/agfs" --version >/dev/null 2>&1 || LD_LIBRARY_PATH=$lib "$prefix/bin/agfs" --version >/dev/null
if command -v mandoc >/dev/null; then
    mandoc -T lint -W error "$prefix"/share/man/man1/{agfs,agfs-bench}.1 "$prefix"/share/man/man8/agfsd.8 >&2
fi
