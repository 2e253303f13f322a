#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""HTTP/2 and mutual TLS in front of a server that has neither: nghttpx, nginx and Caddy.

usage: fronts_test.py BUILDDIR [TEST...]
The server behind speaks HTTP/1.1 in clear text, as the stock one does; ours mounts it through the front.
"""
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from functools import partial

from agfs_fronts import Caddy, Nghttpx, NghttpxReloading, Nginx
from agfs_world import DEADLINE, Api, Skip, at_once, end_listener, run, wait_for

MIB = 1024 * 1024
FAULTS = (500, 502, 503, 504)  # a front's own 502 is class io, outcome unknown, and stays a fault on its way


def behind(world, kind, **options):
    """(server, front, api): the server in clear text, the front, and a server that mounts it at /r."""
    if not shutil.which(kind.program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        raise Skip("no " + kind.program)
    os.makedirs(world.path("host"), exist_ok=True)
    far = world.start("far", ["--mount", "memfs:/memfs", "--mount", "localfs:/store:local_dir=" + world.path("host"),
                              "--mount", "queuefs:/queue", "--mount", "kvfs:/kv", "--mount", "streamfs:/streams"])
    front = kind(world, [int(far.clear.rsplit(":", 1)[1])], **options)
    near = world.start("near", ["--mount", "memfs:/near"] + world.mount_arg(
        "/r", "https://%s:%d/api/v1" % (front.host, front.port), **world.mtls(protocol="h2")))
    api = Api(near.clear)
    wait_for("the mount through " + front.program + front.text(), api.ready)
    return far, front, api


def check(reply, status=200, cls=None):
    assert reply.status == status, "%d: %s" % (reply.status, reply.body[:400])
    assert cls is None or reply.json()["class"] == cls, reply.body
    return reply


def operations(world, kind):
    far, front, api = behind(world, kind)
    try:
        for d in ("/r/memfs/d", "/r/store/d"):
            check(api.post("directories", path=d), 201)
            check(api.put(d + "/f", b"hello"))
            check(api.put(d + "/f", b"E", offset=1, flags=0))
            check(api.put(d + "/f", b"!", flags=1))
            assert check(api.read(d + "/f")).body == b"hEllo!"
            assert check(api.read(d + "/f", offset=1, size=2)).body == b"El"
            check(api.post("rename", {"newPath": d + "/g h+"}, path=d + "/f"))
            check(api.post("truncate", path=d + "/g h+", size=2))
            check(api.post("chmod", {"mode": 0o600}, path=d + "/g h+"))
            st = check(api.get("stat", path=d + "/g h+")).json()
            assert (st["size"], st["mode"], st["name"]) == (2, 0o600, "g h+"), st
            assert [e["name"] for e in check(api.get("directories", path=d)).json()["files"]] == ["g h+"]
            # classes: what the server behind said arrives as if there were no front
            check(api.read(d + "/none"), 404, "notfound")
            check(api.post("directories", path=d), 409, "exists")
            check(api.call("DELETE", "files", path=d), 409, "exists")
            check(api.read(d), 400, "badarg")
            check(api.call("DELETE", "files", path=d, recursive="true"))
        check(api.put("/r/memfs/none/f", b"x"), 404, "notfound")
        check(api.read("/r/queue/q/enqueue"), 403, "denied")
        check(api.post("handles/open", path="/r/kv/keys/x"), 501, "unsupported")
        handle = check(api.post("handles/open", path="/r/memfs/h", flags=18)).json()["handle_id"]
        check(api.call("PUT", "handles/%d/write" % handle, data=b"by handle"))
        check(api.call("DELETE", "handles/%d" % handle))
        assert check(api.read("/r/memfs/h")).body == b"by handle"
        check(api.put("/r/queue/q/enqueue", b"one message"))
        assert check(api.read("/r/queue/q/size")).body == b"1", "enqueued once"
        assert check(api.read("/r/queue/q/dequeue")).json()["data"] == "one message"
        check(api.put("/r/reload", b""))
        no_certificate = api.mount("/x", "proxyfs", base_url="https://%s:%d" % (front.host, front.port), ca_file=world.pki("ca.pem"))
        assert no_certificate.status >= 400, no_certificate.body
        large_file(world, api)
        follow(api)
        # The server behind goes away: the front says 502 or 503; no class of the file's own, and it comes back.
        far.stop(signal.SIGKILL)
        r = api.read("/r/memfs/f")
        assert r.status in FAULTS and r.json()["class"] not in ("notfound", "denied", "exists", "badarg"), r.body
        r = api.put("/r/memfs/f", b"x")
        assert r.status in FAULTS, r.body
        check(api.put("/near/f", b"others are served"))
        world.start("far", ["--mount", "memfs:/memfs"], clear=far.clear[7:])
        wait_for("the server behind to be found again", lambda: api.put("/r/memfs/f", b"back").status == 200)
    finally:
        front.stop()


def large_file(world, api, mib=32):
    path = world.path("large")
    block = hashlib.sha256(b"seed").digest() * (MIB // 32)
    digest = hashlib.sha256()
    with open(path, "wb") as f:
        for i in range(mib):
            piece = bytes([i]) + block[1:]
            digest.update(piece)
            f.write(piece)
    url = api.base + "files?path=/r/store/large"
    out = subprocess.run(["curl", "-sS", "-T", path, url], check=True, capture_output=True).stdout
    assert out == b'{"message":"Written %d bytes"}\n' % (mib * MIB), out
    back = subprocess.run(["curl", "-sS", url], check=True, capture_output=True).stdout
    assert hashlib.sha256(back).hexdigest() == digest.hexdigest()


def follow(api):
    """Data of a live stream comes through while the stream is open."""
    with subprocess.Popen(["curl", "-sSN", api.base + "files?path=/r/streams/s&stream=true"], stdout=subprocess.PIPE) as curl:
        wait_for("a reader", lambda: api.get("stat", path="/r/streams/s").status == 200)
        check(api.put("/r/streams/s", b"live"))
        assert curl.stdout.read(4) == b"live"
        check(api.call("DELETE", "files", path="/r/streams/s"))
        assert curl.stdout.read() == b"" and curl.wait(DEADLINE) == 0


def reload_under_load(world, kind, may_fail=False):
    """No call fails; where the front itself cuts calls off, each says so and that its outcome is unknown."""
    far, front, api = behind(world, kind)
    failed, done, stop = [], [], threading.Event()

    def work(k):
        n = 0
        while not stop.is_set():
            data = b"%d of %d" % (n, k)
            for r in (api.put("/r/memfs/f%d" % k, data), api.read("/r/memfs/f%d" % k), api.get("stat", path="/r/memfs/f%d" % k)):
                if r.status != 200 and not (may_fail and r.status in FAULTS and r.json()["outcome"] in ("UN", "NA")):
                    failed.append((r.status, r.body))
            n += 1
            done.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    try:
        for t in threads:
            t.start()
        for _ in range(3):
            seen = len(done)
            wait_for("calls", lambda: len(done) >= seen + 100 or failed)
            front.reload()
        seen = len(done)
        wait_for("calls after the last reload", lambda: len(done) >= seen + 200 or failed)
    finally:
        stop.set()
        for t in threads:
            t.join()
        front.stop()
    assert not failed, "%d of %d: %r" % (len(failed), 3 * len(done), failed[:3])


class Dying:
    """A server of ours that answers health checks, does what it is told, and dies before it says so."""

    boot = "Agfs-Boot: %032x; features=\r\n"

    def __init__(self):
        self.done, self.ids = [], []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(s,), daemon=True).start()

    def talk(self, s):
        with s, s.makefile("rb") as f:
            while line := f.readline():
                fields = {}
                while (field := f.readline()) not in (b"\r\n", b""):
                    name, _, value = field.decode().partition(":")
                    fields[name.lower()] = value.strip()
                body = f.read(int(fields.get("content-length", 0)))
                answer = b'{"status":"healthy","version":"1.4.0","features":[]}\n'
                if b"/health" not in line and b"/capabilities" not in line:
                    self.done.append((line.split()[0].decode(), body))
                    self.ids.append(fields.get("x-req-id"))
                    answer = self.after(body)
                    if answer is None:
                        return
                boot = (self.boot % id(self)).encode() if self.boot else b""
                s.sendall(b"HTTP/1.1 200 OK\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                          % (boot, len(answer), answer))

    def after(self, body):
        """Its reply; None: it dies."""


class Counting(Dying):
    """One that is not ours: it knows of no repetitions, and answers."""

    boot = ""

    def after(self, body):
        return b'{"message":"Written %d bytes"}\n' % len(body)


def executions(world, kind, **options):
    """How often two dying servers behind the front did one enqueue, one dequeue, one delete; and the replies."""
    peers = [Dying(), Dying()]
    front = kind(world, [p.port for p in peers], **options)
    try:
        near = world.start("near", world.mount_arg("/r", "https://%s:%d" % (front.host, front.port), **world.mtls(protocol="h2", retries="1")))
        api = Api(near.clear)
        wait_for("the mount " + front.text(), api.ready)
        counts = {}
        for what, call in (("enqueue", lambda: api.put("/r/q/enqueue", b"job")), ("dequeue", lambda: api.read("/r/q/dequeue")),
                           ("delete", lambda: api.call("DELETE", "files", path="/r/f"))):
            before = sum(len(p.done) for p in peers)
            r = call()
            assert r.status in FAULTS, r.body
            assert what == "dequeue" or r.json()["outcome"] == "UN", r.body
            counts[what] = sum(len(p.done) for p in peers) - before
        assert all(i for p in peers for i in p.ids), "the request's id passes the front: what lets a server see a repetition"
        near.stop()
        return counts
    finally:
        front.stop()
        for p in peers:
            end_listener(p.socket)


def test_nghttpx(world):
    operations(world, Nghttpx)


def test_nginx(world):
    operations(world, Nginx)


def test_caddy(world):
    operations(world, Caddy)


def test_nghttpx_reload(world):
    reload_under_load(world, NghttpxReloading)


def test_nginx_reload(world):
    reload_under_load(world, Nginx)


def test_caddy_reload(world):
    """Caddy 2.6 answers 502 to, or resets, some calls in flight when its configuration changes."""
    reload_under_load(world, Caddy, may_fail=True)


def test_nginx_sends_once_with_next_upstream_off(world):
    assert executions(world, Nginx) == {"enqueue": 1, "dequeue": 1, "delete": 1}


def test_nginx_repeats_by_default(world):
    """The reason for `proxy_next_upstream off`: without it every server behind does the work, but for bodies not kept."""
    counts = executions(world, Nginx, next="")
    assert counts == {"enqueue": 1, "dequeue": 2, "delete": 2}, counts


def test_nghttpx_sends_once(world):
    assert executions(world, Nghttpx) == {"enqueue": 1, "dequeue": 1, "delete": 1}


def test_A039_nginx_closes_after_five_requests(world):
    """Many callers on connections that serve five requests each: every call is done, and done once."""
    peer = Counting()
    front = Nginx(world, [peer.port], server="keepalive_requests 5;")
    near = world.start("near", world.mount_arg("/r", "https://127.0.0.1:%d" % front.port, **world.mtls(protocol="h2")))
    api = Api(near.clear)
    wait_for("the mount " + front.text(), api.ready)
    told, n, rounds = {}, 16, 50

    def calls(i):
        mine = Api(near.clear)
        for k in range(rounds):
            name = "%d.%d" % (i, k)
            r = mine.put("/r/q/enqueue", name.encode())
            told[name] = "OK" if r.status == 200 else r.body

    try:
        at_once(*(partial(calls, i) for i in range(n)))
        near.stop()
    finally:
        front.stop()
        end_listener(peer.socket)
    failed = {name: what for name, what in told.items() if what != "OK"}
    assert not failed and len(told) == n * rounds, failed
    assert sorted(body.decode() for _, body in peer.done) == sorted(told), "once each"


def test_A011_idle_close_races_with_the_request(world):
    """nginx closes a connection that is idle for 100 ms; calls come just then. What they are told is true of each message."""
    far = world.start("far", ["--mount", "queuefs:/queue"])
    wait_for("the queues", Api(far.clear).ready)
    check(Api(far.clear).post("directories", path="/queue/q"), 201)
    front = Nginx(world, [int(far.clear.rsplit(":", 1)[1])], server="keepalive_timeout 100ms;")
    args, n, rounds = [], 16, 40
    for i in range(n):  # mounts with different options share no connection
        args += world.mount_arg("/r%d" % i, "https://127.0.0.1:%d" % front.port,
                                **world.mtls(protocol=("h1", "h2")[i % 2], max_streams=str(20 + i)))
    near = world.start("near", args)
    api = Api(near.clear)
    wait_for("the mounts " + front.text(), api.ready)
    told = {}

    def calls(i):
        for k in range(rounds):
            name = "%d.%d" % (i, k)
            r = api.put("/r%d/queue/q/enqueue" % i, name.encode())
            told[name] = "OK" if r.status == 200 else r.json()["outcome"]
            threading.Event().wait(0.095 + (k % 10) / 1000)

    try:
        at_once(*(partial(calls, i) for i in range(n)))
        seen = {}
        while data := check(Api(far.clear).read("/queue/q/dequeue")).json().get("data"):
            seen[data] = seen.get(data, 0) + 1
    finally:
        front.stop()
    assert len(told) == n * rounds
    wrong = {name: (what, seen.get(name, 0)) for name, what in told.items()
             if seen.get(name, 0) not in {"OK": (1,), "NA": (0,), "UN": (0, 1)}.get(what, ())}
    print("# told:", {w: list(told.values()).count(w) for w in set(told.values())})
    assert not wrong, wrong
    assert sum(what == "OK" for what in told.values()) >= n * rounds * 0.9, told


def test_caddy_repeats_reads(world):
    """Go's client repeats a GET on a connection that was used before: never a queue's dequeue behind it."""
    counts = executions(world, Caddy)
    assert counts["enqueue"] == counts["delete"] == 1 and counts["dequeue"] in (1, 2), counts


run([test_nghttpx, test_nginx, test_caddy, test_nghttpx_reload, test_nginx_reload, test_caddy_reload,
     test_nginx_sends_once_with_next_upstream_off, test_nginx_repeats_by_default, test_nghttpx_sends_once, test_caddy_repeats_reads,
     test_A039_nginx_closes_after_five_requests, test_A011_idle_close_races_with_the_request])
