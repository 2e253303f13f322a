# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Servers and load generators of limits.py: started on loopback, bound to a CPU, read, stopped."""
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SIZE = 250  # bytes of a small read
BIG = 256 << 20
FILE = "/api/v1/files"  # where nghttpd and nginx have a file of SIZE bytes
DEADLINE = 20  # seconds for anything that must happen


class Missing(Exception):
    """What a row needs is not there; the text says what."""


def need(tool):
    path = shutil.which(tool)
    if not path:
        raise Missing(f"{tool} is not installed")
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def median(values):
    return statistics.median(values)


def ratio(over, under):
    """The median of the ratios of each round."""
    return median([a / b for a, b in zip(over, under)])


def on_cpu(cpu, fixed):
    """For a child: bound to cpu (None: free), its addresses not randomised if fixed; it dies with this process."""
    def prepare():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if fixed:
            ctypes.CDLL(None).personality(0x0040000)  # ADDR_NO_RANDOMIZE, as setarch -R
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
    return prepare


def read_or(path, otherwise):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return otherwise


def processor():
    """Which one it is, and what of the second-level cache a core has: ratios differ by it, not only times."""
    model = re.search(r"^model name\s*: (.+)$", read_or("/proc/cpuinfo", ""), re.M)
    level2 = read_or("/sys/devices/system/cpu/cpu0/cache/index2/size", "?").strip()
    return f"{model.group(1) if model else 'unknown processor'}, {level2} of L2"


def stolen_s():
    """Processor time that a hypervisor gave to others so far, of all CPUs; 0 where nobody says so."""
    fields = read_or("/proc/stat", "").split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK") if len(fields) > 8 else 0.0


class Kit:
    """A build, a directory, certificates, servers by name; everything ends with it."""

    def __init__(self, build, quick):
        self.build, self.quick = os.path.abspath(build), quick
        self.bench_path = self.built("tools/bench/agfs-bench")
        self.agfsd_path = self.built("tools/agfsd/agfsd")
        self.dir = tempfile.mkdtemp(prefix="proxyfs-limits-")
        self.servers = {}
        self.fixed = False  # what is started gets fixed addresses
        subprocess.run([os.path.join(SOURCE, "tools/dev/certs.sh"), self.path("pki")], check=True,
                       stdout=subprocess.DEVNULL)
        os.makedirs(self.path("www" + os.path.dirname(FILE)))
        with open(self.path("www" + FILE), "wb") as f:
            f.write(b"x" * SIZE)

    def path(self, name):
        return os.path.join(self.dir, name)

    def pki(self, name):
        return self.path("pki/" + name)

    def built(self, name):
        path = os.path.join(self.build, name)
        if not os.path.exists(path):
            raise Missing(f"{path} is not built (ninja -C {self.build})")
        return path

    def stop(self):
        for server in self.servers.values():
            server["process"].terminate()
        for server in self.servers.values():
            try:
                server["process"].wait(DEADLINE)
            except subprocess.TimeoutExpired:
                server["process"].kill()
                server["process"].wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- servers ----

    def start(self, name, command, cpu, ready, **facts):
        """Starts a server; ready(its standard output) is true when it serves."""
        log = self.path(name + ".log")
        with open(log, "w") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       preexec_fn=on_cpu(cpu, self.fixed))
        self.servers[name] = dict(facts, process=process, log=log)
        end = time.monotonic() + DEADLINE
        while not ready(log):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{name} does not start: {open(log).read()[-500:]}")
            time.sleep(0.01)
        return self.servers[name]

    @staticmethod
    def answers(port):
        def ready(_):
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        return ready

    def null(self, cpu=None, size=SIZE):
        """The cheapest server: its URL."""
        name = f"null-{cpu}-{size}"
        if name not in self.servers:
            server = self.start(name, [self.built("tools/bench/limits/null_server"), self.pki("server.pem"),
                                       self.pki("server.key"), str(size)],
                                cpu, lambda log: open(log).read().endswith("\n"))
            server["url"] = "https://127.0.0.1:" + open(server["log"]).read().strip()
        return self.servers[name]["url"]

    def nghttpd(self, cpu=None):
        name = f"nghttpd-{cpu}"
        if name not in self.servers:
            port = free_port()
            self.start(name, [need("nghttpd"), "-a", "127.0.0.1", "-d", self.path("www"), "-m", "1000", "-n", "1",
                              str(port), self.pki("server.key"), self.pki("server.pem")],
                       cpu, self.answers(port), url=f"https://127.0.0.1:{port}")
        return self.servers[name]["url"]

    def nghttpx(self, cpu=None):
        """A relay to that nghttpd, with HTTP/2 over TLS on both sides."""
        name = f"nghttpx-{cpu}"
        if name not in self.servers:
            port, behind = free_port(), self.nghttpd(cpu).rsplit(":", 1)[1]
            self.start(name, [need("nghttpx"), "--conf=/dev/null", f"--frontend=127.0.0.1,{port}", "--workers=1",
                              "--single-process", f"--backend=127.0.0.1,{behind};;proto=h2;tls;sni=localhost",
                              "--cacert=" + self.pki("ca.pem"), "--errorlog-file=/dev/null",
                              "--accesslog-file=/dev/null", self.pki("server.key"), self.pki("server.pem")],
                       cpu, self.answers(port), url=f"https://127.0.0.1:{port}")
        return self.servers[name]["url"]

    def nginx(self, cpu=None):
        """Base URLs with TLS and in clear text."""
        name = f"nginx-{cpu}"
        if name not in self.servers:
            tls, clear = free_port(), free_port()
            with open(self.path(name + ".conf"), "w") as f:
                f.write(f"""
daemon off; master_process off; pid {self.path(name + ".pid")}; error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; types {{ }} default_type application/octet-stream;
    keepalive_requests 1000000000; keepalive_timeout 600; ssl_protocols TLSv1.3; ssl_session_tickets off;
    client_body_temp_path {self.dir}; proxy_temp_path {self.dir}; fastcgi_temp_path {self.dir};
    uwsgi_temp_path {self.dir}; scgi_temp_path {self.dir};
    server {{
        listen 127.0.0.1:{tls} ssl; listen 127.0.0.1:{clear};
        ssl_certificate {self.pki("server.pem")}; ssl_certificate_key {self.pki("server.key")};
        root {self.path("www")};
    }}
}}
""")
            self.start(name, [need("nginx"), "-c", self.path(name + ".conf"), "-p", self.dir], cpu,
                       self.answers(clear), tls=f"https://127.0.0.1:{tls}", clear=f"http://127.0.0.1:{clear}")
        return self.servers[name]["tls"], self.servers[name]["clear"]

    def agfsd(self, name, cpu=None, mounts=("memfs:/m",)):
        """An agfsd of that name with mutual TLS: its URL."""
        if name not in self.servers:
            addr = self.path(name + ".addr")
            command = [self.agfsd_path, "-addr", "127.0.0.1:0", "--tls-addr", "127.0.0.1:0", "--tls-cert",
                       self.pki("server.pem"), "--tls-key", self.pki("server.key"), "--client-ca",
                       self.pki("ca.pem"), "--client-cert", "optional", "--addr-file", addr, "--log-level", "warn"]
            for mount in mounts:
                command += ["--mount", mount]
            server = self.start(name, command, cpu,
                                lambda _: os.path.exists(addr) and open(addr).read().endswith("\n"))
            server["url"] = next(u for u in open(addr).read().split() if u.startswith("https:"))
        return self.servers[name]["url"]

    # ---- load ----

    def run(self, command, cpu=None, seconds=300, **more):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
                              preexec_fn=on_cpu(cpu, self.fixed), **more)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command[:3])} ...: {(done.stderr or done.stdout)[-500:]}")
        return done

    def bench_command(self, targets, op, callers, *options):
        return [self.bench_path, "-q", "--cacert", self.pki("ca.pem"), "--cert", self.pki("client.pem"), "--key",
                self.pki("client.key"), "-w", op, "--files", "1", "-c", str(callers), *options, *targets]

    def bench(self, targets, op="read", callers=1, size=SIZE, seconds=0.1, rounds=1, cpu=None, limit=False):
        """The targets in turns: for each (and for bare round trip and pipe) its only step of the report."""
        report = self.path("report.json")
        options = ["-s", str(size), "--rounds", str(rounds), "-d", f"{seconds * rounds:.3f}s", "--warmup", "30ms",
                   "--json", report]
        options += ["--limit"] if limit else []
        options += ["--cpu", str(cpu)] if cpu is not None else []
        self.run(self.bench_command(targets, op, callers, *options), cpu)
        steps = [t["steps"][0] for t in json.load(open(report))["targets"]]
        failed = next((s["first_error"] for s in steps if s["first_error"]), None)
        if failed:
            raise RuntimeError(failed)
        return steps

    def h2load(self, url, connections, count):
        """Requests per second with 64 in flight on each connection."""
        out = self.run([need("h2load"), "-n", str(count), f"-c{connections}", "-m64", url]).stdout
        found = re.search(r"finished in [^,]+, ([\d.]+) req/s", out)
        if not found or f" {count} succeeded" not in out:
            raise RuntimeError("h2load: " + out[-500:])
        return float(found.group(1))

    def curl(self, how, version, url, callers, seconds, cpu=None):
        """Requests per second, and the median call in microseconds."""
        path = os.path.join(self.build, "tools/bench/limits/curl_load")
        if not os.path.exists(path):
            raise Missing("curl_load is not built (libcurl4-openssl-dev was missing)")
        out = self.run([path, how, version, url, self.pki("ca.pem"), str(callers), str(seconds)], cpu).stdout
        return tuple(float(v) for v in out.split())

    def floor(self, url, target, seconds, cpu):
        """The median call in microseconds of a client that is only nghttp2 and OpenSSL."""
        out = self.run([self.built("tools/bench/limits/floor_client"), url.rsplit(":", 1)[1], target,
                        self.pki("ca.pem"), self.pki("client.pem"), self.pki("client.key"), str(seconds)], cpu).stdout
        return float(out.split()[1])

    def per_call(self, prefix, pattern, command, few, many):
        """What a tool counts for each call: from two runs of different length, so that the rest cancels out."""
        def counted(n):
            done = self.run(prefix + command + ["--rounds", "1", "--warmup", "0", "-n", str(n)])
            found = re.findall(pattern, done.stderr)
            if not found:
                raise RuntimeError(f"{prefix[0]} counts nothing: {done.stderr[-300:]}")
            return sum(int(v.replace(",", "")) for v in found)
        return (counted(many) - counted(few)) / (many - few)
