# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Real servers for end-to-end tests: starts agfsd on free ports, talks to it, ends it."""
import concurrent.futures
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Sanitizers keep freed memory and shadow the rest: sizes say nothing then. They look for other faults, ten times more
# slowly: the same is done, fewer times.
SANITIZED = "ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ
DEADLINE = 60  # seconds for anything that must happen: on a machine that has much else to do, too


def wait_for(what, condition, seconds=DEADLINE):
    """Polls until condition() is true; the poll is a wait for an event of another process."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("not within %g s: %s" % (seconds, what))


CLAIMS = []  # sockets whose names say which ports this process has given out; the kernel frees them when it ends


def claim(port):
    """A name without a file: other tests run at the same time, and what will listen at that port may not do so yet."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        s.bind("\0agfs-test-port-%d" % port)
    except OSError:
        s.close()
        return False
    CLAIMS.append(s)
    return True


def free_port():
    """A port that nobody gets by chance, for a server that starts later or comes back: not one of those that the
    kernel hands out to clients and to servers on port 0, nor one that another test was given."""
    first_of_the_kernel = int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
    while True:
        port = random.randrange(first_of_the_kernel // 2, first_of_the_kernel)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if claim(port):
            return port


def end_listener(listener):
    """And whoever waits in accept() for it: else that goes on, holds the port and takes the next who comes."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def at_once(*works):
    """Each in a thread of its own; returns when all have ended."""
    threads = [threading.Thread(target=work) for work in works]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


class Server:
    """One agfsd. clear and tls are its base URLs, None where it does not listen."""

    def __init__(self, world, name, args, tls=False, client_cert="required", clear=True, wrapper=()):
        self.world, self.name = world, name
        self.log_path = os.path.join(world.dir, name + ".log")
        addr_file = os.path.join(world.dir, name + ".addr")
        if os.path.exists(addr_file):
            os.unlink(addr_file)
        command = list(wrapper) + [world.agfsd, "-addr", "127.0.0.1:%d" % free_port() if clear is True else clear or ""]
        if tls:
            command += ["--tls-addr", "127.0.0.1:%d" % free_port() if tls is True else tls,
                        "--tls-cert", world.pki("server.pem"), "--tls-key", world.pki("server.key"),
                        "--client-ca", world.pki("ca.pem"), "--client-cert", client_cert]
        command += ["--addr-file", addr_file] + args
        self.log = open(self.log_path, "a")
        self.process = subprocess.Popen(command, stderr=self.log, stdout=self.log)
        wait_for(name + " to listen (see " + self.log_path + ")",
                 lambda: os.path.exists(addr_file) and open(addr_file).read().endswith("\n")
                 or self.process.poll() is not None)
        if self.process.poll() is not None:
            error = AssertionError(name + " ended: " + open(self.log_path).read())
            error.exit_code = self.process.returncode
            raise error
        urls = open(addr_file).read().split()
        self.clear = next((u for u in urls if u.startswith("http:")), None)
        self.tls = next((u for u in urls if u.startswith("https:")), None)

    def status(self, key):
        for line in open("/proc/%d/status" % self.process.pid):
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise AssertionError("no " + key)

    def processor_time(self):
        """Clock ticks so far, of user and system."""
        with open("/proc/%d/stat" % self.process.pid) as f:
            return sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:13])

    def n_threads(self):
        return len(os.listdir("/proc/%d/task" % self.process.pid))

    def n_fds(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def _stands_still(self):
        tasks = "/proc/%d/task" % self.process.pid
        try:
            return all("State:\tT" in open("%s/%s/status" % (tasks, t)).read() for t in os.listdir(tasks))
        except (FileNotFoundError, ProcessLookupError):  # a thread has ended meanwhile
            return False

    @contextlib.contextmanager
    def standing_still(self):
        """Alive to the kernel, which takes what comes for it, and does nothing."""
        self.process.send_signal(signal.SIGSTOP)
        try:  # one thread takes the signal and tells the others: until then they go on
            wait_for(self.name + " to stand still", self._stands_still)
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def stop(self, sig=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        code = self.process.wait(DEADLINE + 15)
        self.log.close()
        return code


class World:
    """A directory, certificates, servers; everything ends with it."""

    def __init__(self, build):
        self.build = build
        self.agfsd = os.path.join(build, "tools/agfsd/agfsd")
        self.agfs = os.path.join(build, "tools/agfs/agfs")
        self.dir = tempfile.mkdtemp(prefix="agfs-test.")
        self.servers, self.upstreams = [], []  # processes; scripted ones of the test itself
        subprocess.run([os.path.join(SOURCE, "tools/dev/certs.sh"), os.path.join(self.dir, "pki"), "--tests"],
                       check=True, stdout=subprocess.DEVNULL)

    def pki(self, name):
        return os.path.join(self.dir, "pki", name)

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self, name, args, **kw):
        server = Server(self, name, args, **kw)
        self.servers.append(server)
        return server

    def mtls(self, **more):
        options = {"ca_file": self.pki("ca.pem"), "client_cert": self.pki("client.pem"),
                   "client_key": self.pki("client.key")}
        options.update(more)
        return {k: v for k, v in options.items() if v is not None}

    def mount_arg(self, path, base_url, **options):
        pairs = ["base_url=" + base_url] + ["%s=%s" % kv for kv in sorted(options.items())]
        return ["--mount", "proxyfs:%s:%s" % (path, ",".join(pairs))]

    def close(self):
        for u in self.upstreams:
            u.close()
        for s in self.servers:
            if s.process.poll() is None:
                s.process.kill()
                s.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Reply:
    def __init__(self, status, body, headers):
        self.status, self.body, self.headers = status, body, headers

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json()["error"]


class Api:
    """The HTTP API of one server, over HTTP/1.1 (TLS where the URL says so)."""

    def __init__(self, base, context=None):
        self.base, self.context = base + "/api/v1/", context

    def call(self, method, what, data=None, timeout=60, **query):
        url = self.base + what
        if query:
            url += "?" + urllib.parse.urlencode(query)
        request = urllib.request.Request(url, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self.context) as r:
                return Reply(r.status, r.read(), r.headers)
        except urllib.error.HTTPError as e:
            return Reply(e.code, e.read(), e.headers)

    def get(self, what, **q):
        return self.call("GET", what, **q)

    def put(self, path, data, **q):
        return self.call("PUT", "files", data=data, path=path, **q)

    def read(self, path, **q):
        return self.call("GET", "files", path=path, **q)

    def post(self, what, body=None, **q):
        return self.call("POST", what, data=None if body is None else json.dumps(body).encode(), **q)

    def mount(self, path, fstype, **config):
        return self.post("mount", {"fstype": fstype, "path": path, "config": config})

    def unmount(self, path):
        return self.post("unmount", {"path": path})

    def ready(self):
        return self.get("ready").status == 200


class Skip(Exception):
    """Raised by a test that cannot run here; its text is the reason."""


def expected_failure(reason):
    """Marks a test that shows a known fault: it must fail, and says so when it no longer does."""
    def mark(test):
        test.todo = reason
        return test
    return mark


def run_one(n, test, world):
    """(failed, its lines of TAP)."""
    todo = getattr(test, "todo", None)
    note = " # TODO " + todo if todo else ""
    try:
        test(world)
        return todo is not None, ["ok %d %s%s" % (n, test.__name__, note)]
    except Skip as e:
        return False, ["ok %d %s # SKIP %s" % (n, test.__name__, e)]
    except Exception:  # a test's failure is a line, not the end of the run
        lines = ["not ok %d %s%s" % (n, test.__name__, note)]
        lines += ["# " + line for line in traceback.format_exc().splitlines()]
        for s in world.servers:
            lines += ["# %s: %s" % (s.name, line) for line in open(s.log_path).read().splitlines()[-8:]]
        return todo is None, lines


def run(tests, build=None, shared=None, at_once=1):
    """
    Runs each test(world) in a world of its own, or all in `shared`; TAP on stdout; exit code by result.
    at_once: for tests that wait more than they work, and have nothing in common.
    """
    build = build or sys.argv[1]
    wanted = sys.argv[2:]
    tests = [t for t in tests if not wanted or t.__name__ in wanted]
    print("1..%d" % len(tests), flush=True)

    def one(numbered):
        world = shared or World(build)
        try:
            return run_one(*numbered, world)
        finally:
            if not shared:
                world.close()

    n_failed = 0
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        results = (pool.map if at_once > 1 else map)(one, enumerate(tests, 1))
        for failed, lines in results:  # TAP wants them in order
            print("\n".join(lines), flush=True)
            n_failed += failed
    if shared:
        shared.close()
    sys.exit(1 if n_failed else 0)
