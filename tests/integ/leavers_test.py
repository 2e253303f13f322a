#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Clients that give a request up, and a server that is told to end: what becomes of the work that has begun.

usage: leavers_test.py BUILDDIR [TEST...]
"""
import http.client
import json
import os
import signal
import socket
import ssl
import struct
import threading
import time

from agfs_frames import Http2
from agfs_upstream import HANG, Answer, Upstream, info
from agfs_world import DEADLINE, Api, run, wait_for

HANDLE = b'{"handle_id":77,"path":"/f","flags":1,"lease":60,"expires_at":"2036-01-02T03:04:05Z"}\n'
BOOT = "00112233445566778899aabbccddeeff; features=offset,flags,atomic-body,handles,ranges,parts,dedupe"


class Gate:
    """answer(request) says `then` where `held` is true, once open() has been called."""

    def __init__(self, world, held, then):
        self.held, self.then, self.opened = held, then, threading.Event()
        self.done = []  # requests, as their answers were given
        self.u = Upstream(self.answer, boot=BOOT)
        world.upstreams.append(self.u)

    def answer(self, request):
        if self.held(request):
            self.opened.wait(DEADLINE)
        self.done.append(request)
        return self.then(request)

    def waiting(self):
        return sum(self.held(r) for r in self.u.hits) and not self.opened.is_set()


def start(world, name, args, **more):
    s = world.start(name, args, **more)
    wait_for("the mounts", Api(s.clear).ready)
    return s


def leave(connection, how):
    if how == "reset":
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_whose_certificate_it_was_is_known_to_the_end(world):
    """With the address sanitizer: an answer that is too late uses the identity of a connection that is gone."""
    gate = Gate(world, lambda r: r.what == "handles/replace", lambda r: Answer(200, HANDLE))
    s = start(world, "s", world.mount_arg("/r", gate.u.url), tls=True)
    context = ssl.create_default_context(cafile=world.pki("ca.pem"))
    context.load_cert_chain(world.pki("client.pem"), world.pki("client.key"))
    c = http.client.HTTPSConnection(s.tls[8:], context=context, timeout=30)
    c.request("POST", "/api/v1/handles/replace?path=/r/f")
    wait_for("the remote to have it", gate.waiting)
    leave(c, "reset")
    api = Api(s.clear)
    wait_for("the server to notice", lambda: api.get("limits").json()["in_use"]["connections"] == 1)
    gate.opened.set()
    wait_for("the handle, which nobody knows of, to be closed", lambda: gate.u.n("DELETE", "handles/77") == 1)
    wait_for("its end", lambda: api.get("limits").json()["in_use"]["uploads"] == 0)



def test_B4_a_change_given_up_by_an_orderly_close_is_not_overtaken(world):
    """At once, before it is known whether the client only waits for its answer; by path and by handle."""
    def answer(request):
        return Answer(200, HANDLE) if request.what == "handles/open" else Answer(200, '{"message":"ok","bytes_written":3,"position":0}')
    for by_handle in (False, True):
        gate = Gate(world, lambda r: r.body == b"OLD", answer)
        s = start(world, "by_handle" if by_handle else "by_path", ["--loops", "1"] + world.mount_arg("/r", gate.u.url))
        target = "/api/v1/files?path=/r/f"
        if by_handle:
            target = "/api/v1/handles/%d/write?offset=0" % Api(s.clear).post("handles/open", path="/r/f", flags=2).json()["handle_id"]
        c = http.client.HTTPConnection(s.clear[7:], timeout=30)
        c.request("PUT", target, b"OLD")
        wait_for("the remote to have it", gate.waiting)
        leave(c, "close")
        c = Http2(s.clear)
        for stream, t in ((1, target), (3, "/api/v1/files?path=/r/other")):
            c.request(stream, b"PUT", t.encode(), end=False)
            c.data(stream, b"NEW", True)
        wait_for("the second of them to get there", lambda: any(r.path == "/other" for r in gate.u.hits))
        changes = [r.body for r in gate.u.hits if r.method == "PUT" and r.path != "/other"]
        assert changes == [b"OLD"], changes
        gate.opened.set()
        wait_for("the first one", lambda: [r.body for r in gate.done if r.method == "PUT" and r.path != "/other"] == [b"OLD", b"NEW"])
        c.close()


def grep_stream(s, path):
    c = http.client.HTTPConnection(s.clear[7:], timeout=30)
    c.request("POST", "/api/v1/grep", json.dumps({"path": path, "pattern": "x", "recursive": True, "stream": True}).encode())
    return c


def test_searches_that_hang_hold_up_no_streams(world):
    """More than there are workers for streams; those of them that have begun wait for the remote."""
    u = Upstream(lambda r: HANG if r.what == "directories" else info("r", is_dir="true"))
    world.upstreams.append(u)
    os.mkdir(world.path("store"))
    with open(world.path("store/big"), "wb") as f:
        f.truncate(4 << 20)
    s = start(world, "s", world.mount_arg("/a", u.url) + ["--mount", "localfs:/l:local_dir=" + world.path("store")])
    searches = [grep_stream(s, "/") for _ in range(70)]
    wait_for("searches that hang", lambda: u.n("GET", "directories") >= 4)
    assert len(Api(s.clear).read("/l/big", timeout=30).body) == 4 << 20
    for c in searches:
        leave(c, "reset")
    wait_for("the remote to be told", lambda: len(u.given_up) == u.n("GET", "directories"))
    answer = grep_stream(s, "/l").getresponse()
    assert answer.read() == b'{"count":0,"type":"summary"}\n', "it has its turn at once"


def start_brief(world, args):
    """One that gives what is in flight 3 seconds when it is told to end."""
    config = world.path("brief.yaml")
    with open(config, "w") as f:
        f.write("server: {limits: {drain_timeout: 3s}}\n")
    return start(world, "s", ["-c", config, *args])


def is_cut(s):
    """After SIGTERM: it waits for what is in flight, as long as it was told to, and says that it cut it off."""
    began = time.monotonic()
    s.process.send_signal(signal.SIGTERM)
    return s.process.wait(DEADLINE) == 3 and time.monotonic() - began >= 3


def test_a_slow_copy_does_not_outlive_the_server(world):
    def trickle():
        while not world.u.ended.wait(0.2):
            yield b"x" * 4096
    world.u = Upstream(lambda r: info("f", 1 << 30) if r.what == "stat" else
                       Answer(200, pieces=trickle(), kind="application/octet-stream"))
    world.upstreams.append(world.u)
    s = start_brief(world, world.mount_arg("/r", world.u.url) + ["--mount", "memfs:/m"])
    c = http.client.HTTPConnection(s.clear[7:], timeout=60)
    c.request("POST", "/api/v1/copy?path=/r/f", b'{"newPath":"/m/f"}')
    wait_for("the copy to have begun", lambda: world.u.n("GET", "files"))
    assert is_cut(s)
    assert "were left behind" not in open(s.log_path).read()


def test_a_read_that_never_ends_does_not_outlive_the_server(world):
    s = start_brief(world, ["--plugin", os.path.join(world.build, "tests/unit/agfsd/good.so"), "--mount", "good:/g"])
    n, c = s.n_threads(), http.client.HTTPConnection(s.clear[7:], timeout=60)
    c.request("GET", "/api/v1/files?path=/g/never")
    wait_for("a worker for it", lambda: s.n_threads() > n)
    assert is_cut(s)
    assert "were left behind" in open(s.log_path).read()


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
if __name__ == "__main__":
    run(TESTS, at_once=4)
