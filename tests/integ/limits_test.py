#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""The server's limits: how many connections it holds in how much memory, what it refuses, and what it says about that.

usage: limits_test.py BUILDDIR [TEST...]
"""
import http.client
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import ssl
import subprocess
import time

from agfs_frames import Http2
from agfs_world import DEADLINE, SANITIZED, Api, Skip, run, wait_for

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
ACK = b"\0\0\0\4\1\0\0\0\0"
PATH = b"/api/v1/version"
H2_GET = b"\x82\x86\x04" + bytes([len(PATH)]) + PATH + b"\x41\x01x"  # HPACK: GET, http, the path, authority x


def h2_get(stream):
    return len(H2_GET).to_bytes(3, "big") + b"\1\5" + stream.to_bytes(4, "big") + H2_GET


class Idle:
    """A keep-alive connection that asks for the version from time to time."""

    def __init__(self, address, source, h2):
        self.h2, self.stream, self.data = h2, 1, b""
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.bind((source, 0))
        self.socket.connect_ex(address)

    def ask(self):
        self.data = b""
        if not self.h2:
            self.socket.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % PATH)
        elif self.stream == 1:
            self.socket.send(PREFACE + h2_get(1))
        else:
            self.socket.send(h2_get(self.stream))

    def read(self):
        """True: the answer is complete."""
        self.data += self.socket.recv(65536)
        assert self.data, "the server ended an idle connection"
        if b'"version"' not in self.data or not self.data.endswith(b"}\n"):
            return False
        if self.h2 and self.stream == 1:
            self.socket.send(ACK)
        self.stream += 2
        return True


def ask_all(idle):
    epoll = select.epoll()
    by_fd = {c.socket.fileno(): c for c in idle}
    for fd in by_fd:
        epoll.register(fd, select.EPOLLOUT | select.EPOLLET)
    missing, asked = set(by_fd), set()
    end = time.monotonic() + DEADLINE
    while missing and time.monotonic() < end:
        for fd, events in epoll.poll(1):
            c = by_fd[fd]
            if fd not in asked:
                error = c.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                assert error == 0, os.strerror(error)
                c.ask()
                asked.add(fd)
                epoll.modify(fd, select.EPOLLIN)
            elif c.read():
                missing.discard(fd)
                epoll.unregister(fd)
    epoll.close()
    assert not missing, "%d of %d connections got no answer" % (len(missing), len(idle))


def test_20000_idle_connections(world):
    """Half HTTP/1.1, half HTTP/2: below 300 MiB, without a thread for each. With fewer descriptors, as many as there can be."""
    n, each = 4000 if SANITIZED else 20000, 1000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, n + 1000), max(hard, n + 1000)))
    except (ValueError, OSError):
        n = (hard - 200) // each * each  # both ends need one for each, and some more
        if n < 4 * each:
            raise Skip("RLIMIT_NOFILE cannot be raised above %d" % hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limit = 300 * 1024 * n // 20000
    # meson sets MALLOC_PERTURB_, which touches memory that nobody else would
    server, _ = configured(world, "server", {"idle_timeout_http1": "1h"}, wrapper=("env", "-u", "MALLOC_PERTURB_"))
    host, port = server.clear[7:].split(":")
    threads, before = server.n_threads(), server.status("VmRSS")
    idle = []
    for begin in range(0, n, each):  # one loopback address has its own limit of connections, and ports
        batch = [Idle((host, int(port)), "127.0.1.%d" % (1 + begin // each), i % 2 == 1) for i in range(each)]
        ask_all(batch)
        idle += batch
    assert Api(server.clear).get("limits").json()["in_use"]["connections"] >= n
    rss = server.status("VmRSS")
    assert server.n_threads() == threads, (threads, server.n_threads())
    assert rss < limit or SANITIZED, "%d KiB" % rss
    ask_all(idle)  # none of them has been given up meanwhile
    rss = max(rss, server.status("VmRSS"))
    print("# %d connections: %d MiB, %d before the first; %d threads" % (n, rss // 1024, before // 1024, threads))
    assert rss < limit or SANITIZED, "%d KiB" % rss
    for c in idle:
        c.socket.close()
    wait_for("the connections to end", lambda: Api(server.clear).get("limits").json()["in_use"]["connections"] < 10)


def test_idle_connections_give_memory_back(world):
    """With TLS and HTTP/2 too, where an idle one has most; and each answers afterwards as before."""
    server = world.start("server", ["--mount", "memfs:/memfs"], tls=True, client_cert="none",
                         wrapper=("env", "-u", "MALLOC_PERTURB_"))  # which touches all that is allocated
    wait_for("the mount", Api(server.clear).ready)
    context = ssl.create_default_context(cafile=world.pki("ca.pem"))
    context.set_alpn_protocols(["h2"])
    before = server.status("VmRSS")
    idle = [Http2(server.tls, context=context) for _ in range(300)]
    ask = lambda n: [(peer.request(n, b"GET", PATH, end=True), peer.reply(n)[0]) for peer in idle] == [(None, 200)] * len(idle)
    assert ask(1) and ask(3)
    if not SANITIZED:  # KiB; 57 of each before it is given back, 45 afterwards
        wait_for("memory given back", lambda: server.status("VmRSS") - before <= 51 * len(idle))
    assert ask(5) and Api(server.clear).get("limits").json()["in_use"]["connections"] >= len(idle) + 1
    for peer in idle:
        peer.close()


def configured(world, name, limits, **kw):
    """A server with these limits, and its API in clear text."""
    config = world.path(name + ".yaml")
    with open(config, "w") as f:
        f.write("server:\n  limits: %s\n" % json.dumps(limits))
    server = world.start(name, ["-c", config, "--mount", "memfs:/memfs"], **kw)
    api = Api(server.clear)
    wait_for("the mount", api.ready)
    return server, api


def address(url):
    host, port = url.split("://")[1].split(":")
    return host, int(port)


def tls_client(world, alpn):
    context = ssl.create_default_context(cafile=world.pki("ca.pem"))
    context.load_cert_chain(world.pki("client.pem"), world.pki("client.key"))
    context.set_alpn_protocols([alpn])
    return context


def test_D22_limits_are_shown_and_configured(world):
    server, api = configured(world, "server", {"connections_per_address": 16, "body_memory": "1MiB"})
    kept = http.client.HTTPConnection(*address(server.clear), timeout=60)

    def limits():
        kept.request("GET", "/api/v1/limits")
        return json.loads(kept.getresponse().read())

    got = limits()
    assert got["limits"]["connections_per_address"] == 16 and got["limits"]["body_memory"] == 1 << 20, got
    assert got["limits"]["connections_per_identity"] == 64, got
    wait_for("earlier connections to end", lambda: limits()["in_use"]["connections"] == 1)
    held = [socket.create_connection(address(server.clear)) for _ in range(15)]
    wait_for("all to be counted", lambda: limits()["in_use"]["connections"] == 16)  # by whichever loop took them
    with socket.create_connection(address(server.clear)) as one_more:
        assert one_more.recv(1) == b"", "closed at once"
    hit = limits()["hit"]["connections_per_address"]
    assert hit["hits"] == 1 and hit["last_peer"] == "127.0.0.1", hit
    for s in held:
        s.close()
    wait_for("places", lambda: limits()["in_use"]["connections"] == 1)
    for body in (b"x" * (2 << 20), b"y" * (1 << 19)):
        r = api.call("PUT", "handles/999/write", data=body) if len(body) > 1 << 20 else api.put("/memfs/f", body)
        assert r.status in (200, 404, 503), r.status
    r = api.call("POST", "write", data=b"z" * (2 << 20), path="/memfs/g")
    assert r.status == 503 and r.headers["not-applied"] == "1" and r.json()["outcome"] == "NA", (r.status, r.body)
    assert api.get("stat", path="/memfs/g").status == 404 and limits()["hit"]["body_memory"]["hits"] >= 1
    wait_for("the memory", lambda: limits()["in_use"]["body_memory"] == 0)
    kept.close()


def test_D09_bodies_in_memory_count_both_ways(world):
    """Responses that are not read, uploads that are not complete, copies that are gathered: then 503, nothing is changed."""
    server, api = configured(world, "server", {"body_memory": "8MiB"})
    in_use = lambda: api.get("limits").json()["in_use"]["body_memory"]
    given_back = lambda: wait_for("the memory", lambda: in_use() == 0)  # a moment after the client has its answer
    big = b"x" * (3 << 20)
    for name, content in ("big", big), ("half", b"x" * (4 << 20)), ("more", b"x" * ((4 << 20) + 1)):
        assert api.put("/memfs/" + name, content).status == 200 and given_back()
    slow = []
    for n in range(1, 3):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(address(server.clear))
        s.sendall(b"GET /api/v1/files?path=/memfs/half HTTP/1.1\r\nHost: x\r\n\r\n")
        slow.append(s)
        wait_for("response %d" % n, lambda: in_use() == n * (4 << 20))
        if n == 1:
            assert api.read("/memfs/big").status == 200, "4 + 3 MiB"
            wait_for("its end", lambda: in_use() == 4 << 20)
            assert api.read("/memfs/more").status == 503, "a byte more than there is room for"
    for r in (api.read("/memfs/README"), api.get("directories", path="/memfs"), api.put("/memfs/f", big)):
        assert r.status == 503 and r.headers["not-applied"] == "1" and r.json()["outcome"] == "NA", (r.status, r.body)
    assert api.get("stat", path="/memfs/f").status == 404 and api.get("health").status == 200
    assert api.get("limits").json()["hit"]["body_memory"]["last_peer"] == "127.0.0.1"
    for s in slow:
        s.close()
    given_back()
    assert api.read("/memfs/big").body == big and given_back()
    assert api.mount("/more", "memfs").status == 200 and api.put("/memfs/bigger", big * 2).status == 200 and given_back()
    half = socket.create_connection(address(server.clear))
    half.sendall(b"PUT /api/v1/files?path=/memfs/f HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n" + big)
    wait_for("half of an upload", lambda: in_use() == len(big))
    assert api.post("copy", {"newPath": "/more/copy"}, path="/memfs/big").status == 200, "3 + 3 MiB"
    wait_for("that of the copy", lambda: in_use() == len(big))
    r = api.post("copy", {"newPath": "/more/bigger"}, path="/memfs/bigger")
    assert r.status == 503 and r.json()["outcome"] == "NA", r.body
    assert api.get("stat", path="/more/bigger").status == 404
    half.close()
    given_back()


def test_idle_connections_end(world):
    server, api = configured(world, "server", {"idle_timeout_http1": "2s"})
    assert api.get("limits").json()["limits"]["idle_timeout_http1"] == 2000
    with socket.create_connection(address(server.clear), timeout=60) as s:
        s.sendall(b"GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.makefile("rb").read().startswith(b"HTTP/1.1 200 "), "and then its end: idle for too long"
    assert api.get("limits").json()["hit"]["idle_timeout"]["hits"] >= 1


def test_D03_connections_per_identity(world):
    server, api = configured(world, "server", {"connections_per_identity": 2}, tls=True)
    connect = lambda alpn: tls_client(world, alpn).wrap_socket(socket.create_connection(address(server.tls)), server_hostname="localhost")
    ask = b"GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n"
    held = [connect("http/1.1") for _ in range(2)]
    for s in held:
        s.sendall(ask)
        assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
    with connect("http/1.1") as s:
        answer = b""
        while data := s.recv(4096):
            answer += data
        head, body = answer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 503 ") and b"Content-Length: %d" % len(body) in head, answer
        assert json.loads(body)["outcome"] == "NA"
    with connect("h2") as s:
        answer = b""
        while data := s.recv(4096):
            answer += data
        assert answer == b"\0\0\0\4\0\0\0\0\0" + b"\0\0\x08\7\0\0\0\0\0" + b"\0" * 7 + b"\x0b", answer
    hit = api.get("limits").json()["hit"]["connections_per_identity"]
    assert hit["hits"] == 2 and hit["last_peer"].startswith("127.0.0.1 "), hit
    held.pop().close()
    wait_for("a place", lambda: api.get("limits").json()["in_use"]["connections"] <= 2)
    with connect("http/1.1") as s:
        s.sendall(ask)
        assert s.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_D03_handshakes_per_address(world):
    """Who opens connections and says nothing holds up nobody but himself, and him for the time of a handshake only."""
    server, api = configured(world, "server", {"handshakes_per_address": 4, "handshake_timeout": "3s"}, tls=True)
    silent = [socket.create_connection(address(server.tls)) for _ in range(6)]
    wait_for("the silent ones", lambda: api.get("limits").json()["in_use"] == {"connections": 7, "handshakes": 4, "body_memory": 0, "uploads": 0})
    other = socket.create_connection(address(server.tls), source_address=("127.0.0.9", 0))
    with tls_client(world, "http/1.1").wrap_socket(other, server_hostname="localhost") as s:
        s.sendall(b"GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 200 "), "another address is served at once"
    with tls_client(world, "h2").wrap_socket(socket.create_connection(address(server.tls)), server_hostname="localhost") as s:
        assert s.selected_alpn_protocol() == "h2", "the same address has its turn when the silent ones are given up"
    assert all(s.recv(1) == b"" for s in silent)
    hit = api.get("limits").json()["hit"]
    assert hit["handshake_timeout"]["hits"] >= 4 and hit["handshakes_per_address"]["hits"] + hit["handshake_timeout"]["hits"] == 6, hit
    assert "limit handshake_timeout reached by 127.0.0.1" in open(server.log_path).read()


def test_D21_connections_get_old(world):
    """An old connection is told so and ends after what is in flight; over HTTP/2 no call fails."""
    server, api = configured(world, "server", {"connection_age": "3s", "connection_age_grace": "2s"}, tls=True)
    near = world.start("near", world.mount_arg("/r", server.tls, **world.mtls()))
    wait_for("the mount", Api(near.clear).ready)

    def hits():
        assert Api(near.clear).read("/r/memfs/README").status == 200
        return api.get("limits").json()["hit"]["connection_age"].get("hits", 0)

    wait_for("two old connections", lambda: hits() >= 2)
    with socket.create_connection(address(server.clear)) as s:
        s.sendall(b"GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.makefile("rb").read().endswith(b"}\n"), "an idle one simply ends"


def identified(world, name, server):
    """The API with that client certificate, and what the mount of another server says that uses it."""
    context = ssl.create_default_context(cafile=world.pki("ca.pem"))
    context.load_cert_chain(world.pki(name + ".pem"), world.pki(name + ".key"))
    return Api(server.tls, context)


def test_D01_D20_who_may_connect_and_administrate(world):
    config = world.path("who.yaml")
    with open(config, "w") as f:
        f.write("server: {admin_clients: ['dns:client'], tls: {clients: ['uri:x', 'dns:client', 'dns:revoked-client']}}\n")
    server = world.start("server", ["-c", config, "--mount", "memfs:/memfs"], tls=True)
    wait_for("the mount", Api(server.clear).ready)
    admin, reader = (identified(world, n, server) for n in ("client", "revoked-client"))
    assert reader.put("/memfs/f", b"x").status == 200
    for api, status in ((reader, 403), (Api(server.clear), 403), (admin, 200)):
        r = api.mount("/more", "memfs")
        assert r.status == status and (status == 200 or "administration is for others" in r.error), r.body
        assert api.get("mounts").status == api.get("plugins").status == 200
    assert reader.unmount("/more").status == 403 and admin.unmount("/more").status == 200
    with open(config, "w") as f:
        f.write("server: {tls: {clients: ['dns:client']}}\n")
    server = world.start("closed", ["-c", config], tls=True)
    assert identified(world, "client", server).get("version").status == 200
    try:
        identified(world, "revoked-client", server).get("version")
        raise AssertionError("served")
    except OSError as e:
        assert "alert" in str(e).lower() or "reset" in str(e).lower() or "eof" in str(e).lower(), e
    near = world.start("near", [])
    options = world.mtls(client_cert=world.pki("revoked-client.pem"), client_key=world.pki("revoked-client.key"))
    r = Api(near.clear).mount("/r", "proxyfs", base_url=server.tls, **options)
    assert r.json()["class"] == "tls_auth" and r.json()["outcome"] == "NA", r.body
    assert "refuses our client certificate" in r.error and "give client_cert" not in r.error, r.body
    assert "client dns:revoked-client is not in tls.clients" in open(server.log_path).read()
    assert subprocess.run([world.agfsd, "-c", config], capture_output=True, timeout=60).returncode == 2, "no CA to know them by"


def test_D15_arguments_are_small(world):
    server, api = configured(world, "server", {})
    r = api.call("POST", "digest", b'{"path":"/memfs/README","algorithm":"md5","x":"' + b"x" * (1 << 20) + b'"}')
    assert r.status == 413 and "1048576" in r.error, r.body
    assert api.post("grep", {"path": "/memfs/README", "pattern": "a" * 1025}).status == 400
    assert api.post("grep", {"path": "/memfs/README", "pattern": "a" * 1024}).status == 200
    assert api.post("digest", json.loads("[" * 40 + "]" * 40)).status == 400
    assert api.call("POST", "digest", b'{"path":"/a","path":"/memfs/README","algorithm":"md5"}').status in (200, 400)
    start = time.monotonic()
    api.put("/memfs/a", b"a" * 60000 + b"!\n")
    assert api.post("grep", {"path": "/memfs/a", "pattern": "(a+)+$"}).status == 400, "too expensive"
    assert time.monotonic() - start < 30


def test_D17_rights_are_given_up(world):
    """What the process may not do any more, and how its programs are built."""
    server = world.start("server", ["--mount", "memfs:/memfs"])
    assert server.status("NoNewPrivs") == 1
    assert server.status("Seccomp") == (2 if os.uname().machine in ("x86_64", "aarch64") else 0)
    limits = open("/proc/%d/limits" % server.process.pid).read()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.M), limits
    config = world.path("open.yaml")
    with open(config, "w") as f:
        f.write("server: {sandbox: false}\n")
    assert world.start("open", ["-c", config]).status("Seccomp") == 0
    if not shutil.which("readelf"):
        return
    for program in (world.agfsd, world.agfs):
        said = subprocess.run(["readelf", "-hlds", "--dyn-syms", "-W", program], capture_output=True, text=True, check=True).stdout
        for words in (r"Type: +DYN", "GNU_RELRO", r"BIND_NOW|FLAGS.*NOW", "__stack_chk_fail"):
            assert re.search(words, said), (program, words)
        assert not re.search(r"GNU_STACK.* RWE ", said), program


def test_D21_replaced_certificates_are_noticed(world):
    """Without a signal; a set that does not fit together keeps the old one, until it does."""
    for name in "server.pem", "server.key":
        shutil.copy(world.pki(name), world.path(name))
    config = world.path("c.yaml")
    with open(config, "w") as f:
        f.write("server: {limits: {certificate_poll: 100ms}}\n")
    server = world.start("server", ["-c", config, "--tls-addr", "127.0.0.1:0", "--tls-cert", world.path("server.pem"),
                                    "--tls-key", world.path("server.key")])
    context = ssl.create_default_context(cafile=world.pki("ca.pem"))
    serial = lambda: ssl.get_server_certificate(address(server.tls))
    log = lambda words: lambda: words in open(server.log_path).read()
    old = serial()
    shutil.copy(world.pki("client.pem"), world.path("server.pem.new"))
    os.rename(world.path("server.pem.new"), world.path("server.pem"))
    wait_for("the refusal", log("changed files: the old certificates stay in use"))
    assert serial() == old
    shutil.copy(world.pki("client.key"), world.path("server.key.new"))
    os.chmod(world.path("server.key.new"), 0o600)
    os.rename(world.path("server.key.new"), world.path("server.key"))
    wait_for("the new pair", log("changed files: new connections use the certificates read now"))
    assert serial() != old
    assert open(server.log_path).read().count("changed files: ") == 2, "once for each change"


def test_D16_the_log_is_bounded_and_names_requests(world):
    server, api = configured(world, "server", {}, wrapper=[])
    for _ in range(250):
        with socket.create_connection(address(server.clear)) as s:
            s.sendall(b"\x16\x03\x01")
            assert s.recv(1) == b""
    lines = open(server.log_path).read().count("TLS on a port for clear text")
    hits = api.get("limits").json()["hit"]["log_lines_per_address"].get("hits")
    assert lines + hits == 250 and lines <= 100 * 3, (lines, hits)
    debug = world.start("debug", ["--mount", "memfs:/memfs", "--log-level", "debug"])
    wait_for("the mount", Api(debug.clear).ready)
    r = Api(debug.clear).read("/memfs/no\n\x1b[31mne")
    line = wait_for("its line", lambda: re.search("debug: %s .*404 notfound NA.*" % r.headers["x-request-id"], open(debug.log_path).read()))
    assert "no\\x0a\\x1b[31mne" in line[0], line[0]


def test_A109_D18_out_of_descriptors(world):
    """New connections are turned away, those that are there are served, and nothing spins."""
    server, api = configured(world, "server", {}, wrapper=["prlimit", "--nofile=64:64"])
    with socket.create_connection(address(server.clear)) as first:
        ask = b"GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n"
        first.sendall(ask)
        assert first.recv(4096).startswith(b"HTTP/1.1 200 ")
        many = [socket.create_connection(address(server.clear)) for _ in range(80)]
        wait_for("the limit", lambda: "out of file descriptors" in open(server.log_path).read())
        before, since = server.processor_time(), time.monotonic()
        for _ in range(20):
            first.sendall(ask)
            assert first.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert server.processor_time() - before <= 50 + (time.monotonic() - since) * 50, "half of a core at most"
        for s in many:
            s.close()

    def served():
        try:
            return api.get("limits")
        except OSError:  # turned away: the descriptors are not back yet, or not at each of its loops
            return None
    assert wait_for("descriptors", served).json()["hit"]["file_descriptors"]["hits"] >= 1


def test_A114_disk_full(world):
    """507 and the old content, also when the size of files is what is limited; no descriptor is left."""
    os.makedirs(world.path("host"))
    server = world.start("server", ["--mount", "localfs:/local:local_dir=" + world.path("host"),
                                    "--mount", "queuefs:/queue:backend=sqlite,db_path=" + world.path("queue.db")])
    api = Api(server.clear)
    wait_for("the mounts", api.ready)
    assert api.put("/local/f", b"old").status == 200 and api.post("mkdir", path="/queue/q").status == 201
    assert api.put("/queue/q/enqueue", b"first").status == 200
    fds = server.n_fds()
    subprocess.run(["prlimit", "--pid", str(server.process.pid), "--fsize=262144:unlimited"], check=True)
    for size in (300000, 3 << 20):  # gathered; streamed
        r = api.put("/local/f", b"x" * size)
        assert r.status in (507, 500, 413) and r.json()["outcome"] == "NA", (r.status, r.body)
        assert api.read("/local/f").body == b"old"
    r = api.put("/queue/q/enqueue", b"y" * 400000)
    assert r.status >= 400, r.status
    subprocess.run(["prlimit", "--pid", str(server.process.pid), "--fsize=unlimited:unlimited"], check=True)
    assert api.put("/local/f", b"new").status == 200 and api.read("/local/f").body == b"new"
    assert api.read("/queue/q/size").body == b"1" and api.read("/queue/q/dequeue").json()["data"] == "first"
    assert os.listdir(world.path("host")) == ["f"]
    wait_for("the descriptors", lambda: server.n_fds() <= fds + 2)


def test_A100_what_was_acknowledged_survives_kill_9(world):
    """localfs and the queue in SQLite; A101: memfs and the queue in memory keep nothing, as documented."""
    os.makedirs(world.path("host"))
    args = ["--mount", "localfs:/local:local_dir=" + world.path("host"), "--mount", "memfs:/memfs", "--mount", "queuefs:/volatile",
            "--mount", "queuefs:/queue:backend=sqlite,db_path=" + world.path("queue.db")]
    server = world.start("server", args)
    api = Api(server.clear)
    wait_for("the mounts", api.ready)
    for q in "/queue/q", "/volatile/q":
        assert api.post("mkdir", path=q).status == 201
    for n in range(50):
        assert api.put("/local/f%d" % n, b"%d" % n, flags=2 | 8 | 16).status == 200
        assert api.put("/queue/q/enqueue", b"%d" % n).status == 200
    assert api.put("/volatile/q/enqueue", b"x").status == api.put("/memfs/f", b"x").status == 200
    server.stop(signal.SIGKILL)
    server = world.start("again", args)
    api = Api(server.clear)
    wait_for("the mounts", api.ready)
    assert [api.read("/local/f%d" % n).body for n in range(50)] == [b"%d" % n for n in range(50)]
    assert [api.read("/queue/q/dequeue").json()["data"] for n in range(50)] == [str(n) for n in range(50)]
    assert api.read("/volatile/q/size").body == b"0" and api.get("stat", path="/memfs/f").status == 404


run([test_20000_idle_connections, test_idle_connections_give_memory_back, test_D22_limits_are_shown_and_configured,
     test_D09_bodies_in_memory_count_both_ways, test_idle_connections_end,
     test_D03_connections_per_identity, test_D03_handshakes_per_address,
     test_D21_connections_get_old, test_D01_D20_who_may_connect_and_administrate, test_D15_arguments_are_small,
     test_D17_rights_are_given_up, test_D21_replaced_certificates_are_noticed,
     test_D16_the_log_is_bounded_and_names_requests, test_A109_D18_out_of_descriptors,
     test_A114_disk_full, test_A100_what_was_acknowledged_survives_kill_9])
