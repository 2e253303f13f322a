#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# What review would otherwise repeat. Prints FILE:LINE: REASON of every finding; exit code 1 when
# there is one.
#
#   tools/dev/lint.sh [FILE...]     default: every file of the project but those in vendor/
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
file_max=500 function_max=80

if [ $# -gt 0 ]; then
    files=("$@")
else
    mapfile -t files < <(find . -path ./.git -prune -o -path './build*' -prune -o -name vendor -prune -o -type f -print |
        sed 's|^\./||' | LC_ALL=C sort)
fi
c_files=() text_files=()
for f in "${files[@]}"; do
    case "$f" in
    *.c | *.h) c_files+=("$f") text_files+=("$f") ;;
    *.sh | *.py | *.js | *.css | *.html | *.build | *.md | *.txt | *.[1-8] | *.map | .ci/run) text_files+=("$f") ;;
    esac
done
findings=$(mktemp)
trap 'rm -f "$findings"' EXIT

# look REASON PATTERN FILE...: lines of code (strings and comments taken out) that match.
look() {
    local reason=$1 pattern=$2
    shift 2
    [ $# -gt 0 ] || return 0
    awk -v reason="$reason" -v pattern="$pattern" '
        FNR == 1 { inside = 0 }
        {
            s = $0
            gsub(/\\\\/, "", s); gsub(/\\"/, "", s)
            gsub(/"[^"]*"/, "\"\"", s); gsub(/'\''[^'\'']*'\''/, "0", s)
            if (inside) { if (sub(/^.*\*\//, "", s)) inside = 0; else s = "" }
            while (match(s, /\/\*/)) {
                rest = substr(s, RSTART)
                if (match(rest, /\*\//)) { sub(/\/\*([^*]|\*+[^*\/])*\*+\//, " ", s) }
                else { sub(/\/\*.*$/, "", s); inside = 1 }
            }
            if (s ~ pattern) printf "%s:%d: %s\n", FILENAME, FNR, reason
        }' "$@" >>"$findings"
}

product=()
for f in "${c_files[@]}"; do # tests fill buffers of their own making, and ASan watches them
    case "$f" in tests/*) ;; *) product+=("$f") ;; esac
done
look 'banned call: unbounded or silent about errors' \
    '(^|[^A-Za-z0-9_])(strcpy|strcat|sprintf|vsprintf|stpcpy|gets|atoi|atol|atoll|atof|strtok|alloca|mktemp|tmpnam|tempnam|rand|srand)[ ]*[(]' \
    "${product[@]}"
look '// comment; use /* */' '//' "${c_files[@]}"
look 'unfinished work' '(^|[^A-Za-z_])(TODO|FIXME|XXX)([^A-Za-z_]|$)' "${c_files[@]}"
for f in "${c_files[@]}"; do
    case "$f" in lib/wire/*) look 'assert in lib/wire: peers are answered with an error' '(^|[^_a-z])assert *[(]' "$f" ;; esac
done
grep -nE '/\*.*\<(TODO|FIXME|XXX)\>' /dev/null "${c_files[@]}" | sed 's/:[^:]*$/: unfinished work/' >>"$findings" || true

# Length of files and functions. A function is what stands between { and } in the first column.
for f in "${text_files[@]}"; do
    n=$(wc -l <"$f")
    case "$f" in
    *.md | *.txt) ;;
    *) [ "$n" -le $file_max ] || echo "$f:$n: longer than $file_max lines" >>"$findings" ;;
    esac
done
awk -v max=$function_max '
    /^\{/ { start = FNR }
    /^\}/ { if (start && FNR - start - 1 > max)
                printf "%s:%d: function of %d lines, %d are allowed\n", FILENAME, start, FNR - start - 1, max
            start = 0 }' "${c_files[@]}" >>"$findings"

# The two-line header, in the first three lines.
for f in "${c_files[@]}"; do
    head -n 2 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
        echo "$f:1: no SPDX header" >>"$findings"
done
for f in "${text_files[@]}"; do
    case "$f" in
    *.sh | *.py | *.js | *.css | *.html) head -n 3 "$f" | grep -q SPDX || echo "$f:1: no SPDX header" >>"$findings" ;;
    esac
done
# Blanks at the end, tabs in C.
grep -nE '[ 	]+$' /dev/null "${text_files[@]}" | sed -E 's/^([^:]*:[0-9]+):.*/\1: blanks at the end/' >>"$findings" || true
grep -nP '\t' /dev/null "${c_files[@]}" | sed -E 's/^([^:]*:[0-9]+):.*/\1: tab/' >>"$findings" || true
# The sources know nothing of the machine they were written on, nor of package hosts.
hosts='(^|[^A-Za-z0-9_.])/wo''rk/|/tmp/br''ief|pypi\.o''rg|npmjs\.o''rg|proxy\.gola''ng|deb\.debi''an\.org|snapshot\.debi''an'
grep -nE "$hosts" /dev/null "${text_files[@]}" | sed -E 's/^([^:]*:[0-9]+):.*/\1: names a path or host of one workplace/' >>"$findings" || true

if command -v clang-format >/dev/null; then
    clang-format --dry-run -Werror "${c_files[@]}" 2>&1 | grep -E '^[^ ]+:[0-9]+:[0-9]+: ' |
        sed -E 's/:[0-9]+: error: .*/: clang-format/' | sort -u >>"$findings" || true
else
    echo 'lint: clang-format is missing, format not checked' >&2
fi
cat "$findings"
n=$(wc -l <"$findings")
[ "$n" = 0 ] || {
    printf 'lint: %s findings\n' "$n"
    exit 1
}
