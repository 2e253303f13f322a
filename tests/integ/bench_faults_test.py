#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""agfs-bench when it goes wrong: targets that fail, outputs that cannot be written, Ctrl-C.

usage: bench_faults_test.py BUILDDIR [TEST...]
"""
import http.server
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time

from agfs_world import Api, run, wait_for
from bench_world import SHORT, bench, expect, load, no_reports, nothing_left, only, start


def test_a_target_that_cannot_be_used(world):
    server = start(world)
    out = ["--json", world.path("r.json"), "--csv", world.path("r.csv")]
    expect(bench(world, "http://127.0.0.1:1", *SHORT, *out), 8, "127.0.0.1:1", "class conn")
    expect(bench(world, server.tls, "--cacert", world.pki("other-ca.pem"), *SHORT, *out), 9, "class tls_verify")
    expect(bench(world, server.clear + ",colour=red", *SHORT, *out), 2, "colour")
    expect(bench(world, server.clear, "--path", "/nowhere", *SHORT, *out), 5, "cannot prepare")
    expect(bench(world, server.clear, "-w", "enqueue", "--queue", "/none", *SHORT, *out), 5, "--queue names the mount")
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


class Turns:
    """Which request this is, from 1: handlers run side by side, and no two of them have the same."""

    def __init__(self):
        self.lock, self.n = threading.Lock(), 0

    def next(self):
        with self.lock:
            self.n += 1
            return self.n


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
    turns = Turns()

    def some(handler):
        if turns.next() % 10 == 0:
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


def test_a_link_to_a_report_stays(world):
    server = start(world)
    os.mkdir(world.path("d"))
    places = {"--json": "d/r.json", "--csv": "d/r.csv"}
    for option, place in places.items():  # the first is there already
        os.symlink(place, world.path("link" + option))
    with open(world.path("d/r.json"), "w") as f:
        f.write("an old report")
    expect(bench(world, server.clear, *SHORT, *[w for o in places for w in (o, world.path("link" + o))]), 0)
    assert all(os.readlink(world.path("link" + o)) == place for o, place in places.items())
    only(load(world.path("d/r.json")))
    assert open(world.path("d/r.csv")).read().startswith("target,")
    expect(bench(world, server.clear, "-d", "60s", "--json", world.path("d/r.csv"), "--csv", world.path("link--csv")),
           2, "link--csv: a file takes one report only")
    os.symlink("loop", world.path("loop"))
    expect(bench(world, server.clear, "-d", "60s", "--json", world.path("loop")), 1, "cannot write " + world.path("loop"))
    assert sorted(os.listdir(world.path("d"))) == ["r.csv", "r.json"]
    nothing_left(server)


def test_another_name_of_standard_output(world):
    server = start(world)
    os.symlink("/dev/stdout", world.path("out"))  # a link of its own: root could lose /dev/stdout
    expect(bench(world, server.clear, "-d", "60s", "--json", world.path("out"), "--csv", "-"), 2,
           "standard output: a file takes one report only")
    result = expect(bench(world, server.clear, *SHORT, "--json", world.path("out")), 0)
    assert json.loads(result.stdout)["schema"] == "agfs-bench/1"
    with open(world.path("r.json"), "w") as f:
        expect(bench(world, server.clear, *SHORT, "--json", world.path("out"), stdout=f), 0)
    only(load(world.path("r.json")))
    assert os.readlink(world.path("out")) == "/dev/stdout"
    null = ["--json", "/dev/null", "--csv", "/dev/null"]
    expect(bench(world, server.clear, *SHORT, *null, stdout=subprocess.DEVNULL), 0)


def test_a_report_that_cannot_be_written_costs_no_other(world):
    server = start(world)
    page, table = world.path("r.html"), world.path("r.csv")

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    expect(bench(world, server.clear, *SHORT, "--json", "/dev/full", "--html", page, "--csv", table, preexec_fn=small_files),
           1, "cannot write /dev/full: No space left on device", "cannot write %s: File too large" % page)
    assert open(table).read().count("\n") == 2
    no_reports(world, "r.html")
    nothing_left(server)


def test_a_full_standard_output(world):
    server = start(world)
    report = world.path("r.json")
    with open("/dev/full", "w") as full:
        for args in (["--help"], ["--version"], [server.clear, *SHORT, "--json", report], ["--compare", report, report],
                     [server.clear, *SHORT, "--json", "-"]):
            result = expect(bench(world, *args, stdout=full), 1, "cannot write standard output: No space left on device")
            assert result.stderr.count("cannot write") == 1, result.stderr
    only(load(report))


def interrupted(world, url, *args, after, by=signal.SIGINT, duration="50s", **popen):
    """A signal once after() is true; .too_late: the run was over before."""
    popen.setdefault("preexec_fn", lambda: signal.signal(by, signal.SIG_DFL))  # whoever runs the tests may ignore it
    p = subprocess.Popen([os.path.join(world.build, "tools/bench/agfs-bench"), url, "-d", duration, "--rounds", "1",
                          *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen)
    try:
        wait_for("the run to begin", lambda: after() or p.poll() is not None)
        too_late = p.poll() is not None
        p.send_signal(by)
        out, err = p.communicate(timeout=60)
    finally:
        p.kill()
    result = subprocess.CompletedProcess(p.args, p.returncode, out, err)
    result.too_late = too_late
    return result


def is_writing(server):
    r = Api(server.clear).get("directories", path="/memfs").json()["files"]
    dirs = [f["name"] for f in r if f["name"].startswith("agfs-bench-")]
    return dirs and Api(server.clear).get("stat", path="/memfs/%s/w0" % dirs[0]).status == 200


def test_ctrl_c_reports_what_was_measured(world):
    server = start(world)
    report = world.path("r.json")
    for sig in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        for _ in range(10):  # its file is there before the first call has returned, and may be the only sign
            result = interrupted(world, server.clear, "-w", "write", "--warmup", "0", "--json", report, by=sig,
                                 after=lambda: is_writing(server))
            if "before anything was measured" not in result.stderr:
                break
        expect(result, 130, "INTERRUPTED")
        r = load(report)
        assert r["interrupted"] and only(r)["calls"] > 0 and only(r)["seconds"] < 30
        nothing_left(server)


def test_nohup_outlives_the_terminal(world):
    server = start(world)
    for duration in "1s", "4s", "16s":  # longer where this test had no processor meanwhile
        result = expect(interrupted(world, server.clear, "-w", "write", "--warmup", "0", by=signal.SIGHUP, duration=duration,
                                    after=lambda: is_writing(server),
                                    preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)), 0)
        if not result.too_late:
            break
    assert not result.too_late, "no run was seen while it lasted"
    nothing_left(server)


def test_a_server_that_dies_leaves_a_report(world):
    server = start(world)
    report = world.path("r.json")
    begun = lambda: b"agfs-bench-" in Api(server.clear).get("directories", path="/memfs").body
    for _ in range(5):  # again where the run was over before it was seen
        p = subprocess.Popen([os.path.join(world.build, "tools/bench/agfs-bench"), server.clear, "-d", "2s", "--rounds", "2",
                              "--warmup", "0", "-w", "write", "--json", report], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_for("the run to begin", lambda: begun() or p.poll() is not None)
        if p.poll() is None:
            break
        p.communicate()
    server.process.kill()
    out, err = p.communicate(timeout=60)
    if "every one of" not in err and "cannot prepare" not in err:  # it died before anything was measured
        expect(subprocess.CompletedProcess(p.args, p.returncode, out, err), 1, "calls FAILED", "is left behind")
        s = only(load(report))
        assert s["calls"] > 0
        # A caller that only fails waits: how fast connections are refused is no measurement.
        assert 0 < sum(s["errors"].values()) < 500, s["errors"]


def test_steps_that_were_measured_are_not_lost(world):
    turns = Turns()

    def first_steps_only(handler):
        handler.answer(*((200, FOUND) if turns.next() <= 80 else (500, {"error": "the disk is on fire"})))

    server, url = stub(first_steps_only)
    report = world.path("r.json")
    expect(bench(world, url, "--sweep", "callers=1,2,4,8", "-n", "40", "--rounds", "1", "--warmup", "0", "--json", report),
           1, "ENDED EARLY", "every one of 40 calls failed", "the disk is on fire")
    r = load(report)
    steps = r["targets"][0]["steps"]
    assert r["ended_early"] and [s["calls"] for s in steps] == [40, 40, 0], steps
    assert steps[2]["errors"] == {"io": 40}
    server.shutdown()


def test_one_target_of_two_that_fails(world):
    good, good_url = stub(lambda h: h.answer(200, FOUND))
    bad, bad_url = stub(lambda h: h.answer(500, {"error": "the disk is on fire"}))
    report = world.path("r.json")
    expect(bench(world, good_url, bad_url, *SHORT, "--json", report), 1, "every one of", "calls FAILED: io")
    a, b = (t["steps"][0] for t in load(report)["targets"])
    assert a["calls"] > 0 and a["errors"] == {} and b["calls"] == 0 and b["errors"]["io"] > 0
    assert len(a["rates_per_round"]) == len(b["rates_per_round"]) == len(a["ops"][0]["p50_per_round_us"]) == 4
    good.shutdown()
    bad.shutdown()


def hangs_after(n, callers):
    """A server that answers n calls and no more; all of the callers are stuck, and that for a while?"""
    turns, stuck_at, end = Turns(), [], threading.Event()

    def on_stat(handler):
        turn = turns.next()
        if turn == n + callers:
            stuck_at.append(time.monotonic())
        if turn > n:
            end.wait(60)
        handler.answer(200, FOUND)

    return (*stub(on_stat), lambda: stuck_at and time.monotonic() - stuck_at[0] > 0.2, end)


def test_ctrl_c_loses_no_planned_call(world):
    server, url, are_stuck, end = hangs_after(100, 8)
    report = world.path("r.json")
    result = interrupted(world, url, "-r", "400", "-c", "8", "--warmup", "0", "--json", report, after=are_stuck)
    expect(result, 130, "8 calls were under way at Ctrl-C")
    s = only(load(report))
    assert s["errors"] == {} and s["calls"] == 100 and s["cut_by_interrupt"] == 8, s
    planned = 400 * s["seconds"]
    assert s["unstarted"] > 40, s
    assert abs(s["calls"] + 8 + s["unstarted"] - planned) <= 1, (s["unstarted"], planned)
    assert s["ops"][0]["max_us"] < s["seconds"] * 1e6 + 1000, "nothing waited for longer than was measured"
    end.set()
    server.shutdown()


def test_a_timeout_does_not_flatter_the_times(world):
    server, url, _, end = hangs_after(100, 4)
    report = world.path("r.json")
    result = bench(world, url, "-r", "100", "-c", "4", "-d", "1200ms", "--rounds", "1", "--warmup", "0", "--timeout", "700ms",
                   "--json", report)
    expect(result, 1, "calls FAILED: timeout", "timeouts count in the times", "calls failed")
    s = only(load(report))
    assert s["errors"] == {"timeout": s["ops"][0]["errors"]} and s["ops"][0]["errors"] >= 4, s["errors"]
    assert s["ops"][0]["max_us"] > 700000, "four calls took that long at least, and then failed"
    end.set()
    server.shutdown()


def test_ctrl_c_fails_no_call_that_hangs(world):
    server, url, are_stuck, end = hangs_after(100, 4)
    report = world.path("r.json")
    result = interrupted(world, url, "-c", "4", "--warmup", "0", "--json", report, after=are_stuck)
    expect(result, 130)
    s = only(load(report))
    assert s["errors"] == {} and s["calls"] == 100 and s["cut_by_interrupt"] == 4, s
    assert sum(p["calls"] for p in s["timeline"]) == 100
    end.set()
    server.shutdown()


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
    out, err = p.communicate(timeout=60)
    expect(subprocess.CompletedProcess(p.args, p.returncode, out, err), 130, "ended at once")
    no_reports(world, "r.")
    end.set()
    server.shutdown()


if __name__ == "__main__":
    run([v for k, v in sorted(globals().items()) if k.startswith("test_")])
