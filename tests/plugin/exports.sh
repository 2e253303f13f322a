#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# exports.sh LIBRARY: it exports exactly the 17 functions and needs only the expected libraries.
set -eu
lib=$1
want="FSChmod FSCreate FSMkdir FSRead FSReadDir FSRemove FSRemoveAll FSRename FSStat FSWrite PluginFree
PluginGetReadme PluginInitialize PluginName PluginNew PluginShutdown PluginValidate"
got=$(nm -D --defined-only "$lib" | awk '{print $3}' | LC_ALL=C sort | tr '\n' ' ')
want=$(echo $want | tr ' ' '\n' | LC_ALL=C sort | tr '\n' ' ')
if [ "$got" != "$want" ]; then
    echo "exports: $got" >&2
    exit 1
fi
needed=$(readelf -d "$lib" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
    grep -v -E '^(libc|libssl|libcrypto|libnghttp2|libjson-c|libhttp_parser|ld-linux-.*)\.so' || true)
case $needed in
'' | lib[atu]*san.so*) ;;
*)
    echo "needs: $needed" >&2
    exit 1
    ;;
esac
readelf -d "$lib" | grep -q 'NODELETE' || {
    echo "not marked nodelete" >&2
    exit 1
}
