# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""budget_test.py CALLS AGFSD PKIDIR OPTIMIZATION: user instructions of a small call. TAP.

Counted by callgrind in two runs of different length, so that what happens once cancels out. Instructions,
unlike times, are the same on a busy machine. A call that costs a tenth more than its budget fails; one
that costs a tenth less asks for a smaller budget.
"""
import re
import shutil
import subprocess
import sys
import tempfile

# What a call cost when the budget was set (gcc 12, -O2, without a profile; OpenSSL and nghttp2 take two thirds of it).
BUDGET = {"read": 28000, "stat": 30000}
FEW, MANY = 300, 1300


def collected(call, count):
    """Instructions of a run with count calls."""
    with tempfile.TemporaryDirectory() as dir:
        run = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={dir}/out", CALLS, AGFSD, PKI,
                              call, str(count)], capture_output=True, text=True, timeout=120)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found:
        raise RuntimeError(run.stderr[-2000:])
    return int(found.group(1))


CALLS, AGFSD, PKI, OPTIMIZATION = sys.argv[1:5]
why_not = ("valgrind is not installed" if not shutil.which("valgrind")
           else "the budget is for -O2" if OPTIMIZATION != "2" else None)
print(f"1..{len(BUDGET)}")
for number, (call, budget) in enumerate(BUDGET.items(), 1):
    if why_not:
        print(f"ok {number} - {call} # SKIP {why_not}")
        continue
    each = (collected(call, MANY) - collected(call, FEW)) / (MANY - FEW)
    good = 0.9 * budget <= each <= 1.1 * budget
    print(f"# {call}: {each:.0f} instructions, budget {budget}")
    if each < 0.9 * budget:
        print("# cheaper than the budget by more than a tenth: set a new one")
    print(f"{'ok' if good else 'not ok'} {number} - a {call} keeps its budget of instructions")
