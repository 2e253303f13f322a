#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""agfs-bench against real servers: reports, targets in turn, sweeps, comparisons.

usage: bench_test.py BUILDDIR [TEST...]
"""
import contextlib
import csv
import fcntl
import json
import os
import struct
import subprocess
import termios
import time

from agfs_fronts import Front
from agfs_world import Api, free_port, run, wait_for
from bench_world import SHORT, bench, expect, load, nothing_left, only, start


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


def protocol_of(world, target, *args):
    report = world.path("r.json")
    expect(bench(world, target, "--cacert", world.pki("ca.pem"), *SHORT, *args, "--json", report), 0)
    return load(report)["targets"][0]["protocol"]


def test_the_protocol_that_was_agreed_upon(world):
    server = start(world)
    assert protocol_of(world, server.tls + ",protocol=auto") == "HTTP/2 over TLS"
    assert protocol_of(world, server.tls + ",protocol=h1") == "HTTP/1.1 over TLS"
    Api(server.clear).put("/memfs/f", b"x" * 4096)
    assert protocol_of(world, server.tls, "-o", "file=/memfs/f", "-w", "read") == "HTTP/2 over TLS"


class Nghttpd(Front):
    """Files over HTTP/2, and no health: what file= is for."""
    program = "nghttpd"

    def command(self):
        os.makedirs(self.dir + "/api/v1")
        self.write("api/v1/files", "x" * 4096)
        return [self.path, "--address=127.0.0.1", "--htdocs=" + self.dir, str(self.port), self.world.pki("server.key"),
                self.world.pki("server.pem")]


def test_the_protocol_of_a_server_of_files(world):
    front = Nghttpd(world, [])
    try:
        url = "https://127.0.0.1:%d" % front.port
        assert protocol_of(world, url + ",file=/any", "-w", "read") == "HTTP/2 over TLS"
        assert protocol_of(world, url + ",file=/any,protocol=auto", "-w", "read") == "HTTP/2 over TLS"
    finally:
        front.stop()


def test_the_processor_time_is_that_of_the_server_that_is_asked(world):
    hosts, port = ["127.0.0.1", "127.0.0.2"], free_port()
    if os.path.exists("/proc/net/if_inet6") and " lo" in open("/proc/net/if_inet6").read():
        hosts.append("[::1]")
    servers = [world.start("s%d" % i, ["--mount", "memfs:/memfs"], clear="%s:%d" % (host, port))
               for i, host in enumerate(hosts)]
    for s in servers:
        wait_for("the mounts", Api(s.clear).ready)
    report = world.path("r.json")
    for asked in servers:
        with contextlib.ExitStack() as others:  # a process that stands still takes no time
            for s in servers:
                if s is not asked:
                    others.enter_context(s.standing_still())
            expect(bench(world, asked.clear, *SHORT, "--json", report), 0)
        assert only(load(report))["cpu_server_s"] > 0, asked.clear
    # Who listens on all addresses is asked at each, but for those that somebody else has.
    every = world.start("every", ["--mount", "memfs:/memfs"], clear="0.0.0.0:%d" % free_port())
    url = "http://127.0.0.3:" + every.clear.rsplit(":", 1)[1]
    wait_for("the mounts", Api(url).ready)
    expect(bench(world, url, *SHORT, "--json", report), 0)
    assert only(load(report))["cpu_server_s"] > 0


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
    assert [t["steps"][0]["against_first"] is None for t in r["targets"]] == [True, False, True, True]
    assert set(r["targets"][1]["steps"][0]["against_first"].values()) <= {"more than noise", "no difference beyond noise",
                                                                          "too few rounds to tell"}
    assert r["limits"]["round_trip_us"] > 0 and r["limits"]["pipe_mb_per_s"] > 0
    nothing_left(remote)


def test_the_same_target_twice_has_two_names(world):
    server = start(world)
    report = world.path("r.json")
    expect(bench(world, server.clear, server.clear, server.clear + ",name=x", server.clear, *SHORT, "--json", report), 0)
    assert [t["name"] for t in load(report)["targets"]] == [server.clear, server.clear + " (2)", "x", server.clear + " (3)"]
    nothing_left(server)


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


def keeps_its_plan(run):
    """A run() whose plan was kept. Where the machine stood still meanwhile it was not, and 12 says so: again, then."""
    for _ in range(8):
        result = run()
        if result.returncode == 0:
            return result
        expect(result, 12, "planned calls/s were reached")
    raise AssertionError("no plan is ever kept: " + result.stdout)


def test_an_open_loop(world):
    server = start(world)
    report = world.path("r.json")
    expect(keeps_its_plan(lambda: bench(world, server.clear, "-r", "200", "-d", "500ms", "--rounds", "2", "--warmup", "20ms",
                                        "--json", report)), 0, "open loop")
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


def test_callers_that_wait_for_their_turn_sleep(world):
    server = start(world)
    report = world.path("r.json")
    expect(keeps_its_plan(lambda: bench(world, server.clear, "-r", "70", "-d", "1s", "--rounds", "1", "--json", report)), 0)
    s = only(load(report))  # 64 callers that look every 20 ms whether the end has come: more than 20 a call
    assert s["callers"] == 64 and s["context_switches_per_call"] < 12, s["context_switches_per_call"]


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
    for _ in range(8):  # a machine that stands still for a moment has its knee there
        result = expect(bench(world, server.clear, "--ramp", "rate=50,500,1000000", "-c", "4", "-d", "200ms", "--rounds", "1",
                              "--warmup", "20ms", "--json", report), 0)
        if "planned calls/s only" in result.stdout:
            break
    expect(result, 0, "planned calls/s only")
    r = load(report)
    assert r["sweep"]["name"] == "rate_per_s" and r["sweep"]["knee"]["value"] in (50, 500)
    assert r["targets"][0]["knee"] == r["sweep"]["knee"]
    expect(bench(world, server.tls, "--cacert", world.pki("ca.pem"), "--sweep", "remotes=1,3", "-d", "200ms",
                 "--rounds", "1", "--json", report), 0, "3 remotes")
    steps = load(report)["targets"][0]["steps"]
    assert [s["connections"] for s in steps] == [1, 3], "a remote has connections of its own"
    assert all(s["cpu_server_s"] > 0 for s in steps)
    expect(bench(world, server.clear.replace("://", "://user%n@"), "--remotes", "2", *SHORT, "--json", report), 0)
    assert only(load(report))["cpu_server_s"] is None, "these could be two servers"
    nothing_left(server)


def test_remotes_with_numbers(world):
    server = start(world)
    report = world.path("r.json")
    for n in "12":
        for path in "/memfs/r" + n, "/memfs/r%s/d%s" % (n, n):
            Api(server.clear).call("POST", "directories", path=path)
    expect(bench(world, server.tls, "--cacert", world.pki("ca.pem"), "--remotes", "2", "--path", "/memfs/r%n/d%n",
                 *SHORT, "--json", report), 0)
    s = only(load(report))
    assert (s["callers"], s["remotes"], s["connections"]) == (2, 2, 2), "each remote has a caller"
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
        op["p50_per_round_us"] = [factor * (100 + i % 3) for i in range(5)]
        with open(name, "w") as f:
            json.dump(r, f)
    expect(bench(world, "--compare", a, b), 1, "B is WORSE, more than noise", "verdict: B is worse in 1 of 2")
    expect(bench(world, "--compare", b, a), 0, "verdict: B is better in 1 of 2")
    expect(bench(world, "--compare", a, world.path("none.json")), 2, "none.json: No such file")


def test_a_terminal_shows_progress(world):
    server = start(world)

    def on_a_terminal(*args, columns=0):
        here, there = os.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("4H", 24 if columns else 0, columns, 0, 0))
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
    lines = [line.decode() for line in on_a_terminal(columns=25).split(b"\r\x1b[K")]
    assert max(map(len, lines)) == 24, "one more might begin the next line"
    lines = [line.decode() for line in on_a_terminal("-o", "name=" + "\u00e9" * 100).split(b"\r\x1b[K")]
    assert max(map(len, lines)) == 79, "where the width is not known it is 80"


def test_bad_options(world):
    expect(bench(world, "-d", "0", "http://127.0.0.1:1"), 2, "--duration 0", "no time")
    expect(bench(world, "-d", "25h", "http://127.0.0.1:1"), 2, "--duration 25h", "up to 24h")
    expect(bench(world, "-r", "0", "http://127.0.0.1:1"), 2, "--rate 0")
    expect(bench(world, "--cpu", "1023", "http://127.0.0.1:1"), 2, "--cpu 1023")
    expect(bench(world, "--help"), 0, "usage: agfs-bench")
    expect(bench(world, "--version"), 0, "agfs-bench ")


if __name__ == "__main__":
    run([v for k, v in sorted(globals().items()) if k.startswith("test_")])
