# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""limits.sh: measures and prints the table. tools.py has the servers and load generators."""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from tools import BIG, FILE, Kit, Missing, median, need, processor, ratio, stolen_s

READ = FILE + "?path=/m/f"  # the target of a small read, as the library sends it
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
PINNED = 0  # the one core of client and server where waking another would hide everything else


class Table:
    """Rows as they come: what, measured, bar, verdict."""

    def __init__(self):
        self.not_measured = 0
        self.line("what", "measured", "bar", "verdict")

    @staticmethod
    def line(what, measured, bar, verdict):
        print(f"{what:<78} | {measured:>10} | {bar:>9} | {verdict}", flush=True)

    def row(self, what, value, sign, bar, form="{:.2f}"):
        good = value >= bar if sign == ">=" else value <= bar
        self.line(what, form.format(value), f"{sign} {bar:g}", "ok" if good else "missed")

    def compare(self, what, value):
        self.line(what, f"{value:.2f}", "-", "for comparison")

    def failed(self, what, why):
        self.not_measured += 1
        self.line(what, "-", "", f"not measured: {why}")


def rounds_of(kit, normal):
    return 3 if kit.quick else normal


def p50s(step):
    """The median call of each round. With one caller it stands for the rate: one call in a thousand that the
    scheduler interrupts changes the mean of a whole round."""
    return step["ops"][0]["p50_per_round_us"]


def rates(step):
    return step["rates_per_round"]


def h2(url, *options):
    """A server that is no AGFS, over one protocol and with a file that is there."""
    return ",".join((url, "protocol=h2", "file=/m/f") + options)


def one_core(kit, table):
    """One caller, one core: what the engine adds to bare TLS."""
    step, trip, _ = kit.bench([h2(kit.null(PINNED))], rounds=rounds_of(kit, 25), cpu=PINNED, limit=True)
    table.row("small read, 1 caller, one core, cheapest server: rate / bare TLS round trips",
              ratio(p50s(trip), p50s(step)), ">=", 0.88)
    table.row("  context switches per call", step["context_switches_per_call"], "<=", 1.1)
    calls = kit.bench_command([h2(kit.null(PINNED), "spin=0")], "read", 1, "-s", "250", "--cpu", "0")
    table.row("  system calls per call (without polling)", system_calls(kit, calls, 2000, 12000), "<=", 2.05)


def system_calls(kit, command, few, many):
    """Those of the engine (agfs-bench itself reads /proc). perf counts without slowing down, strace where it is not."""
    names = ("sendto", "recvfrom", "futex", "epoll_wait", "epoll_pwait", "poll", "ppoll", "sched_yield",
             "write")
    if shutil.which("perf"):
        try:
            prefix = ["perf", "stat", "-e", ",".join("syscalls:sys_enter_" + n for n in names)]
            return median([kit.per_call(prefix, r"([\d,]+)\s+syscalls:sys_enter_", command, few, many)
                           for _ in range(rounds_of(kit, 7))])
        except RuntimeError:
            pass  # not permitted here
    return kit.per_call([need("strace"), "-f", "-c", "-e", "trace=" + ",".join(names)],
                        r"100\.00\s+\S+\s+\S+\s+(\d+)\s+(?:\d+\s+)?total", command, few, many)


def spin(kit, table):
    """Client and server on cores of their own, as an idle machine has them: polling instead of sleeping."""
    if os.cpu_count() < 2:
        raise Missing("a second CPU")
    url = kit.null(PINNED + 1)
    with_spin, without = kit.bench([h2(url), h2(url, "spin=0")], rounds=rounds_of(kit, 15), seconds=0.2, cpu=PINNED)
    table.row("small read, 1 caller, a core for each end: latency with spin / without",
              ratio(p50s(with_spin), p50s(without)), "<=", 0.5)


def curl_one(kit, table):
    """One caller, one core, against what a program with libcurl has."""
    url, (_, clear) = kit.nghttpd(PINNED), kit.nginx(PINNED)
    ours, h2_curl, h1_curl = [], [], []
    for _ in range(rounds_of(kit, 9)):
        ours += p50s(kit.bench([h2(url)], seconds=0.2, cpu=PINNED)[0])
        h2_curl.append(kit.curl("easy", "2", url + FILE, 1, 0.2, PINNED)[1])
        h1_curl.append(kit.curl("easy", "1.1", clear + FILE, 1, 0.2, PINNED)[1])
    table.row("small read, 1 caller, one core, nghttpd: latency / libcurl easy, HTTP/2",
              ratio(ours, h2_curl), "<=", 0.55)
    table.row("  the same / libcurl easy, HTTP/1.1 in clear text, nginx", ratio(ours, h1_curl), "<=", 1.0)


def stat(kit, table):
    """Two ends of ours: JSON made and read."""
    step, trip, _ = kit.bench([kit.agfsd("pinned", PINNED) + ",path=/m"], "stat", rounds=rounds_of(kit, 25),
                              cpu=PINNED, limit=True)
    table.row("stat, 1 caller, one core, agfsd memfs: rate / bare TLS round trips",
              ratio(p50s(trip), p50s(step)), ">=", 0.70)


def floor(kit, table):
    """For comparison, a client that is nghttp2 and OpenSSL and nothing else, in the rows of one caller."""
    null, ng, agfsd = kit.null(PINNED), kit.nghttpd(PINNED), kit.agfsd("pinned", PINNED)
    put_small_file(kit, agfsd)
    got = {name: [] for name in ("trip", "null", "ng", "ours", "curl", "stat")}
    for _ in range(rounds_of(kit, 9)):
        ours, trip, _ = kit.bench([h2(ng)], seconds=0.2, cpu=PINNED, limit=True)
        got["trip"] += p50s(trip)
        got["ours"] += p50s(ours)
        got["curl"].append(kit.curl("easy", "2", ng + FILE, 1, 0.2, PINNED)[1])
        targets = (("null", null, FILE), ("ng", ng, FILE), ("stat", agfsd, "/api/v1/stat?path=/m/f"))
        for name, url, path in targets:
            got[name].append(kit.floor(url, path, 0.2, PINNED))
    table.compare("nghttp2 and OpenSSL alone, one core, cheapest server: rate / bare round trips",
                  ratio(got["trip"], got["null"]))
    table.compare("  nghttpd: latency / libcurl easy, HTTP/2", ratio(got["ng"], got["curl"]))
    table.compare("  agfsd, stat, not decoded: rate / bare TLS round trips", ratio(got["trip"], got["stat"]))
    table.compare("  nghttpd: its latency / libproxyfs'", ratio(got["ng"], got["ours"]))


def many(kit, table):
    """64 callers against a load generator that has no callers."""
    url, loader, single, default = kit.nghttpd(), [], [], []
    for number in range(rounds_of(kit, 10)):
        loader.append(kit.h2load(url + FILE, 1, 20000 if kit.quick else 80000))
        takers = [(single, h2(url, "max_connections=1")), (default, h2(url))]
        takers = takers[::-1] if number % 2 else takers  # on a busy machine the first has an advantage
        for (got, _), step in zip(takers, kit.bench([target for _, target in takers], callers=64, seconds=0.4)):
            got += rates(step)
    table.row("small reads, 64 callers, nghttpd, 1 connection: rate / h2load -c1 -m64",
              ratio(single, loader), ">=", 0.60)
    table.row("  the same, default options", ratio(default, loader), ">=", 0.75)


def many_curl(kit, table):
    """64 callers against what programs with libcurl do."""
    null, ng, (tls, _) = kit.null(), kit.nghttpd(), kit.nginx()
    got = {name: [] for name in ("null", "ng", "multi null", "multi ng", "threads")}
    for _ in range(rounds_of(kit, 7)):
        steps = kit.bench([h2(null), h2(ng)], callers=64, seconds=0.3)
        got["null"] += rates(steps[0])
        got["ng"] += rates(steps[1])
        got["multi null"].append(kit.curl("multi", "2", null + FILE, 64, 0.3)[0])
        got["multi ng"].append(kit.curl("multi", "2", ng + FILE, 64, 0.3)[0])
        got["threads"].append(kit.curl("threads", "1.1", tls + FILE, 64, 0.3)[0])
    table.row("small reads, 64 callers: rate / libcurl multi HTTP/2, cheapest server",
              ratio(got["null"], got["multi null"]), ">=", 5, "{:.1f}")
    table.row("  the same, nghttpd", ratio(got["ng"], got["multi ng"]), ">=", 2.5, "{:.1f}")
    table.row("  nghttpd / 64 threads with libcurl HTTP/1.1 over TLS, nginx",
              ratio(got["ng"], got["threads"]), ">=", 3.5, "{:.1f}")


def stock(kit, table):
    """The proxy of the stock server, where the user has one."""
    if not kit.stock:
        table.line("small reads, 64 callers: rate / the stock proxy with 16", "-", ">= 10", "left out: no --stock URL")
        return
    theirs, ours = [], []
    for _ in range(rounds_of(kit, 5)):
        theirs += rates(kit.bench([kit.stock + ",protocol=h1,max_connections=16"], callers=16, seconds=0.4)[0])
        ours += rates(kit.bench([h2(kit.nghttpd())], callers=64, seconds=0.4)[0])
    table.row("small reads, 64 callers: rate / the stock proxy with 16", ratio(ours, theirs), ">=", 10, "{:.1f}")


def cost(kit, table):
    """What a read costs when 64 callers share a connection."""
    target = h2(kit.null())
    step = kit.bench([target], callers=64, rounds=rounds_of(kit, 5), seconds=0.3)[0]
    table.row("small reads, 64 callers: context switches per read", step["context_switches_per_call"], "<=", 1.1)
    command = kit.bench_command([target], "read", 64, "-s", "250")
    table.row("  system calls per read", system_calls(kit, command, 5000, 105000), "<=", 1.2)
    counted = kit.per_call([need("valgrind"), "--tool=callgrind", "--callgrind-out-file=" + kit.path("callgrind")],
                           r"Collected : (\d+)", command, 5000, 45000)
    table.row("  user instructions per read (callgrind)", counted, "<=", 12000, "{:.0f}")


def server(kit, table):
    """agfsd's memfs against a server that does nothing but serve files."""
    url = kit.agfsd("free")
    put_small_file(kit, url)
    ours, theirs = [], []
    for _ in range(rounds_of(kit, 9)):
        ours.append(kit.h2load(url + READ, 4, 20000 if kit.quick else 80000))
        theirs.append(kit.h2load(kit.nghttpd() + FILE, 4, 20000 if kit.quick else 80000))
    table.row("agfsd memfs, small read, h2load -c4 -m64: rate / nghttpd with that file", ratio(ours, theirs), ">=", 0.9)


def put_small_file(kit, url):
    kit.run([need("curl"), "-sf", "--cacert", kit.pki("ca.pem"), "-X", "PUT", "--data-binary",
             "@" + kit.path("www" + FILE), url + READ])


def behind_and_front(kit, name, cpu):
    """Targets: a server, and another one that mounts it."""
    behind = kit.agfsd("behind-" + name, cpu)
    front = kit.agfsd("front-" + name, cpu, (
        f"proxyfs:/remote:base_url={behind}/api/v1,ca_file={kit.pki('ca.pem')},"
        f"client_cert={kit.pki('client.pem')},client_key={kit.pki('client.key')}",))
    return [behind + ",path=/m", front + ",path=/remote/m"]


def share_kept(kit, targets):
    """Of the first target's rate, by the second, with 16 callers."""
    direct, through = kit.bench(targets, callers=16, rounds=rounds_of(kit, 9), seconds=0.2)
    return ratio(rates(through), rates(direct))


def added_round_trips(kit, targets, cpu):
    """What the second target's median call takes longer than the first one's, in round trips of the same round."""
    steps = kit.bench(targets, rounds=rounds_of(kit, 25), seconds=0.2, cpu=cpu, limit=True)
    return median([(b - a) / t for a, b, t in zip(*(p50s(s) for s in steps[:3]))])


def hop(kit, table):
    """What one server on the way costs: agfsd to agfsd with mutual TLS."""
    free, pinned = behind_and_front(kit, "free", None), behind_and_front(kit, "pinned", PINNED)
    table.row("one proxy hop over mutual TLS, 16 callers: share of the direct rate kept",
              share_kept(kit, free), ">=", 0.5)
    table.row("  median latency it adds, 1 caller, in bare TLS round trips",
              added_round_trips(kit, free, None), "<=", 1.6)
    table.row("  the same, one core", added_round_trips(kit, pinned, PINNED), "<=", 1.6)
    kit.fixed = True
    try:
        fixed = added_round_trips(kit, behind_and_front(kit, "fixed", PINNED), PINNED)
        table.row("  the same, addresses not randomised (as by setarch -R)", fixed, "<=", 1.6)
    finally:
        kit.fixed = False


def relay(kit, table):
    """For comparison, a hop that only relays: nghttpx before nghttpd, made of the same two libraries."""
    free, pinned = ([h2(kit.nghttpd(cpu)), h2(kit.nghttpx(cpu))] for cpu in (None, PINNED))
    table.compare("nghttpx before nghttpd, 16 callers: share of the direct rate kept", share_kept(kit, free))
    table.compare("  median latency it adds, 1 caller, in bare TLS round trips", added_round_trips(kit, free, None))
    table.compare("  the same, one core", added_round_trips(kit, pinned, PINNED))


def bulk(kit, table):
    """256 MiB on one stream; the pipe is 16 KiB records one way."""
    size = BIG // 2 if kit.quick else BIG  # either is more than agfs-bench reads into memory at once
    reads, writes, pipes = [], [], []
    target = h2(kit.null(None, size), "max_connections=1")
    for _ in range(rounds_of(kit, 7)):
        read, _, pipe = kit.bench([target], size=size, seconds=0.3, limit=True)
        write = kit.bench([target], "write", size=size, seconds=0.3)[0]
        reads.append(size / read["ops"][0]["mean_us"])
        writes.append(size / write["ops"][0]["mean_us"])
        pipes.append((1 << 20) / pipe["ops"][0]["mean_us"])
    table.row(f"read of {size >> 20} MiB, one connection: bytes / bare TLS pipe", ratio(reads, pipes), ">=", 0.90)
    table.row("  write of them", ratio(writes, pipes), ">=", 1.1)


def budget(kit, table):
    """Instructions of a call when it is alone; the test fails when they grow by a tenth."""
    out = kit.run([sys.executable, os.path.join(ROOT, "tests/budget/budget_test.py"),
                   kit.built("tests/budget/budget_calls"), kit.agfsd_path, kit.path("pki"), "2"]).stdout
    for call, counted, allowed in re.findall(r"# (\w+): (\d+) instructions, budget (\d+)", out):
        table.row(f"user instructions of a {call}, 1 caller (callgrind, tests/budget)", int(counted), "<=",
                  int(int(allowed) * 1.1), "{:.0f}")
    if "# SKIP" in out:
        raise Missing("valgrind is not installed")


def memory(kit, table):
    out = kit.run([kit.built("tests/stress/stress_memory")]).stdout
    remote, call = re.search(r"idle remote (\d+) bytes, call in flight (\d+) bytes", out).groups()
    table.row("bytes of an idle remote, OpenSSL's left out (tests/stress/memory.c)",
              int(remote), "<=", 64 << 10, "{:.0f}")
    table.row("  of a call in flight", int(call), "<=", 4 << 10, "{:.0f}")


def listing(kit, table):
    out = kit.run([kit.built("tools/bench/limits/list_load"), "10000", "5" if kit.quick else "50"]).stdout.split()
    table.row("listing of 10,000 entries decoded: speed / json-c building its tree",
              float(out[1]) / float(out[0]), ">=", 5, "{:.1f}")


ALL = {"one_core": one_core, "spin": spin, "curl_one": curl_one, "stat": stat, "floor": floor, "many": many,
       "many_curl": many_curl, "stock": stock, "cost": cost, "server": server, "hop": hop, "relay": relay,
       "bulk": bulk, "budget": budget, "memory": memory, "listing": listing}


def use_of_profile(build):
    """off, generate (tools/release.sh is at work there, or was interrupted), use; None: no build."""
    try:
        with open(os.path.join(build, "meson-info/intro-buildoptions.json")) as f:
            return {o["name"]: o["value"] for o in json.load(f)}["b_pgo"]
    except OSError:
        return None


def how_built(build):
    return "as tools/release.sh does" if use_of_profile(build) == "use" else "without a profile (tools/release.sh has one)"


def release_build():
    """What is to be installed, made if it is not there."""
    build = os.path.join(ROOT, "build-release")
    if use_of_profile(build) in (None, "generate"):
        print("limits.sh: no whole build-release yet: tools/release.sh makes it, which takes two minutes", file=sys.stderr)
        for command in (["tools/dev/packages.sh", "check"], ["tools/release.sh", build, "-Dtests=true"]):
            if subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode != 0:
                raise Missing(f"{' '.join(command)} failed (above: why)")
    return build


def arguments():
    p = argparse.ArgumentParser(prog="tools/bench/limits.sh")
    p.add_argument("build", nargs="?", help="build directory (default: build-release, by tools/release.sh)")
    p.add_argument("--quick", action="store_true", help="few and short rounds")
    p.add_argument("--only", action="append", choices=ALL, metavar="NAME", help="this measurement; may be repeated")
    p.add_argument("--list", action="store_true", help="names of the measurements")
    p.add_argument("--stock", metavar="URL[,path=PATH]", help="stock server that mounts another one at PATH")
    return p.parse_args()


def main():
    args = arguments()
    if args.list:
        print("\n".join(f"{name:<10} {(fn.__doc__ or '').strip()}".rstrip() for name, fn in ALL.items()))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        args.build = args.build or release_build()
        kit = Kit(args.build, args.quick)
    except Missing as why:
        print(f"limits.sh: {why}", file=sys.stderr)
        return 1
    began, stolen = time.monotonic(), stolen_s()
    try:
        kit.stock = args.stock
        table = Table()
        for name in args.only or ALL:
            try:
                ALL[name](kit, table)
            except Missing as why:
                table.failed(name, why)
            except (RuntimeError, OSError, ValueError, AttributeError, TypeError) as why:
                table.failed(name, " ".join(str(why).split())[:300])
    finally:
        kit.stop()
    seconds = time.monotonic() - began
    lost = 100 * (stolen_s() - stolen) / (seconds * os.cpu_count())
    print(f"# {args.build}, built {how_built(args.build)}; {seconds:.0f} s\n"
          f"# {os.cpu_count()} CPUs, {processor()}; load {os.getloadavg()[0]:.1f}; "
          f"{lost:.1f} % of their time went to other machines on this host")
    return 1 if table.not_measured else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
