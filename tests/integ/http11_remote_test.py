#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""A remote that has nothing but HTTP/1.1, as the stock server: every reply chunked, a byte at a time; connections are kept and
few; deadlines, classes and the decision to repeat are those of HTTP/2.

usage: http11_remote_test.py BUILDDIR [TEST...]
"""
import collections
import http.client
import http.server
import json
import threading
import time

from agfs_world import Api, at_once, run, wait_for


class Remote(http.server.ThreadingHTTPServer):
    """In front of a real server. `behave` maps "METHOD what" to what happens to the next such requests, one entry each."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, behind):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind, self.behave, self.lock = behind, collections.defaultdict(list), threading.Lock()
        self.seen, self.connections, self.open, self.most_open = collections.Counter(), 0, set(), 0
        self.release = threading.Event()
        self.url = "http://127.0.0.1:%d" % self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a client that went away

    def cut_idle(self):
        with self.lock:
            for s in list(self.open):
                s.shutdown(2)
        wait_for("the connections to end", lambda: not self.open)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        s = self.server
        with s.lock:
            s.connections += 1
            s.open.add(self.connection)
            s.most_open = max(s.most_open, len(s.open))

    def finish(self):
        with self.server.lock:
            self.server.open.discard(self.connection)
        super().finish()

    def send_error(self, *args, **kw):
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def chunks(self, data, cut=False):
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        step = 1 if len(data) < 5000 else 1000
        for at in range(0, len(data), step):
            piece = data[at:at + step]
            self.wfile.write(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
        if cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\nx-trailer: y\r\n\r\n")

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        while self.headers.get("Transfer-Encoding") and (n := int(self.rfile.readline(), 16)):
            body += self.rfile.read(n + 2)[:-2]
        what = self.command + " " + self.path.split("?")[0].rsplit("/", 1)[1]
        with self.server.lock:
            self.server.seen[what] += 1
            how = self.server.behave[what].pop(0) if self.server.behave[what] else None
        if how == "close":
            self.close_connection = True
            return
        if how == "silence":
            self.server.release.wait(30)
            self.close_connection = True
            return
        if how == "wait":
            self.server.release.wait(30)
        if isinstance(how, int):
            self.send_response(how)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Type", "application/json")
            self.chunks(b'{"error":"as told"}\n')
            return
        c = http.client.HTTPConnection(self.server.behind)
        c.request(self.command, self.path, body or None)
        r = c.getresponse()
        self.send_response(r.status)
        for name in ("Content-Type", "X-Bytes-Read"):
            if r.headers.get(name):
                self.send_header(name, r.headers[name])
        self.chunks(r.read(), cut=how == "cut")
        c.close()

    do_GET = do_PUT = do_POST = do_DELETE = serve

    def log_message(self, *args):
        pass


def start(world, **options):
    """The remote, the API of what is behind it, and that of a server that mounts it at /r."""
    far = world.start("far", ["--mount", "memfs:/memfs", "--mount", "queuefs:/queue"])
    wait_for("the mounts", Api(far.clear).ready)
    remote = Remote(far.clear[7:])
    near = world.start("near", world.mount_arg("/r", remote.url, **options))
    wait_for("the mount", Api(near.clear).ready)
    return remote, Api(far.clear), Api(near.clear)


def test_every_endpoint_in_chunks(world):
    """What comes through is what is there, whatever the framing; and one connection is enough for it."""
    remote, far, near = start(world, max_connections=1)
    lines = b"".join(b"line %d\n" % n for n in range(2000))
    done = lambda r, status=200: (r, [r.status == status or 1 / 0])[0]
    done(near.post("mkdir", path="/r/memfs/d"), 201)
    done(near.post("files", path="/r/memfs/d/new"), 201)
    done(near.put("/r/memfs/d/f", lines))
    assert far.read("/memfs/d/f").body == near.read("/r/memfs/d/f").body == near.read("/r/memfs/d/f", stream="true").body == lines
    assert near.read("/r/memfs/d/f", offset=5, size=7).body == lines[5:12]
    mine, theirs = (a.get("stat", path=p + "/memfs/d/f").json() for a, p in ((near, "/r"), (far, "")))
    assert {k: mine[k] for k in ("name", "size", "mode", "modTime", "isDir")} == {k: theirs[k] for k in ("name", "size", "mode", "modTime", "isDir")}
    assert [e["name"] for e in near.get("directories", path="/r/memfs/d").json()["files"]] == ["f", "new"]
    assert near.post("digest", {"algorithm": "md5", "path": "/r/memfs/d/f"}).json()["digest"] == far.post(
        "digest", {"algorithm": "md5", "path": "/memfs/d/f"}).json()["digest"]
    assert near.post("grep", {"path": "/r/memfs/d/f", "pattern": "line 19.9$"}).json()["count"] == 10
    done(near.post("chmod", {"mode": 0o600}, path="/r/memfs/d/f"))
    done(near.post("truncate", path="/r/memfs/d/f", size=6))
    done(near.post("touch", path="/r/memfs/d/f"))
    done(near.post("rename", {"newPath": "/r/memfs/d/g"}, path="/r/memfs/d/f"))
    assert far.read("/memfs/d/g").body == b"line 0"
    handle = done(near.post("handles/open", path="/r/memfs/d/g", flags=2)).json()["handle_id"]
    assert done(near.get("handles/%d/read" % handle, size=4)).body == b"line"
    assert done(near.call("PUT", "handles/%d/write" % handle, data=b"!")).json()["bytes_written"] == 1
    done(near.post("handles/%d/seek" % handle, offset=0))
    done(near.call("DELETE", "handles/%d" % handle))
    assert far.read("/memfs/d/g").body == b"line!0"
    done(near.call("DELETE", "files", path="/r/memfs/d", recursive="true"))
    assert far.get("stat", path="/memfs/d").status == 404
    done(near.post("mkdir", path="/r/queue/q"), 201)
    done(near.put("/r/queue/q/enqueue", b"m"))
    assert near.read("/r/queue/q/dequeue").json()["data"] == "m"
    done(near.put("/r/reload", b"x"))
    assert near.read("/r/memfs/README").status == 200
    assert remote.most_open <= 2, remote.most_open  # the old one drains while the new one is proven


def test_connections_are_few(world):
    """64 calls at once share the connections allowed, each of which has one at a time; the others wait their turn."""
    remote, far, near = start(world, max_connections=4)
    remote.behave["GET files"] = ["wait"] * 4
    got = []
    threads = [threading.Thread(target=lambda: got.append(near.read("/r/memfs/README").status)) for _ in range(64)]
    for t in threads:
        t.start()
    wait_for("four at work", lambda: remote.seen["GET files"] == 4)
    remote.release.set()
    for t in threads:
        t.join()
    assert got == [200] * 64 and remote.most_open <= 4, (got, remote.most_open)
    before = remote.connections
    for _ in range(50):
        assert near.read("/r/memfs/README").status == 200
    assert remote.connections == before, "kept"
    remote.cut_idle()
    assert near.get("stat", path="/r/memfs/README").status == 200, "an idle connection that the remote ends fails nobody"


def test_all_calls_are_under_way(world):
    """Without a limit there are as many connections as calls, up to 32: a far remote is not asked four things at a time."""
    remote, far, near = start(world)
    remote.behave["GET files"] = ["wait"] * 32
    got = []
    read = lambda: got.append(near.read("/r/memfs/README").status)
    work = threading.Thread(target=at_once, args=[read] * 40)
    work.start()
    wait_for("32 at work", lambda: remote.seen["GET files"] == 32)
    remote.release.set()
    work.join()
    assert got == [200] * 40 and remote.most_open == 32, (got, remote.most_open)


def test_what_is_repeated(world):
    """What changes nothing is repeated; a change whose outcome is unknown is not, nor a read that may take a message."""
    remote, far, near = start(world)
    assert near.post("mkdir", path="/r/queue/q").status == 201 and near.put("/r/queue/q/enqueue", b"m").status == 200

    def attempts(what, behave, request, expected=None):
        remote.behave[what], before = list(behave), remote.seen[what]
        r = request()
        remote.behave[what] = []
        said = r.json() if r.status >= 400 else {}
        got = r.status, said.get("class"), said.get("outcome"), remote.seen[what] - before
        assert expected in (None, got), (what, behave, got, r.body)
        return got

    read = lambda: near.read("/r/memfs/README")
    stat = lambda: near.get("stat", path="/r/memfs/README")
    for how in "close", "cut", 503:
        attempts("GET stat", [how], stat, (200, None, None, 2))
    attempts("GET stat", [404], stat, (404, "notfound", "NA", 1))
    attempts("GET stat", [507], stat, (507, "nospc", "NA", 1))
    attempts("GET stat", ["close"] * 9, stat, (502, "conn_lost", "UN", 3))
    attempts("GET files", ["close"], read, (502, "conn_lost", "UN", 1))  # it might have been a message
    for how, expected in (("close", (502, "conn_lost", "UN", 1)), (500, (500, "io", "UN", 1))):
        attempts("PUT files", [how], lambda: near.put("/r/queue/q/enqueue", b"m"), expected)
    dequeue = lambda: near.read("/r/queue/q/dequeue")
    attempts("GET files", ["close"], dequeue, (502, "conn_lost", "UN", 1))
    assert far.read("/queue/q/size").body == b"1"
    status, cls, outcome, n = attempts("GET files", ["cut"], dequeue)  # it was taken: the answer was cut, not repeated
    assert (status, cls, n) == (502, "truncated", 1) and outcome in ("AP", "UN"), (status, cls, outcome, n)
    assert far.read("/queue/q/size").body == b"0"
    assert near.mount("/brief", "proxyfs", base_url=remote.url, timeout="2s").status == 200
    began = time.monotonic()
    attempts("PUT files", ["silence"], lambda: near.put("/brief/memfs/f", b"x"), (504, "timeout", "UN", 1))
    assert 1.9 <= time.monotonic() - began < 20
    remote.release.set()
    assert read().status == 200


def test_http2_only_when_told(world):
    """In clear text HTTP/2 is tried with protocol=h2 alone, and a remote without it is no riddle."""
    remote, far, near = start(world)
    r = near.mount("/h2", "proxyfs", base_url=remote.url, protocol="h2", timeout="5s")
    assert r.status == 502 and r.json()["class"] == "protocol" and r.json()["outcome"] == "NA", r.body
    assert near.mount("/h1", "proxyfs", base_url=remote.url, protocol="h1").status == 200
    assert near.read("/h1/memfs/README").status == 200


run([test_every_endpoint_in_chunks, test_connections_are_few, test_all_calls_are_under_way, test_what_is_repeated, test_http2_only_when_told])
