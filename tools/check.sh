#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# Builds in every way that matters and runs every test. Ends with `N passed, N failed, N skipped`.
#
#   tools/check.sh            style, gcc as released, clang, ASan+UBSan, TSan (minutes)
#   tools/check.sh --quick    style and gcc only
#   tools/check.sh --full     also valgrind, fuzzing and the long runs
#
# Needs Debian 12; installs missing packages (as root or with sudo). Builds in build-check.
# Sanitizer reports go to files, so that none is lost with a process that a test starts: a file is
# a failure. Criterion cannot run under TSan; there the programs that do not use it run.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$PWD out=$PWD/build-check mode=normal
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH # Debian's meson, whatever else is installed

case "${1:-}" in
'') ;;
--quick) mode=quick ;;
--full) mode=full ;;
*) sed -n '4,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 2 ;;
esac

passed=0 failed=0 skipped=0
notes=() # one line per failure

stage() {
    printf '\n==> %s  [%ss]\n' "$*" "$SECONDS"
}

# count NAME CODE: a check that is no meson test.
count() {
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        notes+=("$1")
    fi
}

finish() {
    stage 'result'
    [ ${#notes[@]} = 0 ] || printf 'failed: %s\n' "${notes[@]}"
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" = 0 ]
    exit
}

# compile NAME COMMAND...: a command that builds in a fresh $out/NAME. False: it failed, and is counted.
compile() {
    local name=$1
    shift
    mkdir -p "$out"
    rm -rf "${out:?}/$name"
    if "$@" >"$out/$name.log" 2>&1; then
        count "build $name" 0
        return 0
    fi
    grep -E -A6 '(^|: )(fatal )?error: |ERROR: |^FAILED: ' "$out/$name.log" | head -n 60
    tail -n 3 "$out/$name.log"
    echo "the whole output: $out/$name.log"
    count "build $name" 1
    return 1
}

set_up_and_build() {
    meson setup "$1" "$root" --werror "${@:2}" && ninja -C "$1"
}

# build NAME MESON-OPTION...: configures and compiles everything.
build() {
    compile "$1" set_up_and_build "$out/$1" "${@:2}"
}

# tally NAME: counts what meson test left in its log; each TAP line is a test of its own.
tally() {
    local name=$1 p f s line
    while IFS= read -r line; do
        case "$line" in
        SUM*) read -r _ p f s <<<"$line" ;;
        *) notes+=("$name: $line") ;;
        esac
    done < <(python3 - "$out/$name/meson-logs/testlog.json" <<'PY'
import json, re, sys
passed = failed = skipped = 0
try:
    rows = [json.loads(line) for line in open(sys.argv[1], encoding='utf-8', errors='replace')]
except OSError:
    rows = []
for row in rows:
    text = row.get('stdout') or ''
    bad = re.findall(r'^not ok\b(?!.*# (?:SKIP|TODO)).*', text, re.M)
    good = re.findall(r'^ok\b(?!.*# SKIP)', text, re.M)
    skips = re.findall(r'^ok\b.*# SKIP', text, re.M)
    if row['result'] in ('OK', 'EXPECTEDFAIL'):
        passed += len(good) or not skips
        skipped += len(skips)
    elif row['result'] == 'SKIP':
        skipped += 1
        print(f"skipped: {row['name']}", file=sys.stderr)
    else:
        passed += len(good)
        failed += len(bad) or 1
        print(f"{row['name']}: {row['result']} {'; '.join(bad)[:300]}")
        lines = text.splitlines()
        for i, line in enumerate(lines): # why: the comments around
            if line.startswith('not ok'):
                print(*lines[max(i - 3, 0):i + 8], sep='\n', file=sys.stderr)
if not rows:
    failed += 1
    print('no test ran')
print('SUM', passed, failed, skipped)
PY
    )
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    echo "$name: $p passed, $f failed, $s skipped"
}

# run_tests NAME PROCESSES-PER-CORE MESON-TEST-ARGUMENT...: most tests wait most of the time.
run_tests() {
    local name=$1 processes=$(($(nproc) * $2))
    shift 2
    rm -f "$out/$name".report.*
    if ! meson test -C "$out/$name" --no-rebuild --print-errorlogs --num-processes $processes "$@" \
        </dev/null >"$out/$name.tests.log" 2>&1; then
        grep -vE '^ *[0-9]+/[0-9]+ .* (OK|SKIP) ' "$out/$name.tests.log" | tail -n 150
    fi
    tally "$name"
    local report
    for report in "$out/$name".report.*; do
        [ -e "$report" ] || continue
        echo "sanitizer report $report:"
        head -n 40 "$report"
        count "$name: sanitizer report $report" 1
    done
}

# ---- stages -------------------------------------------------------------------------------------

stage 'packages'
tools/dev/packages.sh check
count packages $?
[ "$failed" = 0 ] || finish

stage 'style and layers'
tools/dev/lint.sh
count lint $?
tools/dev/layers.sh
count layers $?

stage 'gcc: what is installed, by tools/release.sh, warnings are errors'
if compile gcc tools/release.sh "$out/gcc" -Dtests=true --werror; then
    stage 'gcc: tests'
    run_tests gcc 3
fi
[ $mode != quick ] || finish

stage 'clang: build, warnings are errors'
CC=clang build clang -Dtests=true

stage 'ASan and UBSan: build'
if build asan -Db_sanitize=address,undefined -Dbuildtype=debug -Doptimization=1; then
    stage 'ASan and UBSan: tests'
    export ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:log_path=$out/asan.report
    export UBSAN_OPTIONS=print_stacktrace=1:log_path=$out/asan.report
    run_tests asan 3 --timeout-multiplier 4 --no-suite no-asan
    unset ASAN_OPTIONS UBSAN_OPTIONS
fi

stage 'TSan: build'
if build tsan -Db_sanitize=thread -Dbuildtype=debug -Doptimization=1; then
    stage 'TSan: tests that do not use Criterion'
    mapfile -t plain < <(meson introspect --tests "$out/tsan" | python3 -c '
import json, sys
for t in json.load(sys.stdin):
    suites = [s.split(":")[-1] for s in t["suite"]]
    criterion = t["protocol"] == "tap" and "integ" not in suites
    if not criterion and "no-tsan" not in suites:
        print(t["name"])')
    export TSAN_OPTIONS=halt_on_error=0:exitcode=66:second_deadlock_stack=1:suppressions=$root/tests/tsan.supp:log_path=$out/tsan.report
    run_tests tsan 2 --timeout-multiplier 6 "${plain[@]}"
    unset TSAN_OPTIONS
fi
[ $mode = full ] || finish

stage 'full: the long runs'
run_long() {
    meson test -C "$out/gcc" --no-rebuild --benchmark --suite soak </dev/null >"$out/soak.log" 2>&1
}
run_long
count 'soak runs (build-check/soak.log)' $?

stage 'full: valgrind on a session between two servers'
tools/dev/valgrind.sh "$out/gcc"
count valgrind $?

stage 'full: fuzzing, a minute each'
if CC=clang build fuzz -Dfuzz=true -Dtests=true -Db_sanitize=address,undefined -Db_lundef=false; then
    for target in "$out"/fuzz/tests/fuzz/*_fuzz; do
        "$target" -max_total_time=60 -rss_limit_mb=1024 -artifact_prefix="$out/crash-" >"$target.log" 2>&1
        count "fuzz $(basename "$target") ($target.log)" $?
    done
fi
finish
