#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Large content, live streams, handles and copies over one and two hops.

usage: streams_test.py BUILDDIR [TEST...]
"""
import hashlib
import http.client
import http.server
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request

from agfs_chain import KIB, MIB, agfs, chain, check, content, on_the_wire, read_until_cut
from agfs_world import SANITIZED, Api, run, wait_for


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
    for source, target in (("/local/p", at + "/store/p"), (at + "/store/p", "/local/q"), ("/local/q", at + "/memfs/q")):
        check(api.put(source, b"private"))
        check(api.post("chmod", {"mode": 0o600}, path=source))
        check(api.post("copy", {"newPath": target}, path=source))
        assert check(api.get("stat", path=target)).json()["mode"] == 0o600, target
    os.unlink(world.path("store/p"))
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
        check(near.post("chmod", {"mode": 0o640}, path="/stock/store/a"))
        check(near.post("copy", {"newPath": "/stock/store/b"}, path="/stock/store/a"))
        assert os.stat(world.path("store/b")).st_mode & 0o777 == 0o640
        subprocess.run([world.agfs, "--server", url, "cp", "/store/b", "/store/c"], check=True, timeout=60)
        assert check(near.read("/stock/store/c")).body == b"content"
        stock.shutdown()


# ---- reads in parts ---------------------------------------------------------------------------

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


run([test_copy_digest_and_grep_stay_on_the_remote, test_copy_through_the_server_where_it_must,
     test_copy_on_a_remote_that_cannot, test_reads_in_parts, test_what_has_no_parts,
     test_handles_survive_a_reload_and_are_lost_with_the_remote, test_live_streams_over_two_hops,
     test_a_cut_live_stream_is_an_error])
