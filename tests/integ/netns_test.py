#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Rows of the fault table that need a network to themselves: packets that vanish, names that change, ports that run out.

usage: netns_test.py BUILDDIR [TEST...]
Starts itself again in network and mount namespaces of its own; skipped where those, ip or nft are not to be had.
"""
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

os.environ["PATH"] += ":/usr/sbin:/sbin"
INSIDE = "AGFS_TEST_NETNS"


def enter():
    """In a namespace of its own; a skipped test plan where that is not possible."""
    if INSIDE in os.environ:
        return
    missing = [p for p in ("unshare", "ip", "nft", "mount") if not shutil.which(p)]
    probe = "ip link set lo up && nft add table inet probe && nft delete table inet probe && mount -t tmpfs probe /mnt"
    ways = [["unshare", "-n", "-m"], ["unshare", "-r", "-n", "-m"]]
    way = next((w for w in ways if not missing and subprocess.run([*w, "sh", "-c", probe], capture_output=True).returncode == 0), None)
    if not way:
        print("1..0 # SKIP no network namespace with packet filter: " + ("missing: " + " ".join(missing) if missing else "not permitted"))
        sys.exit(0)
    os.environ[INSIDE] = "1"
    os.execvp(way[0], [*way, sys.executable, *sys.argv])


enter()

from agfs_world import Api, run, wait_for  # noqa: E402  (only where they are needed)


def sh(*command):
    subprocess.run(command, check=True, capture_output=True)


def check(reply, status=200):
    assert reply.status == status, "%d: %s" % (reply.status, reply.body[:300])
    return reply


def port_of(url):
    return int(url.rsplit(":", 1)[1])


@contextlib.contextmanager
def dropped(*matches):
    """Packets that match vanish meanwhile: nothing answers, nothing is refused."""
    sh("nft", "add", "table", "inet", "test")
    try:
        sh("nft", "add", "chain", "inet", "test", "out", "{ type filter hook output priority 0; }")
        for m in matches:
            sh("nft", "add", "rule", "inet", "test", "out", *m.split(), "drop")
        yield
    finally:
        sh("nft", "delete", "table", "inet", "test")


def both(port):
    return "tcp dport %d" % port, "tcp sport %d" % port


def put_file(world, path, text):
    """Another content for a file of the system, as this namespace sees it."""
    name = world.path(os.path.basename(path))
    with open(name, "w") as f:
        f.write(text)
    if not os.path.ismount(path):
        open_ = os.path.realpath(path)
        sh("mount", "--bind", name, open_)
    return name


def pair(world, url=None, **options):
    """(remote, API of a server that mounts it at /r, over HTTP/2 unless the options say so)."""
    remote = world.start("remote", ["--mount", "memfs:/memfs", "--mount", "queuefs:/queue"])
    wait_for("the remote's mounts", Api(remote.clear).ready)
    check(Api(remote.clear).post("directories", path="/queue/q"), 201)
    near = world.start("near", world.mount_arg("/r", url or remote.clear, **{"protocol": "h2", **options}))
    api = Api(near.clear)
    wait_for("the mount", api.ready)
    return remote, api


def ends_as(reply, cls, outcome):
    r = reply.json()
    assert (r["class"], r["outcome"]) == (cls, outcome), r


def within(seconds, call):
    """What call answers; it must do so in that time, which tells an answer from a hang."""
    began = time.monotonic()
    reply = call()
    took = time.monotonic() - began
    assert took <= seconds, "%.2f s: %s" % (took, reply.body)
    return reply


def queues(port, side, which):
    """Bytes in the sockets of that port: 0 that have come and were not read, 1 that were sent and may not have come."""
    lines = subprocess.run(["ss", "-Htn", "state", "established", "%s = :%d" % (side, port)], capture_output=True, text=True)
    return [int(line.split()[which]) for line in lines.stdout.splitlines()]


# ---- packets vanish ---------------------------------------------------------------------------

def A002_nobody_answers_the_first_packet(world):
    """The kernel would try for two minutes."""
    remote, api = pair(world)
    port = port_of(remote.clear)
    remote.stop()
    far = world.start("lazy", world.mount_arg("/r", remote.clear, protocol="h2", connect_timeout="1s", timeout="20s", lazy="true"))
    lazy = Api(far.clear)
    wait_for("the mount", lazy.ready)
    with dropped("tcp dport %d" % port):
        ends_as(within(15, lambda: lazy.read("/r/memfs/README")), "conn", "NA")  # connect_timeout, and the grace of 2 s
        began = time.monotonic()
        for _ in range(20):  # known to be away: at once; another attempt for each would take 20 s
            ends_as(lazy.read("/r/memfs/README"), "conn", "NA")
        assert time.monotonic() - began < 15


def A008_A012_the_network_is_gone_in_the_middle(world):
    """Both ways, and only the replies: the call ends when the PING is not answered, outcome unknown, once."""
    remote, api = pair(world, keepalive_interval="1s", keepalive_timeout="1s", connect_timeout="1s", timeout="30s")

    def enqueue(replies):
        replies.append(api.put("/r/queue/q/enqueue", b"during"))

    for lost, arrive in ((both(port_of(remote.clear)), 0), (("tcp sport %d" % port_of(remote.clear),), 4)):
        check(api.put("/r/queue/q/enqueue", b"before"))
        replies = []
        began = time.monotonic()
        with dropped(*lost):
            threads = [threading.Thread(target=enqueue, args=(replies,)) for _ in range(4)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
        assert time.monotonic() - began < 20, "2 s to find out, 2 s of grace for a new connection"
        for r in replies:
            assert (r.json()["class"], r.json()["outcome"]) in (("conn_lost", "UN"), ("conn", "UN")), r.body
        assert len(replies) == 4
        wait_for("the remote again", lambda: api.read("/r/memfs/README").status == 200)
        n = int(check(api.read("/r/queue/q/size")).body)
        assert n == 1 + arrive, "%d messages" % n
        check(api.put("/r/queue/q/clear", b""))


def B4_a_request_given_up_does_not_arrive_later(world):
    """The kernel would go on sending what a closed socket holds, behind the next write to that path."""
    for protocol in ("h1", "h2"):
        remote = world.start("remote-" + protocol, ["--mount", "memfs:/memfs"])
        wait_for("its mounts", Api(remote.clear).ready)
        port = port_of(remote.clear)
        near = world.start("near-" + protocol, world.mount_arg("/r", remote.clear, protocol=protocol, timeout="2500ms", retries="1",
                                                               keepalive_interval="1s", keepalive_timeout="1s", connect_timeout="1s"))
        api = Api(near.clear)
        wait_for("the mount", api.ready)
        check(api.put("/r/memfs/f", b"first"))
        with dropped(*both(port)):
            r = api.put("/r/memfs/f", b"given up")
            assert r.json()["outcome"] == "UN", r.body
            wait_for("nothing that is still on its way", lambda: not subprocess.run(
                ["ss", "-Htn", "state", "fin-wait-1", "dport = :%d" % port], capture_output=True).stdout)
        wait_for("the remote again", lambda: api.put("/r/memfs/f", b"second").status == 200)
        assert check(api.read("/r/memfs/f")).body == b"second"


def A009_the_send_buffer_is_full(world):
    """A large upload when the network goes: the PING cannot even be sent."""
    remote, api = pair(world, keepalive_interval="1s", keepalive_timeout="1s", timeout="30s")
    check(api.read("/r/memfs/README"))
    replies = []
    t = threading.Thread(target=lambda: replies.append(within(20, lambda: api.put("/r/memfs/big", bytes(6 << 20)))))
    with remote.standing_still():
        t.start()
        with dropped(*both(port_of(remote.clear))):
            t.join()
    assert replies and replies[0].status >= 500, replies
    r = replies[0].json()
    if r["class"] in ("conn", "timeout"):  # connections that rested for a second are asked first, and then a new one is tried
        assert r["outcome"] == "NA", r
    else:
        ends_as(replies[0], "conn_lost", "NA" if r["outcome"] == "NA" else "UN")
    wait_for("the remote again", lambda: api.read("/r/memfs/README").status == 200)
    check(api.read("/r/memfs/big"), 404)


def A008_in_http11_the_kernel_finds_the_silence(world):
    """Who waits for a reply has nothing to send that could go unacknowledged, and HTTP/1.1 has no PING."""
    remote, api = pair(world, protocol="h1", connect_timeout="1s", timeout="60s")
    port = port_of(remote.clear)
    check(api.put("/r/queue/q/enqueue", b"before"))
    replies = []
    t = threading.Thread(target=lambda: replies.append(within(45, lambda: api.put("/r/queue/q/enqueue", b"during",
                                                                                  timeout=60))))
    with remote.standing_still():
        t.start()
        wait_for("the request in the remote's socket", lambda: any(queues(port, "sport", 0)))
        wait_for("that to be known", lambda: not any(queues(port, "dport", 1)))
        with dropped(*both(port)):
            t.join()
    assert (replies[0].json()["class"], replies[0].json()["outcome"]) in (("conn_lost", "UN"), ("conn", "UN")), replies[0].body
    wait_for("the remote again", lambda: api.read("/r/memfs/README").status == 200)


def A010_an_idle_connection_is_dropped_on_the_way(world):
    """What a NAT does: packets of that connection vanish. The call is asked for on a new one, and runs once."""
    remote, api = pair(world, keepalive_interval="1s", keepalive_timeout="500ms", max_connections="1")
    port = port_of(remote.clear)
    check(api.put("/r/queue/q/enqueue", b"before"))
    mine = subprocess.run(["ss", "-Htn", "state", "established", "dport = :%d" % port], capture_output=True, text=True).stdout
    client = int(mine.split()[2].rsplit(":", 1)[1])
    idle = time.monotonic()
    with dropped("tcp sport %d tcp dport %d" % (client, port), "tcp sport %d tcp dport %d" % (port, client)):
        wait_for("a silence longer than keepalive_interval", lambda: time.monotonic() - idle > 1.2)
        check(within(20, lambda: api.put("/r/queue/q/enqueue", b"after")))
        assert check(api.read("/r/queue/q/size")).body == b"2"


# ---- names ------------------------------------------------------------------------------------

def A016_the_resolver_never_answers(world):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.53", 53))
        put_file(world, "/etc/resolv.conf", "nameserver 127.0.0.53\noptions timeout:30 attempts:3\n")
        put_file(world, "/etc/hosts", "127.0.0.1 localhost\n")
        near = world.start("near", ["--mount", "memfs:/local"] +
                           world.mount_arg("/r", "http://remote.example:1", protocol="h2", timeout="20s", lazy="true"))
        api = Api(near.clear)
        wait_for("the mounts", api.ready)
        ends_as(within(15, lambda: api.read("/r/f")), "dns", "NA")  # 3 s of the look-up, the grace
        began = time.monotonic()
        for _ in range(20):  # nobody else waits for the resolver: that would be 3 s each
            check(api.read("/local/README"))
        assert time.monotonic() - began < 30
        assert near.n_threads() < 40, "threads pile up"


def A015_A017_a_name_moves(world):
    """The next connection goes where the name points then; of two addresses a dead first one costs little."""
    put_file(world, "/etc/hosts", "127.0.0.2 remote.test\n")
    put_file(world, "/etc/nsswitch.conf", "hosts: files\n")
    old = world.start("old", ["--mount", "memfs:/memfs"], clear="127.0.0.2:0")
    port = port_of(old.clear)
    new = world.start("new", ["--mount", "memfs:/memfs"], clear="127.0.0.3:%d" % port)
    wait_for("their mounts", lambda: Api(old.clear).ready() and Api(new.clear).ready())
    check(Api(old.clear).put("/memfs/who", b"old"))
    check(Api(new.clear).put("/memfs/who", b"new"))
    # A second one would be made where the name points at that moment: each loop of a server wants its own.
    near = world.start("near", world.mount_arg("/r", "http://remote.test:%d" % port, protocol="h2", max_connections="1",
                                            connect_timeout="25s"))
    api = Api(near.clear)
    wait_for("the mount", api.ready)
    assert check(api.read("/r/memfs/who")).body == b"old"
    put_file(world, "/etc/hosts", "127.0.0.3 remote.test\n")
    assert check(api.read("/r/memfs/who")).body == b"old", "a good connection is kept"
    old.stop()
    assert check(within(15, lambda: api.read("/r/memfs/who"))).body == b"new"
    put_file(world, "/etc/hosts", "127.0.0.2 remote.test\n127.0.0.3 remote.test\n")
    with dropped("ip daddr 127.0.0.2"):
        check(within(15, lambda: api.put("/r/reload", b"")))
        assert check(within(15, lambda: api.read("/r/memfs/who"))).body == b"new"


# ---- ports ------------------------------------------------------------------------------------

def A113_no_port_is_left(world):
    """Two ports for outgoing connections, both taken: fails as a connection that cannot be made, and heals."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        before = f.read()
    remote, _ = pair(world)
    near = world.start("lazy", world.mount_arg("/r", remote.clear, protocol="h2", lazy="true"))
    wait_for("the mount", Api(near.clear).ready)  # it has not connected to anything yet
    port, taken = port_of(remote.clear), []
    # The test's own connections to `near` are made from a port of their own choice: above those that the kernel hands
    # out, where no server listens; the two that are left are below those of free_port().
    def ask(source):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", source))
            s.connect(("127.0.0.1", port_of(near.clear)))
            s.sendall(b"GET /api/v1/files?path=/r/memfs/README HTTP/1.0\r\n\r\n")
            data = b""
            while piece := s.recv(65536):
                data += piece
            return data
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as f:
        f.write("10000 10001")
    try:
        for p in (10000, 10001):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.bind(("127.0.0.1", p))
            s.connect(("127.0.0.1", port))
            taken.append(s)
        began = time.monotonic()
        reply = ask(61001)
        assert b'"class":"conn","outcome":"NA"' in reply and time.monotonic() - began < 20, reply
        for s in taken:
            s.close()
        sources = iter(range(61002, 65536))
        wait_for("a success", lambda: b" 200 " in ask(next(sources)).split(b"\r\n")[0])
    finally:
        for s in taken:
            s.close()
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as f:
            f.write(before)


sh("ip", "link", "set", "lo", "up")
run([t for n, t in sorted(globals().items()) if n[0] in "AB" and n[1:2].isdigit()])
