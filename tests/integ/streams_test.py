#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Large content, live streams, handles and copies over one and two hops, and what may go wrong there.

usage: streams_test.py BUILDDIR [TEST...]
"""
import hashlib
import http.client
import http.server
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from agfs_frames import Http2
from agfs_world import Api, DEADLINE, Skip, run, wait_for

KIB = 1024
MIB = 1024 * KIB
SANITIZED = "ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ


def chain(world, hops=1, remote_args=(), wrapper=(), **options):
    """`hops` servers in front of a remote with a store; returns (servers from near to far, API, path of the remote)."""
    os.makedirs(world.path("store"), exist_ok=True)
    server = world.start("remote", ["--mount", "memfs:/memfs", "--mount", "streamfs:/live",
                                    "--mount", "localfs:/store:local_dir=" + world.path("store"), *remote_args],
                         tls=True, wrapper=wrapper)
    servers, prefix = [server], ""
    for i in range(hops):
        server = world.start("hop%d" % i, ["--mount", "memfs:/local"] +
                             world.mount_arg("/remote", server.tls + "/api/v1", **world.mtls(**options)), tls=True)
        wait_for("the mount", Api(server.clear).ready)
        servers.insert(0, server)
        prefix += "/remote"
    return servers, Api(servers[0].clear), prefix


def check(reply, status=200):
    assert reply.status == status, "%d: %s" % (reply.status, reply.body[:300])
    return reply


def on_the_wire(api, mount="/remote"):
    status = check(api.read(mount + "/.proxyfs/status")).json()
    return status["bytes_in"] + status["bytes_out"]


def content(n, seed=1):
    return random.Random(seed).randbytes(n)


def agfs(world, server, *words):
    p = subprocess.run([world.agfs, "--server", server.clear, *words], capture_output=True, timeout=60)
    assert p.returncode == 0, (words, p.stderr)
    return p.stdout


def settled(server, before):
    """No descriptor and no thread more than before, once what is under way has ended."""
    wait_for("%s to give everything back: %s, now %s" % (server.name, before, (server.n_fds(), server.n_threads())),
             lambda: server.n_fds() <= before[0] + 1 and server.n_threads() <= before[1])


# ---- what stays on the remote -----------------------------------------------------------------

def test_copy_digest_and_grep_stay_on_the_remote(world):
    for hops in (1, 2):
        servers, api, at = chain(world, hops)
        data = content(4 * MIB) + b"\nneedle\n"
        check(api.put(at + "/store/a", data))
        before = on_the_wire(api)
        agfs(world, servers[0], "cp", at + "/store/a", at + "/store/b")
        agfs(world, servers[0], "cp", at + "/store/a", at + "/memfs/c")  # another mount, the same remote
        agfs(world, servers[0], "mv", at + "/memfs/c", at + "/store/d")  # copied, compared, removed
        digest = check(api.post("digest", {"algorithm": "md5", "path": at + "/store/b"})).json()["digest"]
        found = check(api.post("grep", {"path": at + "/store/b", "pattern": "^needle$"})).json()
        moved = on_the_wire(api) - before
        assert moved < 64 * KIB, "%d bytes went over the wire" % moved
        assert digest == hashlib.md5(data).hexdigest() and found["count"] == 1, (digest, found)
        for name in "bd":
            with open(world.path("store/" + name), "rb") as f:
                assert f.read() == data, name
        assert api.get("stat", path=at + "/memfs/c").status == 404
        for s in servers:
            s.stop()


def test_copy_through_the_server_where_it_must(world):
    servers, api, at = chain(world)
    data = content(3 * MIB)
    check(api.put(at + "/store/a", data))
    for source, target in ((at + "/store/a", "/local/b"), ("/local/b", at + "/store/c"), (at + "/store/c", at + "/memfs/d")):
        r = check(api.post("copy", {"newPath": target}, path=source))
        assert r.json() == {"message": "Written %d bytes" % len(data)}, r.body
        assert check(api.read(target)).body == data, target
    check(api.put("/local/e", b""))
    check(api.post("copy", {"newPath": at + "/store/e"}, path="/local/e"))
    assert check(api.read(at + "/store/e")).body == b""
    check(api.put(at + "/store/c", b"kept"))
    for source, target, status in (("/local/none", at + "/store/c", 404), (at + "/store", at + "/store/c", 400),
                                   (at + "/store/a", at + "/store/a", 400), (at + "/store/a", at + "/store/x/y", 404),
                                   (at + "/store/a", at + "/.proxyfs/status", 403), (at + "/store/a", "/local", 400)):
        r = api.post("copy", {"newPath": target}, path=source)
        assert r.status == status, (source, target, r.status, r.body)
    assert check(api.read(at + "/store/c")).body == b"kept"
    assert sorted(os.listdir(world.path("store"))) == ["a", "c", "e"]
    assert check(api.post("copy", {"newPath": "/local/s"}, path=at + "/.proxyfs/status")).status == 200
    assert api.post("copy", {}, path=at + "/store/a").status == 400


def test_copy_on_a_remote_that_cannot(world):
    """A server with the stock API, seen through a mount and by agfs itself."""
    servers, api, at = chain(world, 0)

    class Stock(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            while self.headers.get("Transfer-Encoding") and (n := int(self.rfile.readline(), 16)):
                body += self.rfile.read(n + 2)[:-2]
            if self.path.startswith("/api/v1/copy"):
                status, kind, out = 404, "text/plain; charset=utf-8", b"404 page not found\n"
            else:
                c = http.client.HTTPConnection(servers[0].clear[7:])
                c.request(self.command, self.path, body or None)
                r = c.getresponse()
                status, kind, out = r.status, r.headers.get("content-type", "text/plain"), r.read()
                c.close()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        do_GET = do_PUT = do_POST = do_DELETE = forward

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stock) as stock:
        threading.Thread(target=stock.serve_forever, daemon=True).start()
        url = "http://127.0.0.1:%d" % stock.server_address[1]
        local = world.start("local", world.mount_arg("/stock", url))
        near = Api(local.clear)
        wait_for("the mount", near.ready)
        check(near.put("/stock/store/a", b"content"))
        check(near.post("copy", {"newPath": "/stock/store/b"}, path="/stock/store/a"))
        subprocess.run([world.agfs, "--server", url, "cp", "/store/b", "/store/c"], check=True, timeout=60)
        assert check(near.read("/stock/store/c")).body == b"content"
        stock.shutdown()


# ---- reads in parts ---------------------------------------------------------------------------

def read_until_cut(response):
    """What came before the end, which must be an error."""
    got = b""
    try:
        while block := response.read1(64 * KIB):
            got += block
    except (http.client.IncompleteRead, ConnectionResetError):
        return got
    assert response.length, "what was cut looks complete"
    return got


def test_reads_in_parts(world):
    """Over two hops, each of which asks for parts: whole, changed meanwhile, cut, and of what has no parts."""
    servers, api, at = chain(world, 2, transfer_streams=4)
    data = content(40 * MIB + 5)
    check(api.put(at + "/store/f", data))
    in_parts = lambda: urllib.request.urlopen(urllib.request.Request(
        servers[2].clear + "/api/v1/files?path=/store/f", headers={"Range": "bytes=0-0"})).status == 206
    wait_for("its time of change to be past", in_parts)
    before = json.loads(check(api.read("/remote/.proxyfs/status")).body)["calls"]
    assert check(api.read(at + "/store/f")).body == data
    calls = json.loads(check(api.read("/remote/.proxyfs/status")).body)["calls"] - before
    assert calls == 11, "%d calls for a file of ten parts and a bit" % calls
    # A reader that stands still has what its parts hold, and hinders nobody.
    host, port = servers[0].clear[7:].split(":")
    slow = http.client.HTTPConnection(host, int(port))
    slow.request("GET", "/api/v1/files?path=" + at + "/store/f")
    r = slow.getresponse()
    got = r.read(1000)
    assert check(api.read(at + "/store/f")).body == data
    if not SANITIZED:
        grown = max(s.status("VmHWM") for s in servers)
        assert grown < 100 * KIB, "%d KiB" % grown
    # It changes in place under that reader, behind the parts that are there.
    with open(world.path("store/f"), "r+b") as f:
        f.seek(30 * MIB)
        f.write(b"changed")
    got += read_until_cut(r)
    assert got == data[:len(got)]
    slow.close()
    # The same when the remote goes.
    wait_for("its time of change to be past", in_parts)
    slow.request("GET", "/api/v1/files?path=" + at + "/store/f")
    r = slow.getresponse()
    got = r.read(1000)
    servers[2].stop(signal.SIGKILL)
    read_until_cut(r)


def test_what_has_no_parts(world):
    servers, api, at = chain(world, 2, transfer_streams=16, remote_args=("--mount", "queuefs:/q"))
    check(api.post("mkdir", path=at + "/q/q"), 201)
    big = bytes(3 * MIB)
    check(api.put(at + "/memfs/f", content(5 * MIB)))
    assert check(api.read(at + "/memfs/f")).body == content(5 * MIB)
    for message in (b"small", big):
        check(api.put(at + "/q/q/enqueue", message))
        assert json.loads(check(api.read(at + "/q/q/dequeue")).body)["data"] == message.decode()
    check(api.put(at + "/store/empty", b""))
    assert check(api.read(at + "/store/empty")).body == b""
    assert check(api.read("/remote/.proxyfs/status")).json()["generation"] == 1
    assert api.read(at + "/store/none").status == 404


# ---- handles ----------------------------------------------------------------------------------

def test_handles_survive_a_reload_and_are_lost_with_the_remote(world):
    servers, api, at = chain(world)
    h = check(api.post("handles/open", path=at + "/store/f", flags=2 | 16, mode="644", lease=600)).json()["handle_id"]
    assert check(api.call("PUT", "handles/%s/write" % h, data=b"0123456789")).json()["bytes_written"] == 10
    check(api.put("/remote/reload", b""))
    assert check(api.call("PUT", "handles/%s/write" % h, data=b"AB", offset=2)).json()["bytes_written"] == 2
    assert check(api.get("handles/%s/read" % h, offset=0, size=100)).body == b"01AB456789"
    check(api.post("handles/%s/seek" % h, offset=4, whence=0))
    assert check(api.get("handles/%s/read" % h, size=3)).body == b"456"
    check(api.post("handles/%s/truncate" % h, size=5))
    check(api.post("handles/%s/sync" % h))
    assert check(api.get("handles/%s/stat" % h)).json()["size"] == 5
    assert check(api.post("handles/%s/renew" % h, lease=60)).status == 200
    address = servers[1].tls[8:]
    servers[1].stop(signal.SIGKILL)
    remote = world.start("again", ["--mount", "localfs:/store:local_dir=" + world.path("store")], tls=address)
    wait_for("the remote", lambda: api.get("stat", path=at + "/store/f").status == 200)
    other = check(api.post("handles/open", path=at + "/store/f", flags=2)).json()["handle_id"]  # perhaps the same number there
    for _ in range(2):
        r = api.call("PUT", "handles/%s/write" % h, data=b"lost")
        assert r.status == 404 and r.json()["class"] == "notfound" and "handle" in r.error, (r.status, r.body)
    assert check(api.get("handles/%s/read" % other, offset=0, size=100)).body == b"01AB4", "nothing was reopened in silence"
    check(api.call("DELETE", "handles/%s" % other))
    assert remote.process.poll() is None


# ---- live streams -----------------------------------------------------------------------------

class Follower(threading.Thread):
    """Reads a live stream; slow: only when told to."""

    def __init__(self, base, path, slow=False):
        super().__init__(daemon=True)
        self.digest, self.n, self.end, self.go = hashlib.sha256(), 0, None, threading.Event()
        self.response = urllib.request.urlopen(base + "/api/v1/files?stream=true&path=" + path, timeout=60)
        if not slow:
            self.go.set()
        self.start()

    def run(self):
        self.go.wait()
        try:
            while block := self.response.read1(64 * KIB):
                self.digest.update(block)
                self.n += len(block)
            self.end = "clean"
        except Exception as e:
            self.end = "%s: %s" % (type(e).__name__, e)


def test_live_streams_over_two_hops(world):
    servers, api, at = chain(world, 2, keepalive_interval="1s", keepalive_timeout="1s", timeout="2s")
    path = at + "/live/s"
    check(api.put(path, b"first"))
    followers = [Follower(servers[0].clear, path) for _ in range(20)]
    slow = Follower(servers[0].clear, path, slow=True)
    sent = hashlib.sha256(b"first")
    wait_for("all to have begun", lambda: all(f.n == 5 for f in followers))
    before = [s.status("VmRSS") for s in servers]
    pause = time.monotonic()
    wait_for("a silence longer than timeout and keepalive together", lambda: time.monotonic() - pause > 4)
    assert not [f.end for f in followers if f.end], "an idle stream was cut"
    for i in range(64):
        block = content(64 * KIB, i)
        check(api.put(path, block))
        sent.update(block)
        total = 5 + (i + 1) * 64 * KIB
        wait_for("block %d" % i, lambda: all(f.n == total or f.end for f in followers))
    if not SANITIZED:
        grown = [s.status("VmRSS") - b for s, b in zip(servers, before)]
        assert max(grown) < 48 * KIB, "a reader that stands still costs %s KiB" % grown
    check(api.call("DELETE", "files", path=path))
    wait_for("the end", lambda: all(f.end for f in followers))
    for f in followers:
        assert (f.end, f.digest.hexdigest()) == ("clean", sent.hexdigest()), (f.end, f.n)
    slow.go.set()
    wait_for("the slow one's end", lambda: slow.end)


def test_a_cut_live_stream_is_an_error(world):
    servers, api, at = chain(world, 2, keepalive_interval="1s", keepalive_timeout="1s")
    path = at + "/live/s"
    check(api.put(path, b"first"))
    f = Follower(servers[0].clear, path)
    wait_for("the first bytes", lambda: f.n == 5)
    servers[2].stop(signal.SIGKILL)
    wait_for("its end", lambda: f.end)
    assert f.end != "clean", "a stream that was cut looks complete"


# ---- many, and small calls meanwhile ----------------------------------------------------------

def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def timed_stats(api, path, n, stop=None):
    took = []
    while len(took) < n and not (stop and stop()):
        began = time.monotonic()
        check(api.get("stat", path=path))
        took.append(time.monotonic() - began)
    return took


def test_many_reads_at_once(world):
    """32 here; READS=256 for the whole of it. The figures are printed, not judged."""
    n = int(os.environ.get("READS", "32"))
    servers, api, at = chain(world, timeout="120s")
    data = content(8 * MIB)
    check(api.put(at + "/store/f", data))
    idle = timed_stats(api, at + "/store/f", 200)
    url = servers[0].clear + "/api/v1/files?path=" + at + "/store/f"
    readers = [subprocess.Popen("set -o pipefail; curl -sSf '%s' | md5sum" % url, shell=True, executable="/bin/bash",
                                stdout=subprocess.PIPE) for _ in range(n)]
    busy = timed_stats(api, at + "/store/f", 100000, lambda: all(p.poll() is not None for p in readers))
    for p in readers:
        digest = p.stdout.read().split()[0].decode()
        assert (p.wait(), digest) == (0, hashlib.md5(data).hexdigest())
    peak = servers[0].status("VmHWM")
    print("# %d reads of 8 MiB at once: local server %d KiB at most; stat p99 idle %.1f ms, meanwhile %.1f ms (x%.1f)" %
          (n, peak, 1000 * percentile(idle, .99), 1000 * percentile(busy, .99),
           percentile(busy, .99) / percentile(idle, .99)))
    assert SANITIZED or peak <= 200 * KIB, "%d KiB" % peak


# ---- bad input, and ends in the middle --------------------------------------------------------

def raw_put(server, path, length, sent, how):
    """An upload that announces `length` bytes and stops after `sent`: how it ends is `how`."""
    host, port = server.clear[7:].split(":")
    s = socket.create_connection((host, int(port)))
    s.sendall(b"PUT /api/v1/files?path=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), length))
    s.sendall(b"n" * sent)
    if how == "fin":
        s.shutdown(socket.SHUT_WR)
        s.settimeout(20)
        answer = s.recv(4096)
        s.close()
        return answer
    if how == "rst":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
    return s


def test_uploads_and_downloads_that_stop(world):
    for hops in (1, 2):
        servers, api, at = chain(world, hops)
        check(api.put(at + "/store/f", b"old"))
        check(api.put(at + "/store/big", content(32 * MIB)))
        before = [(s.n_fds(), s.n_threads()) for s in servers]
        for how in ("fin", "rst"):
            for length, sent in ((10 * MIB, 3 * MIB), (2 * MIB, 1), (10 * MIB, 10 * MIB - 1)):
                answer = raw_put(servers[0], at + "/store/f", length, sent, how)
                assert how == "rst" or b" 200 " not in answer, answer
        url = servers[0].clear[7:].split(":")
        for _ in range(4):  # readers that stop, and go
            s = socket.create_connection((url[0], int(url[1])))
            s.sendall(b"GET /api/v1/files?path=%s HTTP/1.1\r\nHost: x\r\n\r\n" % (at + "/store/big").encode())
            assert s.recv(100)
            s.close()
        assert check(api.read(at + "/store/f")).body == b"old"
        wait_for("temporary files to go", lambda: sorted(os.listdir(world.path("store"))) == ["big", "f"])
        for s, b in zip(servers, before):
            settled(s, (b[0] + 8, b[1] + 80))  # pools and connections that stay for the next ones
        for s in servers:
            s.stop()


def test_a_full_disk_on_the_remote(world):
    store = world.path("store")
    os.makedirs(store)
    small = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=4m tmpfs "$0" && exec "$@"', store]
    if subprocess.run([*small, "true"], capture_output=True).returncode != 0:
        raise Skip("no mount name space of its own here")
    servers, api, at = chain(world, 2, wrapper=small)
    check(api.put(at + "/store/f", b"old"))
    for n in (6 * MIB, 40 * MIB):
        with open(world.path("zeros"), "wb") as f:
            f.truncate(n)
        out = subprocess.run(["curl", "-sS", "-T", f.name, servers[0].clear + "/api/v1/files?path=" + at + "/store/f"],
                             capture_output=True, timeout=60).stdout
        e = json.loads(out)
        assert (e["status"], e["class"], e["outcome"]) == (507, "nospc", "NA"), e
    r = api.post("copy", {"newPath": at + "/store/g"}, path=at + "/memfs/README")
    assert r.status == 200, r.body
    assert check(api.read(at + "/store/f")).body == b"old"
    names = [e["name"] for e in check(api.get("directories", path=at + "/store")).json()["files"]]
    assert sorted(names) == ["f", "g"], names
    check(api.put(at + "/store/f", bytes(2 * MIB)))  # there is room again


class Transfer:
    """`agfs cp` of a file that never ends, or ends slowly: up from a pipe that is kept full, down into one that is read."""

    def __init__(self, world, server, at, direction):
        self.pipe = world.path("pipe.%s.%d" % (direction, time.monotonic_ns()))
        os.mkfifo(self.pipe)
        words = ["cat", at + "/store/big"] if direction == "down" else ["cp", "local:" + self.pipe, at + "/store/f"]
        self.moved, self.stop = 0, threading.Event()
        self.process = subprocess.Popen([world.agfs, "--server", server.clear, *words], stderr=subprocess.PIPE,
                                        stdout=subprocess.PIPE if direction == "down" else subprocess.DEVNULL)
        self.thread = threading.Thread(target=self.drain if direction == "down" else self.fill, daemon=True)
        self.thread.start()

    def drain(self):
        """Takes 4 MiB, and the rest when told to."""
        while block := self.process.stdout.read1(64 * KIB):
            self.moved += len(block)
            if self.moved > 4 * MIB:
                self.stop.wait(DEADLINE)

    def fill(self):
        with open(self.pipe, "wb", buffering=0) as f:
            try:
                while not self.stop.is_set():
                    self.moved += f.write(bytes(64 * KIB))
            except BrokenPipeError:
                pass

    def end(self):
        self.stop.set()
        code = self.process.wait(DEADLINE)
        self.thread.join(DEADLINE)
        return code, self.process.stderr.read().decode()


def test_kill_in_the_middle(world):
    """Each process of a transfer over two hops, by SIGKILL, both ways: the right failure, nothing half, nothing left."""
    store = world.path("store")
    for victim in ("client", 0, 1, 2):
        for direction in ("up", "down"):
            what = (victim, direction)
            servers, api, at = chain(world, 2)
            check(api.put(at + "/store/f", b"old"))
            check(api.put(at + "/store/big", content(48 * MIB)))
            before = [(s.n_fds(), s.n_threads()) for s in servers]
            t = Transfer(world, servers[0], at, direction)
            wait_for("bytes to flow", lambda: t.moved > 4 * MIB)
            if victim == "client":
                t.process.kill()
            else:
                servers[victim].stop(signal.SIGKILL)
            code, text = t.end()
            if victim == "client":
                assert code == -signal.SIGKILL, what
            elif direction == "down":
                assert code == 11, (what, code, text)  # truncated: never a clean end
                assert t.moved < 48 * MIB, what
            else:
                # Nobody can know: the commit was not reached, but its request was under way.
                assert code == 8 and "not known whether" in text, (what, code, text)
            with open(store + "/f", "rb") as f:
                assert f.read() == b"old", what
            for s, b in zip(servers, before):
                if s.process.poll() is None:
                    settled(s, (b[0] + 8, b[1] + 80))  # pools and connections that stay for the next ones
            if victim == 2:  # its successor finds nothing of it
                servers[2] = world.start("again", ["--mount", "localfs:/store:local_dir=" + store], tls=True)
                wait_for("the mount", Api(servers[2].clear).ready)
            wait_for("no temporary file", lambda: sorted(os.listdir(store)) == ["big", "f"])
            for s in servers:
                s.stop()


class Remote(threading.Thread):
    """A server that says one length and sends another: it answers each GET of a file with `reply`, and closes."""

    def __init__(self, reply):
        super().__init__(daemon=True)
        self.reply, self.listener = reply, socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            s, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        with s, s.makefile("rb") as f:
            while line := f.readline():
                while f.readline() not in (b"\r\n", b""):
                    pass
                if b"/files" in line:
                    s.sendall(self.reply)
                    return
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")


def test_wrong_lengths(world):
    """Content that is shorter than announced is an error at the far end of two hops; what is too much is not taken."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
    rows = ((b"Content-Length: 1000000\r\n\r\n" + b"x" * 999999, None), (b"Content-Length: 1000000\r\n\r\n", None),
            (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", None),
            (b"Transfer-Encoding: chunked\r\n\r\n10\r\nhello\r\n0\r\n\r\n", None),
            (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"Content-Length: 5\r\n\r\nhello, world", b"hello"))
    for i, (reply, wanted) in enumerate(rows):
        remote = Remote(head + reply)
        middle = world.start("middle%d" % i, world.mount_arg("/r", remote.url + "/api/v1"), tls=True)
        near = world.start("near%d" % i, world.mount_arg("/m", middle.tls + "/api/v1", lazy="true", **world.mtls()))
        wait_for("the mounts", lambda: Api(middle.clear).ready() and Api(near.clear).ready())
        try:
            r = urllib.request.urlopen(near.clear + "/api/v1/files?path=/m/r/f", timeout=20)
            if wanted is None:
                read_until_cut(r)
            else:
                assert r.read() == wanted, reply
        except urllib.error.HTTPError as e:  # found before the first byte was passed on
            assert wanted is None and json.loads(e.read())["class"] in ("truncated", "protocol"), reply
        for s in (near, middle):
            s.stop()
    servers, api, at = chain(world, 2)
    check(api.put(at + "/store/f", b"old"))
    for n, announced in ((3 * MIB, 3 * MIB + 1), (3 * MIB, 3 * MIB - 1), (0, 1), (5, 4)):
        peer = Http2(servers[0].clear)
        peer.request(1, b"PUT", b"/api/v1/files?path=" + at.encode() + b"/store/f", length=announced)
        try:
            for k in range(0, n, 16 * KIB):
                peer.data(1, b"n" * min(16 * KIB, n - k), end=k + 16 * KIB >= n)
                peer.ping()
            if n == 0:
                peer.data(1, b"", end=True)
            peer.ping()
        except (ConnectionError, OSError):
            pass  # the server has ended it: as good
        peer.close()
        assert check(api.read(at + "/store/f")).body == b"old", (n, announced)
    wait_for("temporary files to go", lambda: os.listdir(world.path("store")) == ["f"])


run([test_copy_digest_and_grep_stay_on_the_remote, test_copy_through_the_server_where_it_must,
     test_copy_on_a_remote_that_cannot, test_reads_in_parts, test_what_has_no_parts, test_handles_survive_a_reload_and_are_lost_with_the_remote,
     test_live_streams_over_two_hops, test_a_cut_live_stream_is_an_error, test_many_reads_at_once,
     test_uploads_and_downloads_that_stop, test_a_full_disk_on_the_remote, test_kill_in_the_middle, test_wrong_lengths])
