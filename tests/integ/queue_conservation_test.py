#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""No message is lost or doubled, whatever breaks: what the calls said must agree with what is there.

usage: queue_conservation_test.py BUILDDIR [TEST...]
An enqueue that said OK is there exactly once, NA never, UN at most once.
"""
import collections
import json
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time

from agfs_world import Api, end_listener, run, wait_for


class Breaker:
    """A TCP relay whose connections are reset, all of them, at random moments; some after few bytes."""

    def __init__(self, url, seed):
        self.random = random.Random(seed)
        host, port = url.split("://")[1].split(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.pairs = set()
        self.n_broken = 0
        self.breaking = threading.Event()
        self.ended = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()
        threading.Thread(target=self.break_all, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
            except OSError:
                return
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (near, far)
            with self.lock:
                self.pairs.add(pair)
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self.pump, args=(pair, source, sink), daemon=True).start()

    def pump(self, pair, source, sink):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if self.breaking.is_set() and self.random.random() < 0.002:
                    sink.sendall(data[:self.random.randrange(len(data))])
                    break
                sink.sendall(data)
        except OSError:
            pass
        self.reset(pair)

    def reset(self, pair):
        with self.lock:
            if pair not in self.pairs:
                return
            self.pairs.discard(pair)
            self.n_broken += 1
        for s in pair:
            try:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def break_all(self):
        while not self.ended.wait(self.random.uniform(0.1, 0.4)):
            if self.breaking.is_set():
                with self.lock:
                    pairs = list(self.pairs)
                for pair in pairs:
                    self.reset(pair)

    def close(self):
        self.ended.set()
        end_listener(self.listener)
        for pair in list(self.pairs):
            self.reset(pair)


def drain(api, path):
    """What is left in the queue, by number."""
    left = []
    while True:
        message = json.loads(api.read(path + "/dequeue").body)
        if not message:
            return left
        left.append(int(message["data"]))


def judge(lines, left):
    """Compares what the calls said with what came out; returns counts."""
    said = {}
    seen = collections.Counter(left)
    n = collections.Counter()
    for line in lines:
        words = line.split()
        if words[0] == "E":
            said[int(words[1])] = words[2]
            n["enqueue " + words[2]] += 1
        else:
            n["dequeue " + words[1]] += 1
            if len(words) == 3:
                seen[int(words[2])] += 1
    doubled = [i for i, k in seen.items() if k > 1]
    invented = [i for i in seen if i not in said]
    refused = [i for i, what in said.items() if what == "NA" and seen[i]]
    missing = [i for i, what in said.items() if what in ("OK", "AP") and not seen[i]]
    assert not doubled, "doubled: %s" % doubled[:10]
    assert not invented, "never sent: %s" % invented[:10]
    assert not refused, "said to be not applied: %s" % refused[:10]
    # A message that is missing was taken by a dequeue that could not say what it took.
    may_have_taken = n["dequeue UN"] + n["dequeue AP"]
    assert len(missing) <= may_have_taken, "lost: %s (%s)" % (missing[:10], n)
    return n


def start_clients(world, url, threads, each):
    err = open(world.path("clients.log"), "w")
    return subprocess.Popen([os.path.join(world.build, "tests/integ/conservation"), url + "/api/v1",
                             "/remote/queue/q", str(threads), str(each)],
                            stdout=subprocess.PIPE, stderr=err, text=True)


def finish(world, clients):
    out, _ = clients.communicate(timeout=500)
    log = open(world.path("clients.log")).read()
    assert clients.returncode == 0, log[-2000:]
    print("# " + log.splitlines()[-1])
    return out.splitlines()


def test_connections_break(world):
    remote = world.start("remote", ["--mount", "queuefs:/queue"])
    inner = Breaker(remote.clear, 1)
    local = world.start("local", world.mount_arg("/remote", inner.url + "/api/v1", protocol="h2"))
    outer = Breaker(local.clear, 2)
    wait_for("the mounts", lambda: Api(remote.clear).ready() and Api(local.clear).ready())
    assert Api(remote.clear).post("directories", path="/queue/q").status == 201
    clients = start_clients(world, outer.url, 8, 1000)
    inner.breaking.set()
    outer.breaking.set()
    lines = finish(world, clients)
    broken = inner.n_broken + outer.n_broken
    inner.close()
    outer.close()
    n = judge(lines, drain(Api(remote.clear), "/queue/q"))
    print("# %d connections broken: %s" % (broken, dict(n)))
    assert broken >= 10, "the connections were not broken"
    assert n["enqueue OK"] > 4000, n


def test_the_remote_is_killed(world):
    """kill -9 of the process with a durable queue: what was acknowledged stays, nothing runs twice."""
    mount = ["--mount", "queuefs:/queue:backend=sqlite,db_path=" + world.path("q.db")]
    remote = world.start("remote", mount)
    address = remote.clear.split("://")[1]
    local = world.start("local", world.mount_arg("/remote", remote.clear + "/api/v1", protocol="h2"))
    wait_for("the mounts", lambda: Api(remote.clear).ready() and Api(local.clear).ready())
    assert Api(remote.clear).post("directories", path="/queue/q").status == 201
    clients = start_clients(world, local.clear, 8, 400)
    n_killed = 0
    while clients.poll() is None and n_killed < 8:
        size = int(os.path.getsize(world.path("q.db-wal"))) if os.path.exists(world.path("q.db-wal")) else 0
        wait_for("some work", lambda: clients.poll() is not None or not os.path.exists(world.path("q.db-wal"))
                 or os.path.getsize(world.path("q.db-wal")) != size)
        time.sleep(0.2)  # the moment of the kill is meant to be arbitrary
        remote.stop(signal.SIGKILL)
        n_killed += 1
        remote = world.start("remote", mount, clear=address)
    lines = finish(world, clients)
    wait_for("the last one's queue", Api(remote.clear).ready)
    n = judge(lines, drain(Api(remote.clear), "/queue/q"))
    print("# %d kills: %s" % (n_killed, dict(n)))
    assert n_killed >= 2, "the work was over too soon"


if __name__ == "__main__":
    run([test_connections_break, test_the_remote_is_killed])
