# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""limits_sh_test.py BUILDDIR: that tools/bench/limits.sh measures, says what it cannot, and leaves nothing; and that
curves.sh and crowd.sh beside it do. TAP.

No figure is judged here: what a machine reaches is read by people.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(sys.argv[1])
SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/bench")
DEADLINE = 100
ROW = re.compile(r"^(?P<what>.{78}) \| +(?P<measured>[\d.]+) \| +[<>]= [\d.]+ \| (ok|missed)$")


def left_behind(tmp):
    """Files of a run and processes that name them."""
    found = os.listdir(tmp)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if tmp.encode() in f.read():
                    found.append(pid)
        except OSError:
            pass
    return found


def start(tmp, *args, script="limits.sh", **env):
    return subprocess.Popen([os.path.join(SCRIPTS, script), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=dict(os.environ, TMPDIR=tmp, **env))


def run(tmp, *args, **env):
    """Output, errors and exit code of a run that left nothing behind."""
    process = start(tmp, *args, **env)
    out, err = process.communicate(timeout=DEADLINE)
    ends_clean(tmp)
    return out, err, process.returncode


def ends_clean(tmp):
    """A process that was told to end is seen for a moment, as is a load generator that has lost its parent."""
    end = time.monotonic() + DEADLINE
    while left_behind(tmp):
        assert time.monotonic() < end, left_behind(tmp)
        time.sleep(0.01)


def test_a_table(tmp):
    out, err, code = run(tmp, BUILD, "--quick", "--only", "listing", "--only", "spin")
    lines = out.splitlines()
    assert code == 0, out + err
    assert re.match(r"what +\| +measured \| +bar \| verdict$", lines[0]), lines[0]
    assert len(lines) == 5 and lines[3].startswith(f"# {BUILD}, built "), out
    assert re.match(r"# \d+ CPUs, .+, .+ of L2; load \d+\.\d; \d+\.\d % of their time went to other machines", lines[4]), out
    for line in lines[1:3]:
        row = ROW.match(line)
        assert row and float(row["measured"]) > 0, line


def test_what_others_reach(tmp):
    """Rows without a bar: a bare nghttp2 client is slower than bare TLS; a relay takes time and rate."""
    for _ in range(4):  # two runs are compared: a machine that is busy during one of them has another ratio
        out, err, code = run(tmp, BUILD, "--quick", "--only", "floor", "--only", "relay")
        assert code == 0, out + err
        rows = [re.match(r"^.{78} \| +([\d.]+) \| +- \| for comparison$", line) for line in out.splitlines()[1:-2]]
        assert len(rows) == 7 and all(rows), out
        values = [float(row[1]) for row in rows]
        assert all(v > 0 for v in values), out
        if values[0] < 1.5 and values[4] < 1.5:
            return
    raise AssertionError(out)


def test_a_missing_tool_is_named(tmp):
    with tempfile.TemporaryDirectory() as bin:
        for name in os.listdir("/usr/bin"):
            if name != "h2load":
                os.symlink("/usr/bin/" + name, os.path.join(bin, name))
        out, err, code = run(tmp, BUILD, "--quick", "--only", "server", PATH=bin)
    assert code == 1, out + err
    assert "not measured: h2load is not installed" in out, out


def test_a_build_that_is_none(tmp):
    out, err, code = run(tmp, "/nonexistent", "--quick")
    assert code == 1 and "/nonexistent/tools/bench/agfs-bench is not built" in err, out + err


def test_names(tmp):
    out, _, code = run(tmp, "--list")
    assert code == 0 and {"one_core", "many", "hop", "listing"} <= {line.split()[0] for line in out.splitlines()}, out
    _, err, code = run(tmp, BUILD, "--only", "nothing")
    assert code == 2 and "nothing" in err, err


def test_interrupted(tmp):
    process = start(tmp, BUILD, "--only", "spin")
    end = time.monotonic() + DEADLINE
    while not any(name.endswith(".log") for _, _, names in os.walk(tmp) for name in names):
        assert process.poll() is None and time.monotonic() < end, "no server was started"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130, (process.returncode, out, err)
    ends_clean(tmp)


def test_curves(tmp):
    with tempfile.TemporaryDirectory() as pages:
        out, err, code = run(tmp, "--quick", BUILD, pages, script="curves.sh")
        assert code == 0, out + err
        for name, step in (("callers", "2 callers"), ("entries", "100 entries"), ("size", "4 KiB"), ("remotes", "2 remotes")):
            assert f"==> {name}\n" in out and re.search(rf"^{step} +\w+ +\d", out, re.M), out
            for page in (name + ".html", name + ".csv"):
                assert os.path.getsize(os.path.join(pages, page)) > 100, page
    _, err, code = run(tmp, "/nonexistent", script="curves.sh")
    assert code != 0 and "/nonexistent/tools/agfsd/agfsd" in err, err


def test_a_crowd_beside_nginx(tmp):
    out, err, code = run(tmp, BUILD, "4", script="crowd.sh")
    assert code == 0, out + err
    assert re.search(r"==> agfsd\n4 reads .*==> nginx.*\n4 reads ", out, re.S), out
    assert out.count("stat p99 through the mount: idle ") == 2, out


TESTS = [test_curves, test_a_crowd_beside_nginx, test_a_table, test_what_others_reach,
         test_a_missing_tool_is_named, test_a_build_that_is_none, test_names, test_interrupted]
failed = 0
print(f"1..{len(TESTS)}")
for number, test in enumerate(TESTS, 1):
    with tempfile.TemporaryDirectory() as directory:
        try:
            test(directory)
            print(f"ok {number} - {test.__name__[5:]}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired) as why:
            failed += 1
            print(f"# {str(why)[-1000:]!r}\nnot ok {number} - {test.__name__[5:]}", flush=True)
sys.exit(1 if failed else 0)
