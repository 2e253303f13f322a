#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""The HTTP API of agfsd, endpoint by endpoint, over HTTP/1.1 and HTTP/2; configuration and life.

usage: api_test.py BUILDDIR [TEST...]
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.parse
import urllib.request

from agfs_world import Api, Reply, run, wait_for


class Curl(Api):
    """The same calls by curl, with its protocol flags."""

    def __init__(self, base, *flags):
        super().__init__(base)
        self.flags = flags

    def call(self, method, what, data=None, timeout=30, headers=(), **query):
        url = self.base + what + ("?" + urllib.parse.urlencode(query) if query else "")
        command = ["curl", "-sS", "-m", str(timeout), *self.flags, "-X", method, "-D", "-", "-o", "-", url]
        for h in headers:
            command += ["-H", h]
        if data is not None:
            command += ["--data-binary", "@-", "-H", "Expect:"]
        out = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout
        head, body = out.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        fields = dict(l.lower().split(": ", 1) for l in lines[1:] if ": " in l)
        return Reply(int(lines[0].split()[1]), body, fields)


def start(world, *args):
    server = world.start("server", ["--mount", "memfs:/memfs", "--mount", "memfs:/a/b/c",
                                    "--mount", "localfs:/local:local_dir=" + world.path("local"), *args])
    wait_for("the mounts", Api(server.clear).ready)
    return server


def both(world, *args):
    """The server's API over each protocol."""
    os.makedirs(world.path("local"), exist_ok=True)
    server = start(world, *args)
    return [Curl(server.clear, "--http1.1"), Curl(server.clear, "--http2-prior-knowledge")]


def expect(reply, wanted, /, **members):
    assert reply.status == wanted, "%d: %s" % (reply.status, reply.body[:300])
    for key, value in members.items():
        assert reply.json()[key] == value, "%s: %s" % (key, reply.body[:300])
    return reply


def expect_error(reply, status, cls, words):
    expect(reply, status, **{"class": cls})
    assert words in reply.error, reply.body
    assert reply.headers["content-type"] == "application/json"
    assert "agfs-boot" in reply.headers and re.fullmatch(r"c\d+-\d+", reply.headers["x-request-id"])
    return reply


def test_files(world):
    for api in both(world):
        for top in "/memfs", "/local":
            f = top + "/f"
            expect(api.post("files", path=f), 201, message="file created")
            expect_error(api.post("files", path=f), 409, "exists", "already exists")
            expect(api.put(f, b"hello"), 200, message="Written 5 bytes")
            expect(api.put(f, b"XX", offset=3), 200)
            expect(api.put(f, b"++", flags=1), 200)
            assert api.read(f).body == b"helXX++"
            assert api.read(f, offset=1, size=2).body == b"el"
            assert api.read(f, offset=-5, size=-1).body == b"helXX++"
            assert api.read(f, offset=99).body == b""
            assert api.read(f, stream="true").body == b"helXX++"
            expect_error(api.put(f, b"", flags=99), 400, "badarg", "invalid flags")
            expect_error(api.put(f, b"", flags=4), 409, "exists", "already exists")
            expect_error(api.read(f, offset="x"), 400, "badarg", "invalid offset parameter")
            expect(api.call("POST", "write", b'{"data":"\\u00e9"}', path=f,
                            headers=["Content-Type: application/json"]), 200, message="Written 2 bytes")
            expect(api.call("PUT", "files", b"\x00{", path=f, headers=["Content-Type: application/json"]), 200)
            assert api.read(f).body == b"\x00{"
            expect_error(api.read(top + "/none"), 404, "notfound", "no such file or directory: /none")
            expect_error(api.read(top), 400, "badarg", "is a directory")
            expect_error(api.read("/nowhere/f"), 404, "notfound", "not found")
            expect_error(api.get("files"), 400, "badarg", "path parameter is required")
            expect_error(api.read("/a\0b"), 400, "badarg", "NUL")
            expect(api.call("DELETE", "files", path=f), 200, message="deleted")
            big = os.urandom(3 << 20)
            expect(api.put(f, big), 200, message="Written %d bytes" % len(big))
            assert api.read(f).body == big
            expect(api.call("DELETE", "files", path=f), 200)


def test_parts_of_files(world):
    data = bytes(range(256)) * 40
    for api in both(world, "--mount", "queuefs:/q"):
        expect(api.put("/local/f", data), 200)
        ask = lambda path, r, **q: api.call("GET", "files", headers=("Range: " + r,), path=path, **q)
        wait_for("its time of change to be past", lambda: ask("/local/f", "bytes=0-9").status == 206)
        tag = ask("/local/f", "bytes=0-9").headers["etag"]
        for r, first, end in (("bytes=0-0", 0, 1), ("bytes=10-4999", 10, 5000), ("bytes=10200-99999", 10200, 10240), ("bytes=10239-", 10239, 10240)):
            reply = expect(ask("/local/f", r), 206)
            assert reply.body == data[first:end], r
            assert reply.headers["content-range"] == "bytes %d-%d/10240" % (first, end - 1), reply.headers
            assert reply.headers["etag"] == tag and tag[0] == tag[-1] == '"', reply.headers
        expect(ask("/local/f", "bytes=10240-"), 416, **{"class": "badarg"})
        # RFC 9110 13.1.5: a part of what the client has the rest of, else all of it
        given = lambda r, tag: api.call("GET", "files", headers=("Range: " + r, "If-Range: " + tag), path="/local/f")
        assert expect(given("bytes=10-19", tag), 206).body == data[10:20]
        for other in ('"another"', "W/" + tag, tag[:-1], tag[:-2] + '"', "Mon, 30 Nov 2026 06:00:00 GMT"):
            for r in ("bytes=10-19", "bytes=10240-"):
                reply = expect(given(r, other), 200)
                assert reply.body == data and "content-range" not in reply.headers, other
        for r in ("bytes=-5", "bytes=5-4", "bytes=0-1,3-4", "items=0-1", "bytes=x-1", "bytes=1", "bytes=1-99999999999999999999"):
            assert expect(ask("/local/f", r), 200).body == data, r  # HTTP: what is not understood is ignored
        assert expect(ask("/local/f", "bytes=0-1", offset=5, size=3), 200).body == data[5:8]  # the stock way comes first
        # Content that was changed just now has no version, if we are quick enough to see that.
        young = lambda: expect(api.put("/local/f", data[1:]), 200) and ask("/local/f", "bytes=0-9")
        assert wait_for("young content", lambda: (r := young()).status == 200 and r).body == data[1:]
        wait_for("the new version", lambda: ask("/local/f", "bytes=0-9").headers.get("etag", tag) != tag)
        expect(api.put("/local/f", b""), 200)
        wait_for("the time", lambda: expect(ask("/local/f", "bytes=0-9"), 200).body == b"")
        expect(api.put("/memfs/f", data), 200)
        assert expect(ask("/memfs/f", "bytes=5-9"), 200).body == data  # a driver without versions
        expect(api.post("directories", path="/q/q"), 201)
        expect(api.put("/q/q/enqueue", b"a message"), 200)
        assert json.loads(expect(ask("/q/q/dequeue", "bytes=2-3"), 200).body)["data"] == "a message"
        expect(api.call("DELETE", "files", path="/q/q", recursive="true"), 200)


def test_directories_and_meta(world):
    for api in both(world):
        assert [e["name"] for e in api.get("directories").json()["files"]] == ["a", "dev", "local", "memfs"]
        assert [e["name"] for e in api.get("list", path="/a").json()["files"]] == ["b"]
        expect(api.get("stat", path="/a/b"), 200, name="b", isDir=True)
        for top in "/memfs", "/local":
            expect(api.post("directories", path=top + "/d", mode="700"), 201, message="directory created")
            expect(api.get("directories", path=top + "/d"), 200, files=None)
            expect_error(api.post("mkdir", path=top + "/d"), 409, "exists", "already exists")
            expect_error(api.post("mkdir", path=top + "/e", mode="789"), 400, "badarg", "invalid mode")
            expect(api.post("touch", path=top + "/d/f"), 200, message="touched")
            expect(api.post("touch", path=top + "/d/f"), 200)
            expect(api.post("truncate", path=top + "/d/f", size=3), 200, message="truncated")
            expect_error(api.post("truncate", path=top + "/d/f", size=-1), 400, "badarg", "non-negative")
            expect(api.post("chmod", {"mode": 0o600}, path=top + "/d/f"), 200)
            info = expect(api.get("stat", path=top + "/d/f"), 200, name="f", size=3, mode=0o600, isDir=False)
            assert set(info.json()["meta"]) == {"Name", "Type", "Content"}
            expect_error(api.call("DELETE", "files", path=top + "/d"), 409, "exists", "not empty")
            expect(api.post("rename", {"NEWPATH": top + "/d/g"}, path=top + "/d/f"), 200, message="renamed")
            expect_error(api.post("rename", {}, path=top + "/d/g"), 400, "badarg", "newPath is required")
            expect_error(api.post("rename", {"newPath": "/a/b/c/x"}, path=top + "/d/g"), 400, "badarg",
                         "across different mounts")
            expect_error(api.call("POST", "rename", b"{", path=top + "/d/g"), 400, "badarg", "invalid request body")
            expect(api.post("symlink", {"target": "d"}, path=top + "/ln"), 201, message="symlink created")
            expect(api.get("readlink", path=top + "/ln"), 200, target="d")
            expect(api.get("stat", path=top + "/ln/g"), 200, size=3)
            expect(api.call("DELETE", "files", path=top + "/ln"), 200)
            expect(api.call("DELETE", "directories", path=top + "/d", recursive="true"), 200)
            expect_error(api.call("DELETE", "files", path=top + "/d"), 404, "notfound", "no such file")


def test_search(world):
    for api in both(world):
        api.put("/local/f", b"one\ntwo\r\nthree\n")
        r = api.post("grep", {"path": "/local", "pattern": "^T", "recursive": True, "case_insensitive": True})
        expect(r, 200, count=2, matches=[{"file": "/local/f", "line": 2, "content": "two"},
                                         {"file": "/local/f", "line": 3, "content": "three"}])
        expect(api.post("grep", {"path": "/local/f", "pattern": "four"}), 200, matches=None, count=0)
        r = api.post("grep", {"path": "/local/f", "pattern": "t", "stream": True})
        assert [json.loads(l) for l in r.body.splitlines()][-1] == {"count": 2, "type": "summary"}
        assert r.headers["content-type"] == "application/x-ndjson"
        expect_error(api.post("grep", {"path": "/local", "pattern": "x"}), 400, "badarg", "recursive=true")
        r = api.post("grep", {"path": "/local", "pattern": "x", "stream": True})
        assert (r.status, r.json()) == (200, {"error": "path is a directory, use recursive=true to search"}), r.body
        expect_error(api.post("grep", {"path": "/local/f"}), 400, "badarg", "pattern is required")
        expect_error(api.post("grep", {"path": "/local/f", "pattern": "["}), 400, "badarg", "invalid regex pattern")
        api.put("/memfs/abc", b"abc")
        expect(api.post("digest", {"path": "/memfs/abc", "algorithm": "md5"}), 200,
               digest="900150983cd24fb0d6963f7d28e17f72", path="/memfs/abc", algorithm="md5")
        expect(api.post("digest", {"path": "/memfs/abc", "algorithm": "xxh3"}), 200, digest="78af5f94892f3950")
        expect_error(api.post("digest", {"path": "/x", "algorithm": "sha1"}), 400, "badarg", "unsupported algorithm: sha1")
        expect_error(api.call("POST", "digest", b""), 400, "badarg", "invalid request body: EOF")


def test_handles(world):
    for api in both(world):
        for top in "/memfs", "/local":
            r = expect(api.post("handles/open", path=top + "/h", flags=2 + 16, lease=5), 200, lease=5, flags=18)
            n = r.json()["handle_id"]
            assert r.json()["id"] == n
            expect(api.call("PUT", "handles/%d/write" % n, b"abcdef"), 200, bytes_written=6)
            expect(api.call("PUT", "handles/%d/write" % n, b"X", offset=1), 200)
            expect(api.post("handles/%d/seek" % n, offset=2), 200, position=2, offset=2)
            r = api.get("handles/%d/read" % n, size=2)
            assert r.body == b"cd" and r.headers["x-bytes-read"] == "2"
            assert api.get("handles/%d/stream" % n).body == b"ef"
            expect(api.post("handles/%d/sync" % n), 200, message="synced")
            expect(api.post("handles/%d/truncate" % n, size=1), 200)
            expect(api.get("handles/%d/stat" % n), 200, size=1)
            expect(api.post("handles/%d/renew" % n, lease=9), 200, lease=9)
            expect(api.get("handles/%d/" % n), 200, lease=9, path=top + "/h")
            assert n in [h["id"] for h in api.get("handles").json()["handles"]]
            expect_error(api.get("handles/%d/read" % n, offset=-3), 400, "badarg", "invalid offset")
            expect_error(api.get("handles/%d/seek" % n), 405, "unsupported", "method not allowed")
            expect_error(api.post("handles/%d/nonsense" % n), 404, "unsupported", "unknown operation: nonsense")
            expect(api.call("DELETE", "handles/%d" % n), 200, message="handle closed")
            expect_error(api.get("handles/%d" % n), 404, "notfound", "not found")
            expect(api.call("DELETE", "files", path=top + "/h"), 200)
        expect_error(api.get("handles/abc"), 400, "badarg", "must be a number")
        expect_error(api.post("handles/open", path="/dev/null"), 501, "unsupported", "not supported")
        n = api.post("handles/open", path="/memfs/README", lease=1).json()["id"]
        wait_for("the lease to end", lambda: n not in [h["id"] for h in api.get("handles").json()["handles"]])


def test_mounts_and_system(world):
    for api in both(world):
        expect(api.get("health"), 200, status="healthy", mounts={"total": 4, "pending": 0, "mounted": 4, "failed": 0})
        assert "offset" in api.get("capabilities").json()["features"]
        expect(api.mount("/m2/", "memfs"), 200, message="plugin mounted")
        expect_error(api.mount("/m2", "memfs"), 409, "exists", "mount already exists: /m2")
        expect_error(api.mount("/m3", "nofs"), 400, "config", "unknown filesystem type: nofs")
        expect_error(api.mount("/m3", "memfs", foo=1), 400, "config", "unknown configuration parameter(s) 'foo'")
        expect_error(api.mount("/m3", "localfs", local_dir="/no/such"), 400, "config", "base path does not exist")
        assert {"path": "/m2", "pluginName": "memfs", "status": "mounted"} in api.get("mounts").json()["mounts"]
        expect(api.unmount("/m2"), 200, message="plugin unmounted")
        expect_error(api.unmount("/m2"), 404, "notfound", "no mount at path: /m2")
        expect_error(api.post("plugins/load", {"library_path": "/no.so"}), 404, "notfound", "not found")
        expect_error(api.post("plugins/load", {}), 400, "badarg", "library_path is required")
        assert "memfs" in [p["name"] for p in api.get("plugins").json()["plugins"]]
        expect_error(api.call("DELETE", "stat"), 405, "unsupported", "method not allowed")
        expect_error(api.get("nonsense"), 404, "unsupported", "404 page not found")
        expect_error(api.get("stat/", path="/"), 404, "unsupported", "404 page not found")
        expect_error(api.call("GET", "stat", path="/", headers=["agfs-hops: 9"]), 508, "invalid", "loop")
        assert api.get("health").headers["agfs-boot"] == api.get("version").headers["agfs-boot"]


def test_a_cut_upload_leaves_the_old_content(world):
    api = both(world)[0]
    host, port = api.base.split("/")[2].split(":")
    for f in "/local/f", "/memfs/f":
        for length in 1000, 2 << 20:  # collected; streamed
            expect(api.put(f, b"old"), 200)
            with socket.create_connection((host, int(port))) as s:
                s.sendall(b"PUT /api/v1/files?path=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\npart"
                          % (f.encode(), length))
                s.shutdown(socket.SHUT_WR)
                s.recv(65536)
            assert api.read(f).body == b"old"
    assert os.listdir(world.path("local")) == ["f"]


def test_limits(world):
    config = world.path("c.yaml")
    with open(config, "w") as f:
        f.write("server:\n  max_request_body_bytes: 1000\n  admin: false\n")
    for api in both(world, "-c", config):
        expect(api.put("/memfs/f", b"x" * 1000), 200)
        r = api.put("/memfs/f", b"y" * 1001)
        assert r.status == 413 and r.error == "request body exceeds maximum size of 1000 bytes", r.body
        assert api.read("/memfs/f").body == b"x" * 1000
        # Nor is it more where a body is passed on piece by piece; without the limit it may be.
        r = api.put("/local/f", b"y" * 3000000)
        assert r.status == 413 and r.error == "request body exceeds maximum size of 1000 bytes", r.body
        assert r.json()["outcome"] == "NA" and api.get("stat", path="/local/f").status == 404
        expect_error(api.mount("/m2", "memfs"), 403, "denied", "administration is switched off")


def test_D22_metrics(world):
    """GET /metrics: well-formed, each request counted once, no path in it, every limit there."""
    os.makedirs(world.path("local"), exist_ok=True)
    with open(world.path("local/f"), "wb") as f:
        f.write(b"content")
    server = start(world)
    api = Api(server.clear)
    part = lambda r: Curl(server.clear).call("GET", "files", headers=("Range: bytes=" + r,), path="/local/f").status
    wait_for("its time of change to be past", lambda: part("0-1") == 206)

    def metrics():
        with urllib.request.urlopen(server.clear + "/metrics", timeout=20) as r:
            assert r.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            text = r.read().decode()
        names = re.findall(r"^# TYPE (agfs_[a-z0-9_]+) (?:counter|gauge|histogram)$", text, re.M)
        assert len(set(names)) == len(names) == text.count("# HELP"), names
        values = {}
        for line in text.splitlines():
            m = re.fullmatch(r'(agfs_[a-z_]+)(\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? ([0-9.]+)', line)
            assert m or line.startswith("# "), line
            if m:
                assert re.sub("_(bucket|sum|count)$", "", m[1]) in names or m[1] in names, line
                values[m[1] + (m[2] or "")] = float(m[3])
        assert "/memfs" not in text and "127.0.0.1" not in text
        return values

    before = metrics()
    for _ in range(5):
        assert api.put("/memfs/secret-name", b"x").status == 200
    assert api.get("stat", path="/memfs/none").status == 404 and api.post("rename").status == 400
    assert part("0-1") == 206 and part("7-") == 416
    count = lambda op, code: 'agfs_requests_total{op="%s",code="%d"}' % (op, code)
    took = 'agfs_request_duration_seconds_count{op="write"}'
    wanted = {count("write", 200): 5, took: 5, count("stat", 404): 1, count("other", 400): 1, count("openread", 206): 1,
              count("openread", 416): 1}
    grown = lambda now: {name: now.get(name, 0) - before.get(name, 0) for name in wanted}
    wait_for("each to be counted, which follows the reply", lambda: sum(grown(metrics()).values()) >= sum(wanted.values()))
    after = metrics()
    assert grown(after) == wanted
    below = [v for k, v in after.items() if k.startswith('agfs_request_duration_seconds_bucket{op="write"')]
    assert below == sorted(below) and below[-1] == after[took] == 5, below
    assert after["agfs_connections"] >= 1 and after['agfs_mounts{state="mounted"}'] == 4
    wait_for("the bodies to be given back", lambda: metrics()["agfs_body_memory_bytes"] == 0)  # after the reply
    limits = api.get("limits").json()
    assert {'agfs_limit_hits_total{limit="%s"}' % n for n in limits["hit"]} <= set(after)
    assert api.get("metrics").status == 404, "not below /api/v1"


def test_own_files_are_there_from_the_start(world):
    """Who learns the address need not wait for files of the server itself; a remote that is down holds nothing up."""
    mounts = [arg for n in range(100) for arg in ("--mount", "memfs:/m%d" % n)]
    server = world.start("server", world.mount_arg("/down", "http://127.0.0.1:1/api/v1") + mounts)
    assert [Api(server.clear).put("/m%d/f" % n, b"x").status for n in (99, 50, 0)] == [200] * 3
    told = open(server.log_path).read().partition("listening on")[0]
    assert told.count("(memfs) is up") == 100, told
    assert Api(server.clear).get("ready").status == 503


def test_own_files_do_not_wait_for_remotes_that_say_nothing(world):
    """More of them than are tried at once, and before the server's own in the configuration."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        remotes = [arg for n in range(12)
                   for arg in world.mount_arg("/r%d" % n, "http://127.0.0.1:%d/api/v1" % mute.getsockname()[1])]
        server = world.start("server", remotes + ["--mount", "memfs:/m"])
        told = open(server.log_path).read().partition("listening on")[0]
        assert "(memfs) is up" in told, told
        assert Api(server.clear).put("/m/f", b"x").status == 200


def test_a_failed_mount_is_tried_again(world):
    server = world.start("server", ["--mount", "localfs:/late:local_dir=" + world.path("late"),
                                    "--mount", "memfs:/memfs"])
    api = Api(server.clear)
    state = lambda: {m["path"]: m["status"] for m in api.get("mounts").json()["mounts"]}
    wait_for("the failure", lambda: state().get("/late") == "failed" and state()["/memfs"] == "mounted")
    assert expect(api.get("ready"), 503).json()["mounts"]["failed"] == 1
    expect(api.get("health"), 200, status="degraded", degraded=True)
    expect_error(api.read("/late/f"), 503, "busy", "not up")
    expect(api.put("/memfs/f", b"x"), 200)
    os.mkdir(world.path("late"))
    wait_for("the mount", api.ready)
    expect(api.put("/late/f", b"x"), 200)


def agfsd(world, *args):
    return subprocess.run([world.agfsd, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)


def test_exit_codes_and_messages(world):
    os.makedirs(world.path("local"))
    server = start(world)
    r = agfsd(world, "-addr", server.clear[len("http://"):])
    assert r.returncode == 1 and "cannot listen at" in r.stderr, r.stderr
    config = world.path("c.yaml")
    with open(config, "w") as f:
        f.write("server:\n  tls:\n    adress: x\n")
    r = agfsd(world, "-c", config)
    assert r.returncode == 2 and config in r.stderr and "line 3: tls.adress: unknown key" in r.stderr, r.stderr
    r = agfsd(world, "--tls-addr", ":0", "--tls-cert", "/no.pem", "--tls-key", "/no.key")
    assert r.returncode == 2 and "/no." in r.stderr and "TLS at :0" in r.stderr, r.stderr
    r = agfsd(world, "--tls-addr", ":0", "--tls-cert", "/no.pem", "--tls-key", "/no.key", "--check-config")
    assert r.returncode == 2 and "/no." in r.stderr, r.stderr
    locked = world.path("locked.key")
    subprocess.run(["openssl", "pkey", "-in", world.pki("server.key"), "-out", locked, "-aes128", "-passout", "pass:password"], check=True)
    r = agfsd(world, "--tls-addr", ":0", "--tls-cert", world.pki("server.pem"), "--tls-key", locked)
    assert r.returncode == 2 and "tls key '%s' is encrypted" % locked in r.stderr, r.stderr
    assert agfsd(world, "--mount", "memfs:/m", "--check-config").returncode == 0
    assert agfsd(world, "--version").returncode == 0
    r = agfsd(world, "--mount", "memfs:/m", "--print-config")
    assert json.loads(r.stdout)["plugins"]["memfs"][0]["path"] == "/m"
    assert server.stop() == 0


def test_certificates_are_read_again(world):
    for name in "server.pem", "server.key":
        shutil.copy(world.pki(name), world.path(name))
    server = world.start("server", ["--tls-addr", "127.0.0.1:0", "--tls-cert", world.path("server.pem"),
                                    "--tls-key", world.path("server.key")])
    api = Curl(server.tls, "--http2", "--cacert", world.pki("ca.pem"))
    log = lambda words: lambda: words in open(server.log_path).read()
    expect(api.get("health"), 200)
    with open(world.path("server.pem"), "w") as f:
        f.write("nonsense")
    server.process.send_signal(signal.SIGHUP)
    wait_for("the refusal", log("the old certificates stay in use"))
    expect(api.get("health"), 200)
    shutil.copy(world.pki("server.pem"), world.path("server.pem"))
    server.process.send_signal(signal.SIGHUP)
    wait_for("the new certificates", log("use the certificates read now"))
    expect(api.get("health"), 200)
    assert server.stop() == 0


run([test_files, test_parts_of_files, test_directories_and_meta, test_search, test_handles, test_mounts_and_system,
     test_a_cut_upload_leaves_the_old_content, test_limits, test_D22_metrics, test_own_files_are_there_from_the_start,
     test_own_files_do_not_wait_for_remotes_that_say_nothing,
     test_a_failed_mount_is_tried_again,
     test_exit_codes_and_messages, test_certificates_are_read_again])
