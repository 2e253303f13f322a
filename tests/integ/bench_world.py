# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""agfs-bench as the tests run it, and what its JSON report must look like."""
import json
import os
import subprocess

from agfs_world import Api, wait_for

SHORT = ["-d", "240ms", "--rounds", "4", "--warmup", "20ms"]


def start(world):
    server = world.start("server", ["--mount", "memfs:/memfs", "--mount", "queuefs:/queuefs"], tls=True,
                         client_cert="optional")
    wait_for("the mounts", Api(server.clear).ready)
    return server


def bench(world, *args, timeout=60, stdout=subprocess.PIPE, **popen):
    env = {k: v for k, v in os.environ.items() if not k.startswith("AGFS_")}
    return subprocess.run([os.path.join(world.build, "tools/bench/agfs-bench"), *args], text=True, env=env,
                          stdout=stdout, stderr=subprocess.PIPE, timeout=timeout, **popen)


def expect(result, code, *words):
    said = (result.stdout or "") + result.stderr
    assert result.returncode == code, "exit code %d\n%s" % (result.returncode, said)
    for w in words:
        assert w in said, "no %r in\n%s" % (w, said)
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
    "target": {"name": text, "kind": text, "url": text, "path": text, "protocol": text, "steps": list,
               "knee": lambda v: v is None or number_or_null(v["value"]) and text(v["reason"])},
    "step": {"value": number_or_null, "callers": is_number, "remotes": is_number, "latency_from": text,
             "planned_rate_per_s": number_or_null, "reached_rate_per_s": is_number, "seconds": is_number,
             "calls": is_number, "errors": dict, "outcomes": dict, "first_error": text_or_null,
             "bytes_read": is_number, "bytes_written": is_number, "wire_in_bytes": is_number,
             "wire_out_bytes": is_number, "connections": is_number, "streams_peak": number_or_null, "connects": is_number,
             "cpu_client_s": is_number, "cpu_server_s": number_or_null, "cpu_machine_s": number_or_null,
             "context_switches_per_call": number_or_null,
             "instructions_per_call": number_or_null, "rates_per_round": numbers,
             "against_first": lambda v: v is None or text(v["p50"]) and text(v["rate"]), "ops": list, "timeline": list},
    "op": {"op": text, "calls": is_number, "errors": is_number, "min_us": number_or_null, "mean_us": number_or_null,
           "sd_us": number_or_null, "max_us": number_or_null, "percentiles_us": dict, "p50_per_round_us": lambda v: isinstance(v, list) and all(number_or_null(x) for x in v),
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
    # Calls that never started, were cut, or ran into their timeout count in the times with what they had waited.
    more = step["unstarted"] + step["cut_by_interrupt"] + step["errors"].get("timeout", 0)
    for name, needed in ("50", 20), ("99", 1000):
        assert (p[name] is not None) >= (op["calls"] >= needed)
        assert (p[name] is not None) <= (op["calls"] + more >= needed)
    if known:
        assert op["min_us"] <= known[0] and known[-1] <= op["max_us"] * 1.001
        assert op["hdr"].startswith("HISTF")


def only(report):
    return report["targets"][0]["steps"][0]
