# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Reports as agfs-bench writes them, made up: the same at each run, with the shapes that a page must be able to show."""
import math

PERCENTILES = ["50", "75", "90", "95", "99", "99.9", "99.99"]
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><!-- '\"&amp;"


def latency(p50, tail, p):
    """Microseconds at percentile p: a body around p50 and a tail that grows with each nine."""
    nines = -math.log10(1 - p / 100)
    return p50 * (0.7 + nines) * math.exp(tail * max(0.0, nines - 1)) if nines > 0.3 else p50 * (0.8 + 0.66 * nines)


def op(name, calls, p50, tail, errors=0):
    top = 100 * (1 - 10 / calls) if calls > 20 else 50  # beyond it too few samples
    curve = [100 * (1 - 10 ** -(i / 20)) for i in range(1, 81)]
    return {"op": name, "calls": calls, "errors": errors, "min_us": p50 * 0.61, "mean_us": p50 * 1.13, "sd_us": p50 * 0.4,
            "max_us": latency(p50, tail, 99.999), "p50_per_round_us": [p50, p50 * 1.02, p50 * 0.99],
            "percentiles_us": {p: round(latency(p50, tail, float(p)), 3) if float(p) <= top else None for p in PERCENTILES},
            "curve": [[round(p, 5), round(latency(p50, tail, p), 3)] for p in curve if p <= top], "hdr": "HISTFAAAAB4="}


def timeline(seconds, rate, p50, tail, errors=0):
    out = []
    for i in range(int(seconds * 20)):
        wave = 1 + 0.05 * math.sin(i / 3.1) + 0.03 * math.sin(i * 1.7)
        out.append({"t_s": i / 20, "calls": int(rate / 20 * wave), "errors": 1 if i < errors else 0, "p50_us": p50 / wave,
                    "p99_us": latency(p50, tail, 99) / wave ** 3, "max_us": latency(p50, tail, 99.9) * (1 + (i * 7 % 13) / 6)})
    return out


def step(value, callers, rate, p50, tail, seconds=5.0, mix=("stat",), size=0, errors=None, **more):
    calls = int(rate * seconds)
    names = {"stat": 0.8, "read": 1.1, "write": 1.4, "list": 2.2, "ping": 1, "pipe 1 MiB": 1}
    failed = sum((errors or {}).values())
    ops = [op(m, calls // len(mix), p50 * names[m], tail, failed if i == 0 else 0) for i, m in enumerate(mix)]
    if len(mix) > 1:
        ops.append(op("all", calls, p50, tail, failed))
    result = {"value": value, "callers": callers, "remotes": 1, "latency_from": "start", "planned_rate_per_s": None,
              "reached_rate_per_s": round(rate, 1), "seconds": seconds, "calls": calls, "errors": errors or {},
              "outcomes": {"NA": failed - failed // 3, "UN": failed // 3, "AP": 0}, "first_error": None,
              "bytes_read": calls * size, "bytes_written": 0, "wire_in_bytes": calls * (size + 120), "wire_out_bytes": calls * 90,
              "connections": 1, "streams_peak": callers, "connects": 0, "cpu_client_s": seconds * min(1.0, rate / 45000),
              "cpu_server_s": seconds * min(0.97, rate / 48000), "context_switches_per_call": round(1.9 / math.sqrt(callers), 3),
              "instructions_per_call": None, "rates_per_round": [rate * 0.99, rate * 1.02, rate], "ops": ops,
              "timeline": timeline(seconds, rate, p50, tail, failed)}
    result.update(more)
    return result


def report(targets, sweep=None, **more):
    run = {"schema": "agfs-bench/1", "started": "2026-11-29T13:30:00Z", "interrupted": False,
           "command": ["agfs-bench", "--target", "direct=https://127.0.0.1:8443/api/v1", "--ops", "stat:60,read:25"],
           "versions": {"agfs_bench": "0.1.0", "libproxyfs": "0.1.0", "openssl": "3.0.17", "nghttp2": "1.52.0"},
           "machine": {"cpus": 2, "model": "A made-up processor", "kernel": "6.1.0", "memory_bytes": 24 << 30},
           "workload": {"text": "stat", "size_bytes": 0, "entries": 0, "arrival": "closed", "warmup_s": 1.0, "duration_s": 5.0,
                        "count": None, "rounds": 3},
           "sweep": sweep, "targets": targets, "limits": None}
    run.update(more)
    return run


def target(name, steps, kind="remote", **more):
    t = {"name": name, "kind": kind, "url": "https://127.0.0.1:8443/api/v1", "path": "/memfs/agfs-bench-1a2b",
         "protocol": "HTTP/2 over TLS", "steps": steps}
    t.update(more)
    return t


def single():
    """Two targets, mixed operations, one step; some calls fail, and the high percentiles of one are unknown."""
    mix = ("stat", "read", "write", "list")
    errors = {"timeout": 7, "overload": 2}
    return report([
        target("direct", [step(None, 16, 21000.0, 640.0, 0.35, mix=mix, size=4096)]),
        target("through agfsd", [step(None, 16, 700.0, 1170.0, 0.6, mix=mix, size=4096, errors=errors,
                                      first_error="read /memfs/f: timeout: no reply within 250ms")])],
        limits={"round_trip_us": 19.2, "pipe_mb_per_s": 880.0},
        workload={"text": "stat:60,read:25,write:10,list:5", "size_bytes": 4096, "entries": 100, "arrival": "closed",
                  "warmup_s": 1.0, "duration_s": 5.0, "count": None, "rounds": 3})


def callers():
    """A sweep over callers with a knee at 32, two targets and the limits."""
    def steps(top, trip, tail, **more):
        out = []
        for n in (1, 2, 4, 8, 16, 32, 64, 128, 256):
            rate = top * (1 - math.exp(-n / trip * 1e6 / top / 1.0))
            out.append(step(n, n, rate, 1e6 * n / rate, tail, **more))
        return out
    return report([target("direct", steps(42000, 52, 0.3)), target("through agfsd", steps(31000, 95, 0.4)),
                   target("bare TLS round trip", steps(61000, 31, 0.2, mix=("ping",)), kind="limit", path="", url=""),
                   target("bare TLS pipe", steps(880, 2000, 0.2, mix=("pipe 1 MiB",), size=1 << 20), kind="limit", path="", url="")],
                  sweep={"name": "callers", "knee": {"value": 32, "reason": "from 32 to 64 callers throughput changed by +0 %, p99 went from 2.22 ms to 4.44 ms"}},
                  limits={"round_trip_us": 19.2, "pipe_mb_per_s": 880.0})


def sizes():
    """A sweep over sizes, 1 KiB to 1 GiB, without a knee."""
    def steps(slow):
        out = []
        for i in range(0, 21, 2):
            size = 1024 << i
            p50 = slow * (45 + size / 650)
            cpu = 5.0 * 0.45 * (1 if i < 20 else 0.9)
            out.append(step(size, 1, 0.95e6 / p50, p50, 0.2, mix=("read",), size=size, cpu_client_s=cpu, cpu_server_s=cpu))
        return out
    return report([target("direct", steps(1.0)), target("through agfsd", steps(1.7))], sweep={"name": "size_bytes", "knee": None},
                  limits={"round_trip_us": 19.2, "pipe_mb_per_s": 880.0})


def hostile():
    """Every text is an attack on the page."""
    run = single()
    for t in run["targets"]:
        t["name"] = t["url"] = t["path"] = t["protocol"] = HOSTILE
        t["steps"][0]["first_error"] = HOSTILE
        t["steps"][0]["errors"] = {HOSTILE: 3}
    run["command"] = [HOSTILE]
    run["machine"]["model"] = run["workload"]["text"] = HOSTILE
    run["versions"][HOSTILE] = HOSTILE
    return run
