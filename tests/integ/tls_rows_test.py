#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""TLS peers that a library's own checks would not let us make: weak keys, old versions, key updates, long chains.

usage: tls_rows_test.py BUILDDIR [TEST...]
openssl s_server and Python's ssl (its security level lowered) play the remote that agfsd mounts.
"""
import array
import concurrent.futures
import contextlib
import fcntl
import os
import signal
import socket
import ssl
import subprocess
import termios
import threading
import time

from agfs_world import SANITIZED, Api, free_port, run, wait_for

UP = "silent after the TLS handshake"  # nothing wrong with TLS: s_server only does not speak HTTP/2
SETTINGS = b"\0\0\0\4\0\0\0\0\0"  # an empty HTTP/2 SETTINGS frame


def openssl(world, *args):
    p = subprocess.run(["openssl", *args], cwd=world.dir, capture_output=True, text=True)
    assert p.returncode == 0, (args, p.stderr)


def authority(world, name, issuer=None, key=("EC", "-pkeyopt", "ec_paramgen_curve:P-256"), digest="sha256", san="IP:127.0.0.1", ca=False):
    """NAME.pem and NAME.key, signed by issuer or itself."""
    with open(world.path(name + ".cnf"), "w") as f:
        f.write("[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=x\n[dn]\nCN=%s\n[x]\nbasicConstraints=critical,CA:%s\n%s"
                % (name, "TRUE" if ca else "FALSE", "" if ca else "subjectAltName=%s\nextendedKeyUsage=serverAuth\n" % san))
    signed = ["-CA", issuer + ".pem", "-CAkey", issuer + ".key"] if issuer else []
    openssl(world, "genpkey", "-algorithm", *key, "-out", name + ".key")
    request = ["req", "-new", "-key", name + ".key", "-config", name + ".cnf", "-" + digest]
    if issuer:
        openssl(world, *request, "-out", name + ".csr")
        openssl(world, "x509", "-req", "-in", name + ".csr", *signed, "-CAcreateserial", "-days", "2", "-" + digest,
                "-extfile", name + ".cnf", "-extensions", "x", "-out", name + ".pem")
    else:
        openssl(world, *request, "-x509", "-days", "2", "-out", name + ".pem")
    os.chmod(world.path(name + ".key"), 0o600)


class SServer:
    """openssl s_server: what is written to it goes to the client, but for its one-letter commands."""

    def __init__(self, world, name, *args):
        self.port = free_port()
        self.log = world.path("s_server.%d.log" % self.port)
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:%d" % self.port, "-cert", name + ".pem", "-key", name + ".key", "-alpn", "h2",
             *args], cwd=world.dir, bufsize=0, stdin=subprocess.PIPE, stdout=open(self.log, "wb"), stderr=subprocess.STDOUT)
        wait_for("s_server to listen: " + self.text(), lambda: "ACCEPT" in self.text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.text()
        self.url = "https://127.0.0.1:%d" % self.port

    def text(self):
        return open(self.log, errors="replace").read()

    def say(self, data, go_on):
        """One line of its own: read before the next comes, unless go_on() ends."""
        left = array.array("i", [1])
        with contextlib.suppress(BrokenPipeError):
            os.write(self.process.stdin.fileno(), data)
            while left[0] and go_on() and self.process.poll() is None:
                fcntl.ioctl(self.process.stdin, termios.FIONREAD, left)

    def stop(self):
        self.process.kill()
        self.process.wait()


def mount_error(api, server, ca, timeout="1s", connect_timeout="500ms"):
    """What mounting the server says; it must not work."""
    began = time.monotonic()
    r = api.mount("/r%d" % server.port, "proxyfs", base_url=server.url, ca_file=ca, protocol="h2", connect_timeout=connect_timeout,
                  timeout=timeout, retries="1")
    assert r.status >= 400 and time.monotonic() - began < 10, r.body
    return r.json()


def refused(e):
    """By the handshake; one that cannot agree is tried again until the time is over, and then told as the last reason."""
    assert e["outcome"] == "NA" and (e["class"] in ("tls", "tls_verify") or "last: TLS handshake" in e["error"]), e


def start(world, wrapper=()):
    near = world.start("near", ["--mount", "memfs:/local"], wrapper=wrapper)
    authority(world, "root", ca=True)
    authority(world, "good", "root")
    return near, Api(near.clear)


def A026_weak_keys_and_old_protocols(world):
    near, api = start(world, ("env", "OPENSSL_CONF=/dev/null"))  # what a distribution sets there is not what protects
    authority(world, "rsa", "root", key=("RSA", "-pkeyopt", "rsa_keygen_bits:2048"))
    authority(world, "rsa1024", "root", key=("RSA", "-pkeyopt", "rsa_keygen_bits:1024"))
    authority(world, "sha1", "root", digest="sha1")
    level0 = ("-cipher", "ALL:@SECLEVEL=0")
    cases = [("good", ()), ("rsa", ()), ("rsa1024", level0), ("sha1", level0), ("good", ("-tls1_1", *level0)), ("good", ("-tls1", *level0))]
    for cipher in ("AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-NULL-SHA"):
        cases.append(("rsa", ("-tls1_2", "-cipher", cipher + ":@SECLEVEL=0")))
    servers = [SServer(world, name, *args) for name, args in cases]
    try:
        with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
            said = list(pool.map(lambda server: mount_error(api, server, world.path("root.pem")), servers))
    finally:
        for server in servers:
            server.stop()
    assert all(UP in e["error"] for e in said[:2]), said[:2]
    for e in said[2:]:
        refused(e)


def A034_renegotiation_and_key_updates(world):
    """Neither spins nor grows; the connection may go, the server stays."""
    near, api = start(world)
    # The first waits until its time is over; the others are over once there were too many.
    for args, commands, timeout in ((("-tls1_2",), [b"R\n"] * 3, "3s"), (("-tls1_3",), [b"k\n"] * 400, "8s"), (("-tls1_3",), [b"K\n"] * 400, "8s")):
        server = SServer(world, "good", *args)
        replies, mark = [], os.path.getsize(near.log_path)
        t = threading.Thread(target=lambda: replies.append(mount_error(api, server, world.path("root.pem"), timeout, timeout)))
        t.start()
        wait_for("the connection", lambda: "CIPHER" in server.text())
        server.say(SETTINGS, t.is_alive)
        before = near.status("VmRSS")
        for c in commands:
            server.say(c, t.is_alive)
        t.join()
        server.stop()
        assert replies and replies[0]["class"] in ("timeout", "conn_lost", "protocol", "tls", "conn"), replies
        assert near.status("VmRSS") - before < 8192 or SANITIZED
        log = open(near.log_path)  # where it was not up yet it is tried again, and the log tells
        log.seek(mark)
        ended = "key updates without end" in replies[0]["error"] + log.read()
        assert ended == (args == ("-tls1_3",)), (args, replies)
        assert api.read("/local/README").status == 200


def A035_A036_nothing_is_resumed_and_nothing_early(world):
    """The client does not resume a session though the server hands out tickets; ours hands out none and takes no early data."""
    near, api = start(world)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.path("good.pem"), world.path("good.key"))
    context.set_alpn_protocols(["h2"])
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.minimum_version = context.maximum_version = version
        listener, reused = socket.create_server(("127.0.0.1", 0)), []

        def serve():
            for _ in range(3):
                s = context.wrap_socket(listener.accept()[0], server_side=True)
                s.sendall(SETTINGS)
                s.recv(1000)
                reused.append(s.session_reused)
                s.close()

        t = threading.Thread(target=serve, daemon=True)
        t.start()
        server = type("Server", (), {"url": "https://127.0.0.1:%d" % listener.getsockname()[1], "port": version})
        while t.is_alive():
            mount_error(api, server, world.path("root.pem"))
        assert reused == [False] * 3, reused
    far = world.start("far", ["--mount", "memfs:/memfs"], tls=True, client_cert="none")
    for version in ("-tls1_2", "-tls1_3"):
        said = ""
        for extra in (["-sess_out", "session"], ["-sess_in", "session"]):
            if extra[0] == "-sess_in" and not os.path.exists(world.path("session")):
                continue  # no ticket was given: nothing to come back with
            p = subprocess.run(["openssl", "s_client", "-connect", far.tls[8:], "-alpn", "h2", version, *extra], cwd=world.dir,
                               input=b"", capture_output=True)
            said += p.stdout.decode(errors="replace")
        assert "CONNECTED" in said and "Reused" not in said and "Early data was accepted" not in said, said


def A037_chains_that_are_too_long(world):
    near, api = start(world)
    authority(world, "many", "root", san=",".join("IP:127.0.0.1" if i == 0 else "DNS:host%05d.example.com" % i for i in range(10000)))
    issuer, chain = "root", []
    for i in range(12):
        authority(world, "ca%d" % i, issuer, ca=True)
        issuer = "ca%d" % i
        chain.insert(0, open(world.path(issuer + ".pem")).read())
    authority(world, "deep", issuer)
    authority(world, "shallow", "ca3")
    with open(world.path("chain.pem"), "w") as f:
        f.write("".join(chain))
    for name, args, ok in (("shallow", ("-cert_chain", "chain.pem"), True), ("deep", ("-cert_chain", "chain.pem"), False), ("many", (), False)):
        server = SServer(world, name, *args)
        try:
            e = mount_error(api, server, world.path("root.pem"))
            if ok:
                assert UP in e["error"], e
            else:
                refused(e)
        finally:
            server.stop()


def A107_server_certificate_and_authority_change(world):
    """The server's certificate, then the CA, are replaced under load: nothing fails; who keeps the old CA is refused."""
    for name in ("one", "two"):
        authority(world, name, ca=True)
        authority(world, name + "-server", name)

    def install(name, ca):
        for source, target in ((name + ".pem", "server.pem"), (name + ".key", "server.key"), (ca, "ca.pem")):
            with open(os.open(world.pki(target) + ".new", os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
                f.write(open(world.path(source)).read())
            os.rename(world.pki(target) + ".new", world.pki(target))

    with open(world.path("both.pem"), "w") as f:
        f.write(open(world.path("one.pem")).read() + open(world.path("two.pem")).read())
    install("one-server", "one.pem")
    far = world.start("far", ["--mount", "memfs:/memfs"], tls=True, client_cert="none")
    near = world.start("near", world.mount_arg("/r", far.tls, ca_file=world.pki("ca.pem")))
    stale = world.start("stale", world.mount_arg("/r", far.tls, ca_file=world.path("one.pem")))
    api, old = Api(near.clear), Api(stale.clear)
    wait_for("the mounts", lambda: api.ready() and old.ready())
    failed, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            r = api.read("/r/memfs/README")
            if r.status != 200:
                failed.append(r.body)

    t = threading.Thread(target=load)
    t.start()
    try:
        for name, ca in (("one-server", "both.pem"), ("two-server", "both.pem"), ("two-server", "two.pem")):
            install(name, ca)
            far.process.send_signal(signal.SIGHUP)
            wait_for("the server to show it", lambda: shows(far, world.path(name + ".pem")))
            assert api.put("/r/reload", b"").status == 200
        assert old.read("/r/memfs/README").status == 200, "its connection was good, and is kept"
        assert old.put("/r/reload", b"").json()["class"] == "tls_verify"
    finally:
        stop.set()
        t.join()
    assert not failed, failed[:3]


def shows(server, file):
    """The server's certificate is the one in the file."""
    host, port = server.tls[8:].split(":")
    return ssl.get_server_certificate((host, int(port))).strip() == open(file).read().strip()


run([t for n, t in sorted(globals().items()) if n[0] == "A" and n[1:2].isdigit()], at_once=3)
