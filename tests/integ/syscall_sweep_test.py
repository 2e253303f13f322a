#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Each system call of a server fails once, or comes short, or is interrupted: while it accepts, shakes hands, serves requests
by both protocols, changes files and queues, reads its certificates again, mounts, starts and ends. It answers what is true: a
change that it reports is there, one that it refuses is not, and it never answers less than all. Afterwards it goes on serving
and nothing is left: no descriptor, no thread, no temporary file, under a sanitizer no byte.

usage: syscall_sweep_test.py BUILDDIR [TEST...]
"""
import errno
import http.client
import json
import mmap
import os
import signal
import socket
import ssl
import struct
import urllib.error

from agfs_frames import Http2
from agfs_world import Api, run, wait_for

SHORT, END = -1, -2  # tests/support/syscall_fail.h
RETRIED = (errno.EINTR, errno.EAGAIN, SHORT)
# What can be made to fail, and how. The first fault also tells whether the call occurs at all.
FAULTS = {
    "accept4": (errno.EMFILE, errno.ECONNABORTED, errno.ENOMEM, errno.EINTR),
    "epoll_ctl_probe": (errno.ENOMEM, errno.ENOSPC),  # of others libuv does not pass a failure on: it ends the process
    "recv": (errno.ECONNRESET, errno.EAGAIN, errno.EINTR, SHORT, END),
    "send": (errno.EPIPE, errno.EAGAIN, errno.EINTR, SHORT),
    "getrandom": (errno.ENOSYS, SHORT),
    "open": (errno.EIO, errno.EMFILE),
    "openat": (errno.EMFILE, errno.ENOSPC, errno.EOPNOTSUPP),
    "openat2": (errno.EMFILE, errno.EIO, errno.EAGAIN, errno.EINTR),
    "fopen": (errno.EMFILE, errno.EACCES),
    "read": (errno.EIO,),
    "pread": (errno.EIO, errno.EINTR, SHORT),
    "write": (errno.ENOSPC,),
    "pwrite": (errno.ENOSPC, errno.EIO, errno.EINTR, SHORT),
    "fsync": (errno.EIO,),
    "ftruncate": (errno.EIO,),
    "fchmod": (errno.EPERM,),
    "linkat": (errno.EIO, errno.EMLINK),
    "renameat": (errno.EIO, errno.ENOSPC),
    "unlinkat": (errno.EIO,),
    "mkdirat": (errno.ENOSPC,),
    "fstatat": (errno.EIO,),
    "fdopendir": (errno.ENOMEM,),
    "readdir": (errno.EIO,),
    "mmap": (errno.ENOMEM,),
    "pthread_create": (errno.EAGAIN,),
}
# Where the errno alone says what class the answer has; "queue database" has words of its own.
CLASSES = {errno.EMFILE: "nofile", errno.ENOSPC: "nospc", errno.EIO: "io", errno.ENOMEM: "nomem", errno.EPERM: "denied"}


class Faults:
    """The orders to a server that has the library preloaded."""
    LAYOUT = struct.Struct("24siiQQQ")

    def __init__(self, world, name):
        self.path = world.path(name + ".fail")
        with open(self.path, "wb") as f:
            f.write(bytes(self.LAYOUT.size))
        with open(self.path, "r+b") as f:
            self.memory = mmap.mmap(f.fileno(), 0)
        library = os.path.join(world.build, "tests", "libsyscall_fail.so")
        asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        self.wrapper = ["env", "LD_PRELOAD=" + library, "PFS_SYSCALL_FAIL=" + self.path, "ASAN_OPTIONS=" + asan.lstrip(":")]

    def arm(self, call, fault, nth, lasting=False):
        self.memory[32:40] = bytes(8)  # nth: nothing fails meanwhile
        self.LAYOUT.pack_into(self.memory, 0, call.encode(), fault, lasting, 0, 0, 0)
        self.memory[32:40] = struct.pack("Q", nth)

    def disarm(self):
        """How many calls failed."""
        self.memory[32:40] = bytes(8)
        return struct.unpack("Q", self.memory[48:56])[0]


class Gone:
    """What a request sees whose connection ends."""
    status, outcome, cls = None, "UN", "conn_lost"


class Sweep:
    """A server and what is asked of it while one of its system calls fails."""

    def __init__(self, world):
        self.world = world
        self.host = world.path("host")
        os.makedirs(self.host)
        self.faults = Faults(world, "server")
        self.server = world.start("server", ["--mount", "localfs:/local:local_dir=" + self.host, "--mount", "memfs:/memfs",
                                             "--mount", "queuefs:/queue:backend=sqlite,db_path=" + world.path("queue.db")],
                                  tls=True, wrapper=self.faults.wrapper)
        self.api = Api(self.server.clear)
        wait_for("the mounts", self.api.ready)
        self.context = ssl.create_default_context(cafile=world.pki("ca.pem"))
        self.context.load_cert_chain(world.pki("client.pem"), world.pki("client.key"))
        assert self.api.post("mkdir", path="/queue/q").status == 201
        assert self.api.put("/queue/q/enqueue", b"m").status == self.api.read("/queue/q/dequeue").status == 200
        self.ran = 0
        self.fds, self.threads = self.server.n_fds() + 4, self.server.n_threads() + 40

    def ask(self, request, *args, **kw):
        """The answer of a request, with outcome and class; or Gone."""
        try:
            r = request(*args, **kw)
        except (http.client.HTTPException, urllib.error.URLError, OSError):
            return Gone()
        r.outcome, r.cls = "AP", "ok"
        if r.status >= 400:
            said = r.json()
            r.outcome, r.cls = said["outcome"], said["class"]
        return r

    def sweep(self, name, calls, prepare, request, verdict):
        """Does request() with each call of each name failing in each way. verdict(answer, fault): that was right."""
        ran = 0
        for call in calls:
            for fault in FAULTS[call]:
                hit, nth = True, 0
                while hit:
                    nth += 1
                    assert nth < 500, (name, call, fault)
                    prepare()
                    self.faults.arm(call, fault, nth)
                    try:
                        answer = self.ask(request)
                        hit = self.faults.disarm()
                        verdict(answer, fault if hit else 0)
                    except Exception as e:
                        self.faults.disarm()
                        how = errno.errorcode.get(fault) or {SHORT: "short", END: "end"}[fault]
                        raise AssertionError("%s: %s number %d with %s: %s" % (name, call, nth, how, e)) from e
                    ran += bool(hit)
                if nth == 1:
                    break  # it does not occur here
            assert self.server.process.poll() is None, "%s: %s: the server has ended" % (name, call)
        self.ran += ran
        print("# %s: %d" % (name, ran), flush=True)

    def end(self):
        """Nothing is left behind."""
        wait_for("descriptors and threads", lambda: self.server.n_fds() <= self.fds and self.server.n_threads() <= self.threads)
        assert [f for f in os.listdir(self.host) if f.startswith(".")] == [], os.listdir(self.host)
        assert self.server.stop() == 0, open(self.server.log_path).read()
        assert self.ran > 0


def is_true(r, fault, also=()):
    """It is an answer that the fault explains."""
    if fault == 0 or fault in RETRIED:
        assert r.status and r.status < 400, "%s %s" % (r.status, r.status and r.body)
    elif r.status and r.status >= 400:
        assert r.cls in (CLASSES.get(fault, r.cls), *also), "%s %s" % (r.status, r.body)


def leads_to(before, after, now, also=()):
    """The verdict on a change from before to after, which has led to now()."""
    def verdict(r, fault):
        state = now()
        is_true(r, fault, also)
        assert state in (before, after), "%s %s, and there is %r" % (r.status, r.cls, state)
        assert r.outcome != "AP" or state == after, "%s, but it is not there" % r.status
        assert r.outcome != "NA" or state == before, "%s %s NA, but it is there" % (r.status, r.cls)
    return verdict


def brings(check):
    """The verdict on a read: all of it, or no success."""
    def verdict(r, fault):
        is_true(r, fault)
        assert r.status is None or r.status >= 400 or check(r.body), "200 with %r" % r.body[:100]
    return verdict


FILES = ("openat2", "openat", "pread", "pwrite", "fsync", "ftruncate", "fchmod", "linkat", "renameat", "unlinkat", "mkdirat", "fstatat",
         "fdopendir", "readdir", "getrandom")
SOCKETS = ("accept4", "epoll_ctl_probe", "recv", "send")
DATABASE = ("pread", "pwrite", "fsync", "ftruncate", "mmap", "read", "write", "open")
LARGE = b"large" * 220000  # streamed: more than is collected


def test_A111_files(world):
    s = Sweep(world)
    host = lambda name: os.path.join(s.host, name)

    def has(name):
        try:
            with open(host(name), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def set_to(**files):
        def prepare():
            for name, content in files.items():
                if content is not None:
                    with open(host(name), "wb") as f:
                        f.write(content)
                elif os.path.isdir(host(name)):
                    os.rmdir(host(name))
                elif os.path.exists(host(name)):
                    os.unlink(host(name))
        return prepare

    put = lambda content, **q: lambda: s.api.put("/local/f", content, **q)
    is_f = lambda before, after: leads_to(before, after, lambda: has("f"))
    s.sweep("write a new file", SOCKETS + FILES, set_to(f=None), put(b"new"), is_f(None, b"new"))
    s.sweep("replace a file", FILES, set_to(f=b"old"), put(b"new"), is_f(b"old", b"new"))
    s.sweep("replace a file, synced", FILES, set_to(f=b"old"), put(b"new", flags=2 | 8 | 16), is_f(b"old", b"new"))
    s.sweep("create a file, synced", FILES, set_to(f=None), put(b"new", flags=2 | 4 | 16), is_f(None, b"new"))
    s.sweep("stream into a file", SOCKETS + FILES, set_to(f=b"old"), put(LARGE), is_f(b"old", LARGE))
    s.sweep("stream out of a file", ("send", "openat2", "pread"), set_to(f=LARGE), lambda: s.api.read("/local/f"),
            brings(lambda body: body == LARGE))
    s.sweep("read a file", SOCKETS + FILES, set_to(f=b"old"), lambda: s.api.read("/local/f"), brings(lambda body: body == b"old"))
    s.sweep("list", SOCKETS + FILES, set_to(f=b"old"), lambda: s.api.get("directories", path="/local"),
            brings(lambda body: [f["name"] for f in json.loads(body)["files"]] == ["f"]))
    s.sweep("stat", FILES, set_to(), lambda: s.api.get("stat", path="/local/f"), brings(lambda body: json.loads(body)["size"] == 3))
    s.sweep("truncate", FILES, set_to(f=b"old"), lambda: s.api.post("truncate", path="/local/f", size=1), is_f(b"old", b"o"))
    s.sweep("rename", FILES, set_to(f=b"old", g=None), lambda: s.api.post("rename", {"newPath": "/local/g"}, path="/local/f"),
            leads_to((b"old", None), (None, b"old"), lambda: (has("f"), has("g"))))
    s.sweep("delete", FILES, set_to(f=b"old"), lambda: s.api.call("DELETE", "files", path="/local/f"), is_f(b"old", None))
    s.faults.arm("openat2", errno.EAGAIN, 1, lasting=True)  # a directory that is moved all the time
    assert s.api.read("/local/f").status >= 500
    s.faults.disarm()
    s.sweep("mkdir", FILES, set_to(d=None), lambda: s.api.post("directories", path="/local/d"),
            leads_to(False, True, lambda: os.path.isdir(host("d"))))
    s.end()


def test_A111_queue_in_a_database(world):
    s = Sweep(world)
    size = lambda: int(s.api.read("/queue/q/size").body)
    clear = lambda: s.api.put("/queue/q/clear", b"")

    def one():
        clear()
        assert s.api.put("/queue/q/enqueue", b"m").status == 200

    s.sweep("enqueue", SOCKETS[2:] + DATABASE, clear, lambda: s.api.put("/queue/q/enqueue", b"m"), leads_to(0, 1, size, ("io",)))
    taken = leads_to(1, 0, size, ("io",))

    def is_taken(r, fault):
        taken(r, fault)
        assert r.outcome != "AP" or r.json()["data"] == "m", r.body
    s.sweep("dequeue", SOCKETS[2:] + DATABASE, one, lambda: s.api.read("/queue/q/dequeue"), is_taken)
    s.end()


def test_A111_connections(world):
    s = Sweep(world)
    secure = Api(s.server.tls, s.context)
    version = brings(lambda body: b"version" in body)
    s.sweep("HTTP/1.1 over TLS", SOCKETS + ("getrandom",), lambda: None, lambda: secure.get("version"), version)

    def by_h2(url, context):
        peer = Http2(url, context=context)
        peer.request(1, b"PUT", b"/api/v1/files?path=/memfs/f", length=3)
        peer.data(1, b"new", True)
        status, body = peer.reply(1)
        peer.request(3, b"GET", b"/api/v1/files?path=/memfs/f", end=True)
        second, content = peer.reply(3)
        peer.close()
        if status is None or second is None:
            raise ConnectionError
        r = s.api.get("version")
        r.status, r.body = status, content
        return r
    h2 = ssl.create_default_context(cafile=world.pki("ca.pem"))
    h2.load_cert_chain(world.pki("client.pem"), world.pki("client.key"))
    h2.set_alpn_protocols(["h2"])
    for name, url, context in (("HTTP/2", s.server.clear, None), ("HTTP/2 over TLS", s.server.tls, h2)):
        s.sweep(name, SOCKETS, lambda: s.api.put("/memfs/f", b"old"), lambda: by_h2(url, context), brings(lambda body: body == b"new"))
    s.end()


def test_A111_certificates_are_read_again(world):
    s = Sweep(world)
    said = lambda: open(s.server.log_path).read().count("certificates")

    def reload():
        before = said()
        os.kill(s.server.process.pid, signal.SIGHUP)
        wait_for("the reload", lambda: said() > before)
        return s.api.get("version")
    s.sweep("SIGHUP", ("fopen", "open", "openat", "read"), lambda: None, reload,
            lambda r, fault: Api(s.server.tls, s.context).get("version"))
    s.end()


def test_A111_mounts(world):
    s = Sweep(world)
    os.makedirs(world.path("more"))
    mounts = lambda: "/more" in [m["path"] for m in s.api.get("mounts").json()["mounts"]]

    def unmount():
        if mounts():
            assert s.api.unmount("/more").status == 200
    for fstype, options in (("localfs", {"local_dir": world.path("more")}),
                            ("queuefs", {"backend": "sqlite", "db_path": world.path("more.db")})):
        s.sweep("mount " + fstype, DATABASE + ("openat", "openat2", "pthread_create"), unmount,
                lambda: s.api.mount("/more", fstype, **options), leads_to(False, True, mounts, ("config", "io")))
    unmount()
    s.end()


def test_A111_start_and_end(world):
    """It starts and serves, or ends with a message and an exit code; told to end, it ends."""
    config = world.path("c.yaml")
    with open(config, "w") as f:
        f.write("plugins: {memfs: {enabled: true, path: /memfs}}\n")
    faults = Faults(world, "start")
    ran = started = 0
    for call, fault in (("fopen", errno.EMFILE), ("open", errno.EMFILE), ("openat", errno.EMFILE), ("socket", errno.EMFILE),
                        ("epoll_create1", errno.EMFILE), ("eventfd", errno.EMFILE), ("pthread_create", errno.EAGAIN),
                        ("timerfd_create", errno.EMFILE), ("getrandom", errno.ENOSYS)):
        hit, nth = True, 0
        while hit and nth < 20:
            nth += 1
            faults.arm(call, fault, nth)
            try:
                server = world.start("start", ["-c", config], tls=True, wrapper=faults.wrapper)
            except AssertionError as e:
                said = str(e)
                code = e.exit_code
                hit = faults.disarm()
                assert hit and code in (1, 2) and said.strip(), (call, nth, code, said)
            else:
                hit = faults.disarm()
                wait_for("the mount", Api(server.clear).ready)
                code = server.stop()
                assert code == 0, (call, nth, code)
                started += 1
            ran += bool(hit)
    print("# %d failed, %d started all the same" % (ran, started))
    ending = []
    for call, fault in (("send", errno.EPIPE), ("recv", errno.ECONNRESET), ("epoll_wait", errno.EINTR)):
        faults = Faults(world, call)
        server = world.start(call, ["-c", config], wrapper=faults.wrapper)
        wait_for("the mount", Api(server.clear).ready)
        kept = socket.create_connection(("127.0.0.1", int(server.clear.rsplit(":", 1)[1])))
        kept.sendall(b"GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(4096)
        faults.arm(call, fault, 1, lasting=fault != errno.EINTR)
        server.process.send_signal(signal.SIGTERM)
        ending.append((server, kept))
    for server, kept in ending:
        assert server.process.wait(30) == 0, server.name  # a second signal would cut it short
        kept.close()


run([test_A111_files, test_A111_queue_in_a_database, test_A111_connections, test_A111_certificates_are_read_again,
     test_A111_mounts, test_A111_start_and_end])
