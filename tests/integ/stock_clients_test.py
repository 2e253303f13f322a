#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""The stock clients under our server: their requests as they send them, and the members that they read.

usage: stock_clients_test.py BUILDDIR [TEST...]
The Go SDK (also ProxyFS's and agfs-fuse's), pyagfs (also agfs-shell's), each directly and through a proxied mount.
"""
import http.client
import json
import socket
import sys
import urllib.parse

try:
    import requests
except ImportError as e:
    print("1..0 # SKIP %s: Debian's python3-requests is needed" % e)
    sys.exit(0)

from agfs_world import Api, run, wait_for

O_WRONLY, O_RDWR, O_APPEND, O_CREATE, O_TRUNC = 1, 2, 8, 16, 64  # the server's and pyagfs's


def trees(world):
    """(host:port, prefix): a server with all backends, and another one that mounts it."""
    import os
    os.makedirs(world.path("host"), exist_ok=True)
    args = ["--mount", "localfs:/local:local_dir=" + world.path("host")]
    for mount in ("memfs:/memfs", "kvfs:/kv", "queuefs:/queue", "streamfs:/streams", "serverinfofs:/info"):
        args += ["--mount", mount]
    far = world.start("far", args, tls=True)
    near = world.start("near", world.mount_arg("/r", far.tls, **world.mtls()))
    wait_for("the mounts", lambda: Api(far.clear).ready() and Api(near.clear).ready())
    return [(far.clear[7:], ""), (near.clear[7:], "/r")]


class GoSdk:
    """net/http's header fields, url.Values' spelling: keys sorted, a space as +, a slash as %2F."""

    def __init__(self, address):
        self.http = http.client.HTTPConnection(address, timeout=30)

    def send(self, method, what, body=None, content_type=None, **query):
        target = "/api/v1" + what
        if query:
            target += "?" + urllib.parse.urlencode(sorted(query.items()))
        self.http.putrequest(method, target, skip_accept_encoding=True)
        self.http.putheader("User-Agent", "Go-http-client/1.1")
        if content_type:
            self.http.putheader("Content-Type", content_type)
        if body is not None or method in ("POST", "PUT"):
            self.http.putheader("Content-Length", str(len(body or b"")))
        self.http.putheader("Accept-Encoding", "gzip")
        self.http.endheaders(body)
        r = self.http.getresponse()
        assert r.getheader("Content-Encoding") is None
        return r.status, r.read()

    def json(self, method, what, value=None, **query):
        body = None if value is None else (json.dumps(value, separators=(",", ":")) + "\n").encode()
        status, answer = self.send(method, what, body, "application/json" if body else None, **query)
        return status, json.loads(answer)


def go_refused(answer, status, *words):
    """What its handleErrorResponse needs: an object with a text in "error"."""
    got, body = answer
    value = body if isinstance(body, dict) else json.loads(body)
    assert got == status and any(w in value["error"] for w in words), (got, value)


def test_go_sdk(world):
    for address, p in trees(world):
        c, f = GoSdk(address), p + "/memfs/go sdk/a+b"
        assert c.json("GET", "/health")[0] == 200
        status, capabilities = c.json("GET", "/capabilities")
        assert status == 200 and isinstance(capabilities["version"], str), capabilities
        assert {"handlefs", "grep", "digest", "stream", "touch"} <= set(capabilities["features"]), capabilities
        assert c.send("POST", "/directories", mode="755", path=p + "/memfs/go sdk")[0] == 201
        assert c.send("POST", "/files", path=f)[0] == 201
        status, body = c.send("PUT", "/files", b'{"raw": \x00\xff', "application/json", path=f)
        assert (status, body) == (200, b'{"message":"Written 10 bytes"}\n'), body
        assert c.send("GET", "/files", path=f) == (200, b'{"raw": \x00\xff')
        assert c.send("GET", "/files", offset=2, path=f, size=3) == (200, b"raw")
        status, info = c.json("GET", "/stat", path=f)
        assert status == 200 and {k: type(info[k]) for k in ("name", "size", "mode", "modTime", "isDir", "meta")} == {
            "name": str, "size": int, "mode": int, "modTime": str, "isDir": bool, "meta": dict}, info
        status, listing = c.json("GET", "/directories", path=p + "/memfs/go sdk")
        assert [e["name"] for e in listing["files"]] == ["a+b"], listing
        assert c.json("POST", "/chmod", {"mode": 0o600}, path=f)[0] == 200
        assert c.json("GET", "/stat", path=f)[1]["mode"] == 0o600
        assert c.send("POST", "/truncate", path=f, size=1)[0] == 200
        assert c.json("POST", "/rename", {"newPath": f + "2"}, path=f)[0] == 200
        status, found = c.json("POST", "/grep", {"path": f + "2", "pattern": "{", "recursive": False, "case_insensitive": False,
                                                 "stream": False, "limit": 0})
        assert status in (200, 400), found  # "{" alone is a literal for RE2
        status, digest = c.json("POST", "/digest", {"algorithm": "xxh3", "path": f + "2"})
        assert status == 200 and digest["algorithm"] == "xxh3" and len(digest["digest"]) == 16, digest
        assert c.json("POST", "/symlink", {"target": "a+b2"}, path=p + "/memfs/go sdk/l")[0] == 201
        assert c.json("GET", "/readlink", path=p + "/memfs/go sdk/l") == (200, {"target": "a+b2"})
        assert c.send("DELETE", "/files", path=p + "/memfs/go sdk/l", recursive="false")[0] == 200
        go_refused(c.send("DELETE", "/files", path=p + "/memfs/go sdk", recursive="false"), 409, "not empty")
        assert c.send("DELETE", "/files", path=p + "/memfs/go sdk", recursive="true")[0] == 200
        go_refused(c.json("GET", "/stat", path=f), 404, "no such file or directory", "not found")
        go_refused(c.json("GET", "/nothing"), 404, "not found")


def test_go_sdk_write_is_not_repeated_for_what_cannot_succeed(world):
    """It repeats a write for 7 s on any 5xx: a missing parent, a directory, a read-only file are 4xx."""
    for address, p in trees(world):
        c = GoSdk(address)
        for path, status in (("/memfs/no/f", 404), ("/memfs", 400), ("/info/version", 403), ("/kv/elsewhere", 400), ("/nowhere/f", 404)):
            got, body = c.send("PUT", "/files", b"x", "application/json", path=p + path)
            assert 400 <= got < 500 and json.loads(body)["error"], (path, got, body)


def test_go_sdk_handles(world):
    for address, p in trees(world):
        c, f = GoSdk(address), p + "/memfs/handle"
        go_refused(c.json("POST", "/handles/open", flags=0, mode="644", path=p + "/kv/keys/x"), 501, "not supported")
        assert c.send("POST", "/files", path=f)[0] == 201
        # OpenFlagReadWrite|OpenFlagCreate as the SDK spells them: the server reads O_RDWR|O_TRUNC.
        status, opened = c.json("POST", "/handles/open", flags=66, mode="644", path=f)
        assert status == 200 and isinstance(opened["handle_id"], int), opened
        h = "/handles/%d" % opened["handle_id"]
        status, written = c.send("PUT", h + "/write", b"hello", "application/octet-stream", offset=0)
        assert status == 200 and json.loads(written)["bytes_written"] == 5, written
        assert c.json("POST", h + "/seek", offset=2, whence=0) == (200, {"position": 2, "offset": 2})
        assert c.send("GET", h + "/read", offset=1, size=3) == (200, b"ell")
        assert c.send("GET", h + "/stream") == (200, b"llo")
        assert c.json("GET", h)[1]["id"] == opened["handle_id"]
        assert c.send("POST", h + "/sync")[0] in (200, 204)
        assert c.json("GET", h + "/stat")[1]["size"] == 5
        assert c.send("DELETE", h)[0] in (200, 204)
        go_refused(c.json("GET", h), 404, "not found")
        assert c.send("DELETE", "/files", path=f, recursive="false")[0] == 200


def test_agfs_fuse(world):
    """Lookup, create, write through a handle, read as a sequence, local fallback on 501."""
    for address, p in trees(world):
        c, f = GoSdk(address), p + "/memfs/fuse"
        go_refused(c.json("GET", "/stat", path=f), 404, "no such file or directory", "not found")
        assert c.send("POST", "/files", path=f)[0] == 201
        status, opened = c.json("POST", "/handles/open", flags=O_RDWR, mode="644", path=f)
        assert status == 200
        h = "/handles/%d" % opened["handle_id"]
        assert c.send("GET", h + "/stream") == (200, b"")
        for content in (b"one", b"one two"):  # a read-write handle's writes go out as whole files
            assert c.send("PUT", "/files", content, "application/json", path=f)[0] == 200
        assert c.send("DELETE", h)[0] == 200
        status, opened = c.json("POST", "/handles/open", flags=0, mode="0", path=f)
        h = "/handles/%d" % opened["handle_id"]
        assert c.send("GET", h + "/stream") == (200, b"one two")
        assert c.send("DELETE", h)[0] == 200
        assert c.send("POST", "/truncate", path=f, size=0)[0] == 200
        assert c.send("DELETE", "/files", path=f, recursive="false")[0] == 200
        assert c.json("POST", "/handles/open", flags=0, mode="644", path=p + "/info/version")[0] == 501
        assert c.send("GET", "/files", path=p + "/info/version")[0] == 200


class PyAgfs:
    """requests.Session, raise_for_status, .json(): as pyagfs uses them."""

    def __init__(self, address):
        self.session, self.base = requests.Session(), "http://%s/api/v1" % address

    def call(self, method, what, **kw):
        r = self.session.request(method, self.base + what, timeout=kw.pop("timeout", 30), **kw)
        r.raise_for_status()
        return r

    def refused(self, status, words, method, what, **kw):
        r = self.session.request(method, self.base + what, timeout=30, **kw)
        assert r.status_code == status and words in r.json()["error"], (what, r.status_code, r.text)


def test_pyagfs(world):
    for address, p in trees(world):
        c, d = PyAgfs(address), p + "/memfs/py é"
        f = {"path": d + "/a b"}
        assert c.call("GET", "/health").json()["status"] == "healthy"
        assert c.call("POST", "/directories", params={"path": d, "mode": "755"}).json()["message"]
        assert c.call("GET", "/directories", params={"path": d}).json().get("files") is None
        assert c.call("PUT", "/files", params=f, data=b"bytes").json() == {"message": "Written 5 bytes"}
        pieces = (b"x" * 8192 for _ in range(40))  # an iterator: chunked
        assert c.call("PUT", "/files", params=f, data=pieces).json() == {"message": "Written 327680 bytes"}
        r = c.call("PUT", "/files", params=f, data=iter([b"{not json", b" at all"]), headers={"Content-Type": "application/json"})
        assert r.json() == {"message": "Written 16 bytes"} and c.call("GET", "/files", params=f).content == b"{not json at all"
        assert c.call("GET", "/files", params={**f, "offset": 1, "size": 3}).content == b"not"
        with c.call("GET", "/files", params={**f, "stream": "true"}, stream=True, timeout=(30, 60)) as r:
            assert b"".join(r.iter_content(chunk_size=5)) == b"{not json at all"
        assert c.call("POST", "/touch", params=f).json()["message"] == "touched"
        assert c.call("POST", "/chmod", params=f, json={"mode": 420}).json()["message"]
        assert c.call("POST", "/rename", params=f, json={"newPath": d + "/ö"}).json()["message"] == "renamed"
        assert [e["name"] for e in c.call("GET", "/directories", params={"path": d}).json()["files"]] == ["ö"]
        f = {"path": d + "/ö"}
        assert c.call("POST", "/truncate", params={**f, "size": 4}).json()["message"]
        assert c.call("POST", "/symlink", params={"path": d + "/l"}, json={"target": "ö"}).json()["message"]
        assert c.call("GET", "/readlink", params={"path": d + "/l"}).json()["target"] == "ö"
        assert c.call("POST", "/digest", json={"algorithm": "md5", **f}).json()["digest"]
        found = c.call("POST", "/grep", json={**f, "pattern": "not", "recursive": False, "case_insensitive": False, "stream": False}).json()
        assert found == {"matches": [{"file": f["path"], "line": 1, "content": "{not"}], "count": 1}, found
        with c.call("POST", "/grep", json={**f, "pattern": "not", "stream": True}, stream=True) as r:
            lines = [json.loads(line) for line in r.iter_lines() if line]
        assert lines[-1] == {"count": 1, "type": "summary"} and lines[0]["line"] == 1, lines
        c.refused(404, "no such file or directory", "GET", "/stat", params={"path": d + "/none"})
        c.refused(409, "already exists", "POST", "/directories", params={"path": d, "mode": "755"})
        c.refused(409, "not empty", "DELETE", "/files", params={"path": d})
        assert c.call("DELETE", "/files", params={"path": d + "/l"}).json()["message"] == "deleted"
        assert c.call("DELETE", "/files", params={"path": d, "recursive": "true"}).json()["message"] == "deleted"


def test_pyagfs_handles(world):
    for address, p in trees(world):
        c, f = PyAgfs(address), p + "/memfs/py"
        flags = O_RDWR | O_CREATE
        # mode goes out in decimal: 420 for 0644, which the server reads as octal; 493 for 0755 is refused.
        opened = c.call("POST", "/handles/open", params={"path": f, "flags": flags, "mode": 420, "lease": 60}).json()
        c.refused(400, "invalid mode", "POST", "/handles/open", params={"path": f, "flags": flags, "mode": 493})
        h = "/handles/%d" % opened["handle_id"]
        assert opened["lease"] > 0 and opened["expires_at"], opened
        assert c.call("PUT", h + "/write", data=b"hello").json()["bytes_written"] == 5
        assert c.call("POST", h + "/seek", params={"offset": 0, "whence": 0}).json()["position"] == 0
        assert c.call("GET", h + "/read", params={"size": -1}).content == b"hello"
        assert c.call("POST", h + "/truncate", params={"size": 2}).json()
        assert c.call("POST", h + "/renew", params={"lease": 60}).json()["expires_at"]
        assert c.call("POST", h + "/sync").json()["message"] == "synced"
        assert c.call("GET", h + "/stat").json()["size"] == 2
        assert isinstance(c.call("GET", "/handles").json()["handles"], list)
        assert c.call("GET", h).json()["path"] == f
        assert c.call("DELETE", h).json()["message"] == "handle closed"
        c.refused(501, "not supported", "POST", "/handles/open", params={"path": p + "/kv/keys/x", "flags": 0, "mode": 420})


def test_agfs_shell(world):
    for address, p in trees(world):
        c, d = PyAgfs(address), p + "/memfs"
        for start in ("/etc/rc", "/etc/initrc", "/initrc.as", "/etc/profile", "/etc/profile.as"):
            c.refused(404, "not found", "GET", "/stat", params={"path": start})
        for entry in c.call("GET", "/directories", params={"path": p or "/"}).json()["files"]:
            info = c.call("GET", "/stat", params={"path": p + "/" + entry["name"]}).json()
            info.get("meta", {}).get("Type"), info["name"], info["mode"], info["modTime"], info["isDir"], info["size"]
        for mount in c.call("GET", "/mounts").json()["mounts"]:
            list(mount.get("config", {}).items()), mount["path"], mount["pluginName"]
        for plugin in c.call("GET", "/plugins").json()["plugins"]:
            plugin["name"], plugin["is_external"], [m["path"] for m in plugin["mounted_paths"] or []]
        # >> reads, then writes all; the first time the read fails, and on enqueue always.
        c.refused(404, "no such file or directory", "GET", "/files", params={"path": d + "/log"})
        assert c.call("PUT", "/files", params={"path": d + "/log"}, data=b"1\n").json()["message"]
        old = c.call("GET", "/files", params={"path": d + "/log"}).content
        assert c.call("PUT", "/files", params={"path": d + "/log"}, data=old + b"2\n").json()["message"]
        c.call("DELETE", "/files", params={"path": d + "/log"})
        c.refused(403, "permission denied", "GET", "/files", params={"path": p + "/queue/q/enqueue"})
        c.call("POST", "/directories", params={"path": p + "/queue/q", "mode": "755"})
        c.call("PUT", "/files", params={"path": p + "/queue/q/enqueue"}, data=b"job")
        # cat asks for a stream, then falls back to a plain read where that is refused.
        r = c.session.get(c.base + "/files", params={"path": p + "/queue/q/dequeue", "stream": "true"}, timeout=30)
        taken = r if r.status_code == 200 else c.call("GET", "/files", params={"path": p + "/queue/q/dequeue"})
        assert taken.json()["data"] == "job", taken.text
        # mount: every value is a text
        r = c.call("POST", "/mount", json={"fstype": "proxyfs", "path": "/s", "config": {
            "base_url": c.base, "timeout": "5", "max_connections": "2", "lazy": "true"}})
        assert r.json() == {"message": "plugin mounted"} and c.call("GET", "/stat", params={"path": "/s"}).json()["isDir"]
        c.refused(409, "already exists", "POST", "/mount", json={"fstype": "memfs", "path": "/s", "config": {}})
        c.refused(400, "unknown filesystem type", "POST", "/mount", json={"fstype": "nofs", "path": "/t", "config": {}})
        assert c.call("POST", "/unmount", json={"path": "/s"}).json() == {"message": "plugin unmounted"}
        # tail -f: a stream's data comes while the stream is open, and deleting it ends the reader
        with c.call("GET", "/files", params={"path": p + "/streams/t", "stream": "true"}, stream=True, timeout=(30, 60)) as live:
            c2 = PyAgfs(address)
            c2.call("PUT", "/files", params={"path": p + "/streams/t"}, data=b"live")
            assert next(live.iter_content(chunk_size=None)) == b"live"
            c2.call("DELETE", "/files", params={"path": p + "/streams/t"})


def test_stock_proxyfs_in_front(world):
    """A stock server that mounts us sends the Go SDK's requests and needs an entry in our root."""
    for address, p in trees(world):
        c = GoSdk(address)
        assert c.send("GET", "/health")[0] == 200
        entries = c.json("GET", "/directories", path="/")[1]["files"]
        assert entries and entries[0]["modTime"], entries
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as s:  # Expect: 100-continue of net/http and curl
            s.sendall(b"PUT /api/v1/files?path=%%2Fx HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n".replace(
                b"%%2Fx", urllib.parse.quote_plus(p + "/memfs/e").encode()))
            assert s.recv(100).startswith(b"HTTP/1.1 100 ")
            s.sendall(b"x")
            assert s.recv(1000).startswith(b"HTTP/1.1 200 ")


run([test_go_sdk, test_go_sdk_write_is_not_repeated_for_what_cannot_succeed, test_go_sdk_handles, test_agfs_fuse, test_pyagfs,
     test_pyagfs_handles, test_agfs_shell, test_stock_proxyfs_in_front])
