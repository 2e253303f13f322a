#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""agfs-bench against real servers: reports, targets in turn, and what happens when it goes wrong.

usage: bench_test.py BUILDDIR [TEST...]
"""
import csv
import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import time

from agfs_world import Api, run, wait_for

SHORT = ["-d", "240ms", "--rounds", "4", "--warmup", "20ms"]


def start(world):
    server = world.start("server", ["--mount", "memfs:/memfs", "--mount", "queuefs:/queuefs"], tls=True,
                         client_cert="optional")
    wait_for("the mounts", Api(server.clear).ready)
    return server


def bench(world, *args, timeout=60):
    env = {k: v for k, v in os.environ.items() if not k.startswith("AGFS_")}
    return subprocess.run([os.path.join(world.build, "tools/bench/agfs-bench"), *args], text=True, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)


def expect(result, code, *words):
    assert result.returncode == code, "exit code %d\n%s%s" % (result.returncode, result.stdout, result.stderr)
    for w in words:
        assert w in result.stdout + result.stderr, "no %r in\n%s%s" % (w, result.stdout, result.stderr)
    return result


def nothing_left(server):
    for path in "/memfs", "/queuefs":
        names = [f["name"] for f in Api(server.clear).get("directories", path=path).json()["files"]]
        assert not [n for n in names if "agfs-bench" in n], names


def no_reports(world, *names):
    assert not [f for f in os.listdir(world.dir) if f.startswith(names)], os.listdir(world.dir)


def is_number(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool)


def number_or_null(v):
    return v is None or is_number(v)


def text(v):
    return isinstance(v, str)


def text_or_null(v):
    return v is None or text(v)


def numbers(v):
    return isinstance(v, list) and all(is_number(x) for x in v)


SCHEMA = {
    "report": {"schema": text, "started": text, "interrupted": lambda v: isinstance(v, bool), "command": list,
               "versions": dict, "machine": dict, "workload": dict, "targets": list},
    "machine": {"cpus": is_number, "model": text, "kernel": text, "memory_bytes": is_number},
    "workload": {"text": text, "size_bytes": is_number, "entries": is_number, "arrival": text, "warmup_s": is_number,
                 "duration_s": number_or_null, "count": number_or_null, "rounds": is_number},
    "target": {"name": text, "kind": text, "url": text, "path": text, "protocol": text, "steps": list},
    "step": {"value": number_or_null, "callers": is_number, "remotes": is_number, "latency_from": text,
             "planned_rate_per_s": number_or_null, "reached_rate_per_s": is_number, "seconds": is_number,
             "calls": is_number, "errors": dict, "outcomes": dict, "first_error": text_or_null,
             "bytes_read": is_number, "bytes_written": is_number, "wire_in_bytes": is_number,
             "wire_out_bytes": is_number, "connections": is_number, "streams_peak": is_number, "connects": is_number,
             "cpu_client_s": is_number, "cpu_server_s": number_or_null, "context_switches_per_call": number_or_null,
             "instructions_per_call": number_or_null, "rates_per_round": numbers, "ops": list, "timeline": list},
    "op": {"op": text, "calls": is_number, "errors": is_number, "min_us": number_or_null, "mean_us": number_or_null,
           "sd_us": number_or_null, "max_us": number_or_null, "percentiles_us": dict, "p50_per_round_us": numbers,
           "curve": list, "hdr": text_or_null},
    "timeline": {"t_s": is_number, "calls": is_number, "errors": is_number, "p50_us": number_or_null,
                 "p99_us": number_or_null, "max_us": number_or_null},
}


def check(kind, value):
    for key, form in SCHEMA[kind].items():
        assert key in value, "%s has no %s" % (kind, key)
        good = isinstance(value[key], form) if isinstance(form, type) else form(value[key])
        assert good, "%s.%s is %r" % (kind, key, value[key])


def load(path):
    """A report, checked against the schema and for what its numbers must have in common."""
    with open(path) as f:
        r = json.load(f)
    assert r["schema"] == "agfs-bench/1"
    check("report", r)
    check("machine", r["machine"])
    check("workload", r["workload"])
    for key in "sweep", "limits":
        assert r[key] is None or isinstance(r[key], dict)
    for t in r["targets"]:
        check("target", t)
        for s in t["steps"]:
            check("step", s)
            assert 1 <= len(s["timeline"]) <= 600
            for p in s["timeline"]:
                check("timeline", p)
            assert sum(p["calls"] for p in s["timeline"]) == s["calls"]
            single = [o for o in s["ops"] if o["op"] != "all"]
            assert (len(single) > 1) == (s["ops"][-1]["op"] == "all")
            assert sum(o["calls"] for o in single) == s["calls"]
            for o in s["ops"]:
                check("op", o)
                check_percentiles(o, s)
    return r


def check_percentiles(op, step):
    p = op["percentiles_us"]
    assert list(p) == ["50", "75", "90", "95", "99", "99.9", "99.99"]
    known = [v for v in p.values() if v is not None]
    assert known == sorted(known)
    if step["unstarted"] == 0:
        assert (p["50"] is not None) == (op["calls"] >= 20)
        assert (p["99"] is not None) == (op["calls"] >= 1000)
    if known:
        assert op["min_us"] <= known[0] and known[-1] <= op["max_us"] * 1.001
        assert op["hdr"].startswith("HISTF")


def only(report):
    return report["targets"][0]["steps"][0]


def test_all_reports_of_a_mix(world):
    server = start(world)
    out = {k: world.path("r." + k) for k in ("json", "csv", "hdr")}
    result = expect(bench(world, server.tls + ",name=direct,ca_file=" + world.pki("ca.pem"), "-c", "4", "-s", "3000",
                          "-w", "stat:40,read:30,write:10,list:10,create+remove:10", *SHORT, "--json", out["json"],
                          "--csv", out["csv"], "--hdr", out["hdr"]),
                    0, "p99.99", "direct: " + server.tls, "HTTP/2 over TLS", "closed loop", "context switches/call")
    for op in "stat", "read", "write", "list", "create", "remove", "all":
        assert any(l.split()[:1] == [op] or op in l.split()[:3] for l in result.stdout.splitlines()), op
    s = only(load(out["json"]))
    calls = {o["op"]: o["calls"] for o in s["ops"]}
    assert s["errors"] == {} and s["first_error"] is None
    assert s["bytes_read"] == 3000 * calls["read"] and s["bytes_written"] == 3000 * calls["write"]
    assert s["wire_in_bytes"] > s["bytes_read"] and 1 <= s["streams_peak"] <= 4
    assert s["cpu_server_s"] > 0, "the server is on this machine"
    rows = list(csv.DictReader(open(out["csv"])))
    assert {r["op"]: int(r["calls"]) for r in rows} == calls
    log = open(out["hdr"]).read().splitlines()
    assert log[0] == "#[Histogram log format version 1.3]" and len([l for l in log if l.startswith("Tag=direct.")]) == 6
    nothing_left(server)


def test_targets_take_turns(world):
    remote = start(world)
    local = world.start("local", world.mount_arg("/remote", remote.tls, **world.mtls()))
    wait_for("the mounts", Api(local.clear).ready)
    report = world.path("r.json")
    expect(bench(world, remote.clear + ",name=direct", local.clear + ",name=mounted,path=/remote/memfs", "--limit",
                 *SHORT, "-w", "read", "--json", report),
           0, "mounted / direct, 1 caller: p50 x", "limit: bare TLS takes", "round trips")
    r = load(report)
    assert [t["name"] for t in r["targets"]] == ["direct", "mounted", "bare TLS round trip", "bare TLS pipe"]
    assert [t["kind"] for t in r["targets"]] == ["remote", "remote", "limit", "limit"]
    assert r["targets"][1]["path"].startswith("/remote/memfs/agfs-bench-")
    assert all(len(t["steps"][0]["rates_per_round"]) == 4 for t in r["targets"])
    assert r["limits"]["round_trip_us"] > 0 and r["limits"]["pipe_mb_per_s"] > 0
    nothing_left(remote)


def test_the_limit_alone(world):
    expect(bench(world, "--limit", *SHORT), 0, "bare TLS round trip", "pipe 1 MiB", "limit:")


def test_queues_lose_nothing(world):
    server = start(world)
    report = world.path("r.json")
    expect(bench(world, server.clear, "-c", "8", "-w", "enqueue+dequeue:3,enqueue:1,dequeue:1", *SHORT, "-s", "0",
                 "--json", report), 0, "none lost, none doubled")
    q = load(report)["targets"][0]["queue"]
    assert q["conserved"] and q["enqueued"] == q["dequeued"] > 0 and q["unknown"] == 0
    nothing_left(server)


def test_an_open_loop(world):
    server = start(world)
    report = world.path("r.json")
    expect(bench(world, server.clear, "-r", "200", "-d", "500ms", "--rounds", "2", "--warmup", "20ms", "--json", report), 0, "open loop")
    s = only(load(report))
    assert s["latency_from"] == "planned" and s["planned_rate_per_s"] == 200
    assert 90 <= s["calls"] <= 101, s["calls"]
    result = bench(world, server.clear, "-r", "1M", "--arrival", "poisson", "-c", "2", "-d", "400ms", "--rounds", "2",
                   "--warmup", "20ms", "--json", report)
    expect(result, 12, "WARNING: only", "of 1000000 planned calls/s were reached")
    s = only(load(report))
    assert s["reached_rate_per_s"] < 900000 and s["unstarted"] > 100000
    # What never started has waited: on average half of the 200 ms that a round takes.
    assert s["ops"][0]["percentiles_us"]["50"] > 50000
    nothing_left(server)


def test_a_slow_plan_ends_with_its_last_call(world):
    server = start(world)
    report = world.path("r.json")
    before = time.monotonic()
    # 64 callers have taken calls of the plan for the next minute; none of them may wait for its turn.
    expect(bench(world, server.clear, "-r", "1", "-n", "2", "--rounds", "1", "--warmup", "0", "--json", report), 0)
    assert time.monotonic() - before < 20 and only(load(report))["calls"] == 2
    nothing_left(server)


def test_sweeps(world):
    server = start(world)
    report = world.path("r.json")
    expect(bench(world, server.clear, "-w", "list", "--sweep", "entries=0,10,..,1000", "-n", "40", "--rounds", "2", "--warmup", "0",
                 "--json", report), 0, "1000 entries")
    r = load(report)
    steps = r["targets"][0]["steps"]
    assert r["sweep"] == {"name": "entries", "knee": None}
    assert [s["value"] for s in steps] == [0, 10, 100, 1000]
    assert all(s["calls"] == 40 and s["errors"] == {} for s in steps), "each listing was as long as it had to be"
    expect(bench(world, server.clear, "--ramp", "rate=50,500,1000000", "-c", "4", "-d", "200ms", "--rounds", "1",
                 "--warmup", "20ms", "--json", report), 0, "planned calls/s only")
    r = load(report)
    assert r["sweep"]["name"] == "rate_per_s" and r["sweep"]["knee"]["value"] in (50, 500)
    expect(bench(world, server.tls, "--cacert", world.pki("ca.pem"), "--sweep", "remotes=1,3", "-d", "200ms",
                 "--rounds", "1", "--json", report), 0, "3 remotes")
    steps = load(report)["targets"][0]["steps"]
    assert [s["connections"] for s in steps] == [1, 3], "a remote has connections of its own"
    nothing_left(server)


def test_large_content_is_streamed(world):
    config = world.path("large.yaml")
    with open(config, "w") as f:
        f.write("server:\n  max_request_body_bytes: 1073741824\n")
    server = world.start("large", ["-c", config, "--mount", "memfs:/memfs"])
    wait_for("the mounts", Api(server.clear).ready)
    report = world.path("r.json")
    expect(bench(world, server.clear, "-w", "read,write", "-s", "65MiB", "-n", "4", "--rounds", "1", "--json", report), 0)
    s = only(load(report))
    assert s["calls"] == 4 and s["bytes_read"] + s["bytes_written"] == 4 * (65 << 20)


def test_comparing_reports(world):
    server = start(world)
    a, b = world.path("a.json"), world.path("b.json")
    expect(bench(world, server.clear, "-w", "stat", *SHORT, "--json", a), 0)
    expect(bench(world, "--compare", a, a), 0, "verdict: no difference beyond noise")
    r = load(a)
    op = only(r)["ops"][0]
    for name, factor in ((a, 1), (b, 10)):  # rounds of a quiet machine, which this one may not be
        op["p50_per_round_us"] = [factor * (100 + i % 3) for i in range(len(op["p50_per_round_us"]))]
        with open(name, "w") as f:
            json.dump(r, f)
    expect(bench(world, "--compare", a, b), 1, "B is WORSE, more than noise", "verdict: B is worse in 1 of 2")
    expect(bench(world, "--compare", b, a), 0, "verdict: B is better in 1 of 2")
    expect(bench(world, "--compare", a, world.path("none.json")), 2, "none.json: No such file")


def test_a_target_that_cannot_be_used(world):
    server = start(world)
    out = ["--json", world.path("r.json"), "--csv", world.path("r.csv")]
    expect(bench(world, "http://127.0.0.1:1", *SHORT, *out), 8, "127.0.0.1:1", "class conn")
    expect(bench(world, server.tls, "--cacert", world.pki("other-ca.pem"), *SHORT, *out), 9, "class tls_verify")
    expect(bench(world, server.clear + ",colour=red", *SHORT, *out), 2, "colour")
    expect(bench(world, server.clear, "--path", "/nowhere", *SHORT, *out), 5, "cannot prepare")
    expect(bench(world, server.clear, "-w", "enqueue", "--queue", "/none", *SHORT, *out), 5, "cannot prepare")
    no_reports(world, "r.")
    nothing_left(server)


FOUND = {"name": "f", "size": 4096, "mode": 420, "isDir": False, "modTime": "2026-01-01T00:00:00Z", "meta": {}}


class Stub(http.server.BaseHTTPRequestHandler):
    """A server that is healthy and takes files; what stat does is up to the test, and a queue has no end."""
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # header and body in one packet
    disable_nagle_algorithm = True

    def answer(self, status, body, kind="application/json"):
        body = json.dumps(body, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if "/stat" in self.path:
            self.server.on_stat(self)
        elif "dequeue" in self.path:
            self.answer(200, {"id": "1", "data": "b0-1x"}, "application/octet-stream")
        else:
            self.answer(200, {"status": "healthy"})

    def do_PUT(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(200, {"message": "ok"})

    do_POST = do_DELETE = do_PUT

    def log_message(self, *_):
        pass


def stub(on_stat):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    server.daemon_threads = True
    server.on_stat = on_stat
    server.handle_error = lambda *_: None  # of connections that the tool drops
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, "http://127.0.0.1:%d" % server.server_port


def test_a_target_that_fails_every_call(world):
    server, url = stub(lambda h: h.answer(500, {"error": "the disk is on fire"}))
    expect(bench(world, url, *SHORT, "--json", world.path("r.json")), 1, "every one of", "the disk is on fire", "class io")
    no_reports(world, "r.")
    server.shutdown()


def test_a_reply_of_another_size_is_a_failed_call(world):
    server, url = stub(lambda h: h.answer(200, dict(FOUND, size=1)))
    expect(bench(world, url, *SHORT), 8, "every one of", "has 1 bytes instead of 4096", "class payload")
    server.shutdown()


def test_a_queue_without_an_end_is_given_up(world):
    server, url = stub(None)
    expect(bench(world, url, "-w", "dequeue", *SHORT), 1, "gives more messages than were put into it", "NOT CONSERVED")
    server.shutdown()


def test_a_target_that_fails_some_calls(world):
    turns = []

    def some(handler):
        turns.append(1)
        if len(turns) % 10 == 0:
            handler.answer(500, {"error": "the disk is on fire"})
        else:
            handler.answer(200, FOUND)

    server, url = stub(some)
    report = world.path("r.json")
    expect(bench(world, url, "-n", "100", "--json", report), 1, "10 of 100 calls FAILED: io", "first: ", "the disk is on fire")
    s = only(load(report))
    assert s["errors"]["io"] == sum(s["outcomes"].values()) == s["ops"][0]["errors"] == 10
    assert "the disk is on fire" in s["first_error"]
    server.shutdown()


def test_a_stall_shows_in_an_open_loop(world):
    turns, one_at_a_time = [], threading.Lock()

    def stall_once(handler):
        with one_at_a_time:
            turns.append(1)
            if len(turns) == 50:
                time.sleep(0.5)  # the fault that is measured
        handler.answer(200, FOUND)

    server, url = stub(stall_once)
    report = world.path("r.json")
    result = bench(world, url, "-r", "200", "-d", "1500ms", "--rounds", "1", "--warmup", "0", "--json", report)
    assert result.returncode in (0, 12), result.stderr  # 12: this machine is too busy for 200 a second
    p = only(load(report))["ops"][0]["percentiles_us"]
    # A hundred of three hundred calls were due while the server stood still; one of them was in it.
    assert p["75"] > 50000 and p["95"] > 300000, p
    server.shutdown()


def test_outputs_are_tried_before_anything_is_measured(world):
    server = start(world)
    before = time.monotonic()
    expect(bench(world, server.clear, "-d", "60s", "--json", "/nowhere/r.json"), 1, "cannot write /nowhere/r.json")
    expect(bench(world, server.clear, "-d", "60s", "--csv", world.dir), 1, "cannot write " + world.dir)
    assert time.monotonic() - before < 30
    expect(bench(world, server.clear, *SHORT, "--json", world.path("r.json"), "--csv", "/dev/full"), 1,
           "cannot write /dev/full")
    expect(bench(world, server.clear, "-d", "60s", "--json", ""), 1, "cannot write")
    same = world.path("same")
    expect(bench(world, server.clear, "-d", "60s", "--json", same, "--csv", same), 2, same, "one report only")
    no_reports(world, "same")
    result = expect(bench(world, server.clear, *SHORT, "--json", "-"), 0)
    assert json.loads(result.stdout)["schema"] == "agfs-bench/1"
    nothing_left(server)


def test_a_terminal_shows_progress(world):
    server = start(world)

    def on_a_terminal(*args):
        here, there = os.openpty()
        p = subprocess.Popen([os.path.join(world.build, "tools/bench/agfs-bench"), server.clear, "-d", "400ms",
                              "--rounds", "1", *args], stdout=subprocess.DEVNULL, stderr=there)
        os.close(there)
        shown = b""
        try:
            while True:
                shown += os.read(here, 4096)
        except OSError:  # the other end is closed
            pass
        os.close(here)
        assert p.wait(20) == 0
        return shown

    shown = on_a_terminal()
    assert b"step 1 of 1, round 1 of 1" in shown and b" calls/s" in shown and shown.endswith(b"\r\x1b[K"), shown
    assert on_a_terminal("-q") == b""


def test_bad_options(world):
    expect(bench(world, "-d", "0", "http://127.0.0.1:1"), 2, "--duration 0", "no time")
    expect(bench(world, "-r", "0", "http://127.0.0.1:1"), 2, "--rate 0")
    expect(bench(world, "--cpu", "1023", "http://127.0.0.1:1"), 2, "--cpu 1023")
    expect(bench(world, "--help"), 0, "usage: agfs-bench")
    expect(bench(world, "--version"), 0, "agfs-bench ")


def interrupted(world, url, *args, after):
    """SIGINT once after() is true."""
    p = subprocess.Popen([os.path.join(world.build, "tools/bench/agfs-bench"), url, "-d", "50s", "--rounds", "1",
                          *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for("the run to begin", after)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=20)
    finally:
        p.kill()
    return subprocess.CompletedProcess(p.args, p.returncode, out, err)


def test_ctrl_c_reports_what_was_measured(world):
    server = start(world)
    report = world.path("r.json")

    def is_writing():
        r = Api(server.clear).get("directories", path="/memfs").json()["files"]
        dirs = [f["name"] for f in r if f["name"].startswith("agfs-bench-")]
        return dirs and Api(server.clear).get("stat", path="/memfs/%s/w0" % dirs[0]).status == 200

    result = interrupted(world, server.clear, "-w", "write", "--warmup", "0", "--json", report, after=is_writing)
    expect(result, 130, "INTERRUPTED")
    r = load(report)
    assert r["interrupted"] and only(r)["calls"] > 0 and only(r)["seconds"] < 30
    nothing_left(server)


def test_a_server_that_dies_leaves_a_report(world):
    server = start(world)
    report = world.path("r.json")
    p = subprocess.Popen([os.path.join(world.build, "tools/bench/agfs-bench"), server.clear, "-d", "2s", "--rounds", "2",
                          "--warmup", "0", "-w", "write", "--json", report], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for("the run to begin", lambda: b"agfs-bench-" in Api(server.clear).get("directories", path="/memfs").body)
    server.process.kill()
    out, err = p.communicate(timeout=30)
    if "every one of" not in err and "cannot prepare" not in err:  # it died before anything was measured
        expect(subprocess.CompletedProcess(p.args, p.returncode, out, err), 1, "calls FAILED", "is left behind")
        s = only(load(report))
        assert s["calls"] > 0
        # A caller that only fails waits: how fast connections are refused is no measurement.
        assert 0 < sum(s["errors"].values()) < 500, s["errors"]


def test_ctrl_c_does_not_wait_for_a_call_that_hangs(world):
    hanging, end = threading.Event(), threading.Event()

    def hang(_):
        hanging.set()
        end.wait(60)

    server, url = stub(hang)
    result = interrupted(world, url, "--json", world.path("r.json"), after=hanging.is_set)
    expect(result, 130)
    no_reports(world, "r.json.")
    end.set()
    server.shutdown()


def test_ctrl_c_ends_a_wait_for_a_server_that_says_nothing(world):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0.1)
        connections = []

        def connected():
            try:
                connections.append(silent.accept())
            except TimeoutError:
                pass
            return connections

        before = time.monotonic()
        expect(interrupted(world, "http://127.0.0.1:%d" % silent.getsockname()[1], "--timeout", "60s", "--json",
                           world.path("r.json"), after=connected), 130, "interrupted before anything was measured")
        assert time.monotonic() - before < 30
        for c, _ in connections:
            c.close()
    no_reports(world, "r.json")


def test_a_second_ctrl_c_leaves_no_half_report(world):
    hanging, end = threading.Event(), threading.Event()

    def hang(_):
        hanging.set()
        end.wait(60)

    server, url = stub(hang)
    p = subprocess.Popen([os.path.join(world.build, "tools/bench/agfs-bench"), url, "-d", "50s", "--json",
                          world.path("r.json"), "--csv", world.path("r.csv")],
                         text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for("the run to begin", hanging.is_set)
    wait_for("its end", lambda: p.poll() is not None or p.send_signal(signal.SIGINT))
    out, err = p.communicate(timeout=20)
    expect(subprocess.CompletedProcess(p.args, p.returncode, out, err), 130, "ended at once")
    no_reports(world, "r.")
    end.set()
    server.shutdown()


if __name__ == "__main__":
    run([v for k, v in sorted(globals().items()) if k.startswith("test_")])
