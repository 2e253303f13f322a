#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Everything at once through a mount: small calls, queues, uploads, downloads, clients that leave, reloads.

usage: mixed_test.py BUILDDIR [TEST...]
Nothing fails, nothing is mixed up or lost, and afterwards the servers do nothing any more.
"""
import http.client
import os
import random
import signal
import socket
import subprocess
import threading
from functools import partial

from agfs_fronts import Nginx
from agfs_world import SANITIZED, Api, at_once, run, wait_for

KIB, MIB = 1024, 1024 * 1024
SIZES = (1 * KIB, 300 * KIB, 1100 * KIB, 2 * MIB, 5 * MIB)  # beyond 1 MiB a body is streamed
ROUNDS = 8 if SANITIZED else 25  # of each thread


class Mix:
    """Threads that each do their part ROUNDS times on the server at `near`, whose mount is /r."""

    def __init__(self, near):
        host, port = near.clear[len("http://"):].split(":")
        self.near, self.address, self.failed = near, (host, int(port)), []
        self.body = os.urandom(max(SIZES))
        self.call("PUT", "/r/m/big", self.body)

    def call(self, method, path, body=None, take=None):
        """The reply's content; of a read, `take` bytes at most, and then the client leaves."""
        c = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            c.request(method, "/api/v1/files?path=" + path, body=body)
            r = c.getresponse()
            content = r.read(take) if take else r.read()
            if r.status != 200:
                self.failed.append((method, path, r.status, content[:200]))
            return content
        finally:
            c.close()

    def upload(self, k):
        rnd = random.Random(k)
        for _ in range(ROUNDS):
            size, path = rnd.choice(SIZES), "/r/%s/u%d" % (rnd.choice("ms"), k)
            self.call("PUT", path, self.body[:size])
            if self.call("GET", path) != self.body[:size]:
                self.failed.append(("other content", path, size))

    def leave(self, k):
        rnd = random.Random(k)
        for _ in range(ROUNDS):
            self.call("GET", "/r/m/big", take=rnd.randrange(1, len(self.body)))
            with socket.create_connection(self.address, timeout=30) as s:
                s.sendall(b"PUT /api/v1/files?path=/r/s/left%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                          % (k, len(self.body)) + self.body[:rnd.randrange(len(self.body))])

    def download(self, k):
        for _ in range(ROUNDS):
            if self.call("GET", "/r/m/big") != self.body:
                self.failed.append("another big file")

    def reload(self, k):
        for _ in range(ROUNDS // 4):
            self.call("PUT", "/r/reload", b"")

    def run(self):
        parts = [self.upload] * 4 + [self.leave] * 2 + [self.download] * 2 + [self.reload]
        at_once(*(partial(part, k) for k, part in enumerate(parts)))


def small_calls(world, near):
    """Two programs that make small calls until they are told to stop."""
    command = [os.path.join(world.build, "tools/bench/agfs-bench"), near.clear + ",path=/r/m", "--queue", "/r/queue",
               "-q", "-d", "100s", "--rounds", "1", "--warmup", "0"]
    workloads = ("stat:40,read:30,write:20,list:10", "24"), ("create+remove:50,enqueue+dequeue:50", "8")
    return [subprocess.Popen(command + ["-w", what, "-c", callers], text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT) for what, callers in workloads]


def is_quiet(servers):
    before = [s.processor_time() for s in servers]
    threading.Event().wait(0.5)
    return all(s.processor_time() - b <= 2 for s, b in zip(servers, before))


def everything(world, servers):
    near = servers[-1]
    wait_for("the mount", Api(near.clear).ready)
    mix = Mix(near)
    fds = near.n_fds()
    programs = small_calls(world, near)
    try:
        wait_for("small calls", lambda: Api(near.clear).get("directories", path="/r/m").body.count(b"agfs-bench-") == 2)
        mix.run()
    finally:
        for p in programs:
            p.send_signal(signal.SIGINT)
        outs = [p.communicate(timeout=60)[0] for p in programs]
    assert not mix.failed, mix.failed[:5]
    assert not any("FAILED" in out for out in outs), outs
    assert "none lost, none doubled" in outs[1], outs[1]
    assert not any(name.startswith("left") for name in os.listdir(world.path("store"))), "of who left nothing is seen"
    wait_for("quiet", lambda: is_quiet(servers))
    wait_for("descriptors: %d, now %d" % (fds, near.n_fds()), lambda: near.n_fds() <= fds + 8)


def far_server(world, **options):
    os.makedirs(world.path("store"))
    return world.start("far", ["--mount", "memfs:/m", "--mount", "queuefs:/queue", "--mount",
                               "localfs:/s:local_dir=" + world.path("store")], **options)


def test_between_two_of_ours(world):
    far = far_server(world, tls=True)
    everything(world, [far, world.start("near", world.mount_arg("/r", far.tls, **world.mtls()))])


def test_behind_nginx(world):
    """With connections that end in order after 100 requests."""
    far = far_server(world)
    front = Nginx(world, [int(far.clear.rsplit(":", 1)[1])], server="keepalive_requests 100;")
    try:
        url = "https://127.0.0.1:%d" % front.port
        everything(world, [far, world.start("near", world.mount_arg("/r", url, **world.mtls(protocol="h2")))])
    finally:
        front.stop()


run([test_between_two_of_ours, test_behind_nginx])
