#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""The programs as commands: what they say before they serve anybody, what they exit with, what they do when they are
told to end.

usage: command_test.py BUILDDIR [TEST...]
"""
import http.client
import os
import re
import signal
import socket
import subprocess

from agfs_world import Api, SOURCE, free_port, run, wait_for


def redirected(how):
    """What begins a command whose descriptors are to be as the shell has them after `how`."""
    return ["sh", "-c", 'exec "$@" ' + how, "sh"]


def test_closed_descriptors(world):
    """What the server and the benchmark open is not taken for them."""
    for closed in ("", "<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        server = world.start("s", ["--mount", "memfs:/m"], wrapper=redirected(closed))
        for fd in (0, 1, 2):
            target = os.readlink("/proc/%d/fd/%d" % (server.process.pid, fd))
            assert target.startswith("/") or target.startswith("pipe:"), (closed, fd, target)
        assert Api(server.clear).put("/m/f", b"x").status == 200
        bench = subprocess.run(redirected(closed) + [os.path.join(world.build, "tools/bench/agfs-bench"),
                                                     server.clear + ",path=/m", "-n", "20"],
                               capture_output=True, text=True, timeout=60)
        assert bench.returncode == (1 if ">&-" in closed.replace("2>&-", "") else 0), (closed, bench)
        assert server.stop() == 0, (closed, open(server.log_path).read())


def agfsd(world, *words, how=""):
    return subprocess.run(redirected(how) + [os.path.abspath(world.agfsd), *words], capture_output=True, text=True,
                          timeout=60, cwd=world.dir)


def check(world, text, *words):
    """What --check-config says about a configuration: (exit code, messages)."""
    with open(world.path("agfsd.yaml"), "w") as f:
        f.write(text)
    p = agfsd(world, "-c", "agfsd.yaml", "--check-config", *words)
    assert p.stdout == "", p
    return p.returncode, p.stderr


def test_check_config_tries_each_driver(world):
    """What can never work is not approved; nothing is started, connected to or made on the way."""
    os.mkdir(world.path("data"))
    instance = "plugins: {%s: {enabled: true, path: /m, config: {%s}}}"
    for fstype, config in (("memfs", "max_bytes: 1048576"), ("kvfs", ""), ("streamfs", "ring_buffer_size: 1KB"),
                           ("queuefs", "backend: sqlite, db_path: q.db"), ("hellofs", ""), ("serverinfofs", ""),
                           ("devfs", ""), ("localfs", "local_dir: data"),
                           ("proxyfs", "base_url: 'http://127.0.0.1:1'"),
                           ("proxyfs", "base_url: 'http://127.0.0.1:1', lazy: false")):
        assert check(world, instance % (fstype, config)) == (0, ""), (fstype, config)
    for fstype, config, words in (
            ("ramfs", "", "unknown filesystem type: ramfs"),
            ("memfs", "size: 1", "unknown configuration parameter(s) 'size'"),
            ("memfs", "max_bytes: lots", "max_bytes"),
            ("queuefs", "backend: sqlite, db_path: none/q.db", "db_path: none/q.db: No such file or directory"),
            ("queuefs", "backend: redis", "unsupported backend: redis"),
            ("localfs", "", "local_dir is required"),
            ("localfs", "local_dir: none", "base path does not exist: none"),
            ("proxyfs", "", "base_url is required"),
            ("proxyfs", "base_url: 'http://127.0.0.1:1', timeout: soon", "invalid timeout 'soon'"),
            ("proxyfs", "base_url: 'https://127.0.0.1:1', ca_file: none.pem", "none.pem")):
        code, said = check(world, instance % (fstype, config))
        assert code == 2 and words in said and said.startswith("agfsd: /m (%s): " % fstype), (fstype, config, code, said)
    code, said = check(world, instance % ("memfs", ""), "--mount", "a:/a", "--mount", "b:/b", "--plugin", "none.so")
    assert code == 2 and said.count("\n") == 3 and "none.so" in said and "/a (a)" in said and "/b (b)" in said, said
    assert sorted(os.listdir(world.dir)) == ["agfsd.yaml", "data", "pki"]


def test_check_config_reads_all_of_the_file(world):
    good = "server: {address: ':0'}\nplugins: {memfs: {name: m, enabled: true, path: /m, config: {}}}\n"
    assert check(world, good) == (0, "")
    code, said = check(world, good.replace("config: {}", "max_bytes: 5"))
    assert (code, said) == (0, "agfsd: warn: configuration line 2: unknown key plugins.memfs.max_bytes is ignored\n")
    code, said = check(world, "server:\n  address: ':0'\n  loops: 1\n  address: ':1'\n")
    assert (code, said) == (2, "agfsd: agfsd.yaml: line 4: address: is given twice\n")
    tls = "server: {tls: {address: ':0', cert: pki/server.pem, key: pki/server.key, client_ca: pki/ca.pem, clients: [%s]}}"
    assert check(world, tls % "'dns:a', 'uri:b', 'email:c', 'cn:d'") == (0, "")
    for name in ("foo", "dns:", "DNS:a"):
        code, said = check(world, tls % ("'dns:a', '%s'" % name))
        assert code == 2 and "'%s' names nobody" % name in said and "dns:" in said, said


def test_a_mount_that_cannot_work_is_not_tried_for_ever(world):
    """It is said once, and again when SIGHUP asks for another try; what may come up by itself is tried meanwhile."""
    token, data = world.path("token"), world.path("data")
    open(token, "w").close()
    os.chmod(token, 0o600)
    nobody = "base_url=http://127.0.0.1:%d" % free_port()
    server = world.start("s", ["--mount", "proxyfs:/t:%s,lazy=true,token_file=%s" % (nobody, token),
                               "--mount", "proxyfs:/none:%s,lazy=true,token_file=%s.none" % (nobody, token),
                               "--mount", "localfs:/l:local_dir=" + data, "--mount", "proxyfs:/r:" + nobody])
    api = Api(server.clear)

    def said(words):
        return open(server.log_path).read().count(words)

    for mount in "/none (proxyfs)", "/l (localfs)", "/r (proxyfs)":
        wait_for("the second try", lambda: said("mount %s failed, will be tried again" % mount) >= 2)
    assert said("mount /t (proxyfs)") == said("it is not tried again before SIGHUP") == 1, open(server.log_path).read()
    health = api.get("ready")
    assert health.status == 503 and health.json()["mounts"]["failed"] >= 1
    with open(token, "w") as f:
        f.write("secret")
    os.mkdir(data)
    wait_for("the mount", lambda: said("mount /l (localfs) is up") == 1)
    assert said("mount /t (proxyfs)") == 1
    server.process.send_signal(signal.SIGHUP)
    wait_for("the mount", lambda: said("mount /t (proxyfs) is up") == 1)


def test_the_end_does_not_wait_for_live_streams(world):
    """Who follows a stream sees its end when the drain begins; who is in the middle of something may finish."""
    server = world.start("s", ["--mount", "streamfs:/s", "--mount", "memfs:/m"])
    api = Api(server.clear)
    assert api.put("/s/x", b"one").status == 200
    follower = http.client.HTTPConnection(server.clear[7:], timeout=60)
    follower.request("GET", "/api/v1/files?path=/s/x&stream=true")
    stream = follower.getresponse()
    assert stream.status == 200 and stream.read1() == b"one"
    host, port = server.clear[7:].split(":")
    with socket.create_connection((host, port), timeout=60) as upload:
        upload.sendall(b"PUT /api/v1/files?path=/m/f HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n"
                       b"Expect: 100-continue\r\n\r\n")
        assert upload.recv(1000).startswith(b"HTTP/1.1 100 ")  # the server is at it
        server.process.send_signal(signal.SIGTERM)
        assert stream.read() == b"", "an end, not a cut"
        upload.sendall(b"abcdef")
        reply = b"".join(iter(lambda: upload.recv(1000), b""))
        assert reply.startswith(b"HTTP/1.1 200 ") and b"Written 6 bytes" in reply, reply
    assert server.process.wait(60) == 0 and "cut" not in open(server.log_path).read()


def test_output_that_is_lost(world):
    """Who asked for a text and did not get it is told."""
    for words in (["--help"], ["--version"], ["--print-config", "--check-config"]):
        assert agfsd(world, *words).returncode == 0, words
        for how, told in ((">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
            p = agfsd(world, *words, how=how)
            assert p.returncode == 1 and p.stderr == "agfsd: standard output: %s\n" % told, (words, how, p)


def test_what_the_readmes_in_the_tree_say_works(world):
    types = ("memfs", "kvfs", "queuefs", "streamfs", "serverinfofs")
    server = world.start("s", [w for t in types for w in ("--mount", "%s:/%s" % (t, t))])
    commands = 0
    for fstype in types:
        for line in Api(server.clear).read("/%s/README" % fstype).body.decode().splitlines():
            words = re.split("  +", line.strip())[0]  # what it does stands after it
            if not re.match("  (agfs|mkdir|echo|cat|ls|rm) ", line):
                continue
            agfs = [os.path.abspath(world.agfs), "--server", server.clear]
            for_sh = ["sh", "-c", '%s --server %s %s' % (*agfs[::2], words[5:])]
            p = subprocess.run(for_sh if words.startswith("agfs ") else agfs + ["-c", words],
                               capture_output=True, text=True, timeout=60)
            assert p.returncode == 0, (fstype, words, p)
            commands += 1
            if "dequeue" in words:
                assert '"data":"hello"' in p.stdout, p
    assert commands >= 10, commands


def test_the_manual_has_all_types_and_options(world):
    with open(os.path.join(SOURCE, "tools/agfsd/agfsd.8")) as f:
        manual = f.read().split(".Sh FILE SYSTEMS")[1].split("\n.Sh ")[0]
    api = Api(world.start("s", []).clear)
    types = [p["name"] for p in api.get("plugins").json()["plugins"]]
    assert len(types) >= 9
    for fstype in types:
        part = manual.split(".It Ic %s\n" % fstype)[1].split("\n.It Ic ")[0]
        said = api.mount("/m", fstype, no_such_option=1).error
        if fstype != "proxyfs":  # README.md has its options, and a test for them
            allowed = set(re.findall("'([a-z_]+)'", said.split("allowed parameters are")[1])) - {"mount_path"}
            assert allowed == set(re.findall(r"^\.It Va ([a-z_]+)", part, re.M)), (fstype, allowed, part)
    said = api.mount("/m", "sqlfs").error
    assert said == "unknown filesystem type: sqlfs; there are " + ", ".join(types), said
    library = os.path.join(world.build, "tests/unit/agfsd/good.so")
    assert api.post("plugins/load", {"library_path": os.path.abspath(library)}).status == 200
    assert api.mount("/m", "sqlfs").error.endswith(", good")
    assert api.mount("/m", "memfs", max_bytes="2MiB").status == 200, "sizes are written as elsewhere"
    assert "max_bytes" in api.mount("/n", "memfs", max_bytes="1").error


if __name__ == "__main__":
    run([test_closed_descriptors, test_check_config_tries_each_driver, test_check_config_reads_all_of_the_file,
         test_a_mount_that_cannot_work_is_not_tried_for_ever, test_the_end_does_not_wait_for_live_streams,
         test_output_that_is_lost, test_what_the_readmes_in_the_tree_say_works,
         test_the_manual_has_all_types_and_options], at_once=3)
