# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""What each endpoint of the HTTP API answers, as rows (request, body, status, expected).

Of `expected`, bytes are the whole body, a dict is a part of the JSON, a text a regular expression for "error".
"""
import hashlib
import http.client
import json
import os
import re


def matches(expected, value):
    if isinstance(expected, dict):
        return isinstance(value, dict) and all(k in value and matches(e, value[k]) for k, e in expected.items())
    if isinstance(expected, re.Pattern):
        return isinstance(value, str) and expected.search(value) is not None
    return type(expected) is type(value) and expected == value


def steps(v, rows):
    for row, body, status, expected in rows:
        r = v.ask(row, body)
        where = "%s: %s %r -> %d %r" % (v.name, row, body, r.status, r.body[:300])
        assert r.status == status, where
        if isinstance(expected, bytes):
            assert r.body == expected, where
        elif isinstance(expected, str):
            assert re.search(expected, json.loads(r.body)["error"]), where
        elif expected is not None:
            assert r.headers["content-type"] == "application/json" and matches(expected, json.loads(r.body)), where


SAID = {"created": {"message": "file created"}, "dir": {"message": "directory created"}, "deleted": {"message": "deleted"},
        "renamed": {"message": "renamed"}, "mode": {"message": "permissions changed"}, "cut": {"message": "truncated"},
        "touched": {"message": "touched"}, "link": {"message": "symlink created"}}
MISSING = "no such file or directory|not found"
NEED_PATH = "^path parameter is required$"
HELLO = [("PUT files?path={w}/a", b"hello world", 200, {"message": "Written 11 bytes"})]

ENDPOINTS = {
    "files": [
        ("POST files?path={w}/a", None, 201, SAID["created"]),
        ("GET files?path={w}/a", None, 200, b""),
        ("PUT files?path={w}/a", b"", 200, {"message": "Written 0 bytes"}),
        *HELLO,
        ("GET files?path={w}/a", None, 200, b"hello world"),
        ("GET files?path={w}/a&offset=6", None, 200, b"world"),
        ("GET files?path={w}/a&offset=6&size=3", None, 200, b"wor"),
        ("GET files?path={w}/a&offset=-3&size=4", None, 200, b"hell"),
        ("GET files?path={w}/a&offset=99", None, 200, b""),
        ("GET files?path={w}/a&size=0", None, 200, b""),
        ("GET files?path={w}/a&size=-1", None, 200, b"hello world"),
        ("GET files?path={w}/a&size=x", None, 400, "^invalid size parameter$"),
        ("GET files?path={w}/a&offset=0x1", None, 400, "^invalid offset parameter$"),
        ("GET files", None, 400, NEED_PATH),
        ("GET files?path=", None, 400, NEED_PATH),
        ("GET files?path={w}/a;b", None, 400, NEED_PATH),
        ("GET files?path={w}", None, 400, "is a directory"),
        ("PUT files?path={w}/sp+a%20ce", b"x", 200, None),
        ("GET files?path={w}/sp%20a+ce&path=/other", None, 200, b"x"),
        ("GET files?path={w}/./../w//a", None, 200, b"hello world"),
        ("DELETE files?path={w}/a", None, 200, SAID["deleted"]),
        ("DELETE directories?path={w}/a", None, 404, MISSING),
        ("PATCH files?path={w}/a", None, 405, "^method not allowed$"),
        ("POST files?path=/nowhere/x", None, 403, "permission denied"),
    ],
    "directories": [
        ("POST directories?path={w}/d", None, 201, SAID["dir"]),
        ("POST mkdir?path={w}/d/e&mode=700", None, 201, SAID["dir"]),
        ("POST mkdir?path={w}/no/e", None, 404, MISSING),
        ("PUT files?path={w}/d/f", b"x", 200, None),
        ("GET directories?path={w}/d", None, 200, None),
        ("GET list?path={w}/d", None, 200, None),
        ("GET directories?path={w}/d/f", None, 400, "not a directory"),
        ("GET directories?path=/nowhere", None, 404, "^readdir: /nowhere: not found$"),
        ("DELETE directories?path={w}/d", None, 409, "directory not empty"),
        ("DELETE directories?path={w}/d&recursive=true", None, 200, SAID["deleted"]),
        ("GET directories?path={w}", None, 200, {"files": None}),
    ],
    "stat_rename_chmod_truncate": [
        *HELLO,
        ("GET stat?path={w}/a", None, 200, {"name": "a", "size": 11, "mode": 420, "isDir": False, "meta": {"Type": "file"}}),
        ("GET stat?path={p}/memfs", None, 200, {"name": "memfs", "isDir": True}),
        ("POST rename?path={w}/a", {"newPath": "{w}/b"}, 200, SAID["renamed"]),
        ("POST rename?path={w}/a", {"newPath": "{w}/c"}, 404, MISSING),
        ("POST rename?path={w}/b", {}, 400, "^newPath is required$"),
        ("POST rename?path={w}/b", {"newPath": "{l}/b"}, 400, "cannot rename across different mounts"),
        ("POST rename?path={w}/b", {"NEWPATH": "{w}/a", "more": 1}, 200, SAID["renamed"]),
        ("POST chmod?path={w}/a", {"mode": 384}, 200, SAID["mode"]),
        ("POST chmod?path={w}/a", {"mode": -1}, 400, "^invalid request body$"),
        ("POST chmod?path={w}/a", {"mode": "420"}, 400, "^invalid request body$"),
        ("GET stat?path={w}/a", None, 200, {"mode": 384}),
        ("POST truncate?path={w}/a&size=4", None, 200, SAID["cut"]),
        ("POST truncate?path={w}/a&size=6", None, 200, SAID["cut"]),
        ("GET files?path={w}/a", None, 200, b"hell\0\0"),
        ("POST truncate?path={w}/a", None, 400, "^size parameter is required$"),
        ("POST truncate?path={w}/a&size=-1", None, 400, "^size must be non-negative$"),
        ("POST truncate?path={w}/a&size=x", None, 400, "^invalid size parameter$"),
    ],
    "touch_digest_grep": [
        ("POST touch?path={w}/a", None, 200, SAID["touched"]),
        *HELLO,
        ("POST digest", {"algorithm": "md5", "path": "{w}/a"}, 200,
         {"algorithm": "md5", "path": "/memfs/w/a", "digest": hashlib.md5(b"hello world").hexdigest()}),
        ("POST digest", {"algorithm": "sha1", "path": "{w}/a"}, 400, r"^unsupported algorithm: sha1 \(supported: xxh3, md5\)$"),
        ("POST digest", {"algorithm": "md5"}, 400, "^path is required$"),
        ("POST digest", {"algorithm": "md5", "path": "{w}"}, 400, "is a directory"),
        ("POST grep", {"path": "{w}/a", "pattern": "W[o]", "case_insensitive": True}, 200,
         {"matches": [{"file": "/memfs/w/a", "line": 1, "content": "hello world"}], "count": 1}),
        ("POST grep", {"path": "{w}", "pattern": "o"}, 400, "path is a directory, use recursive=true to search"),
        ("POST grep", {"path": "{w}", "pattern": "h", "recursive": True}, 200, {"count": 1}),
        ("POST grep", {"path": "{w}/a", "pattern": "("}, 400, "^invalid regex pattern: "),
        ("POST grep", {"path": "{w}/a"}, 400, "^pattern is required$"),
        ("POST grep", {"path": "{w}/a", "pattern": "hello", "stream": True}, 200,
         b'{"file":"/memfs/w/a","line":1,"content":"hello world"}\n{"count":1,"type":"summary"}\n'),
    ],
    "links": [
        *HELLO,
        ("POST symlink?path={w}/l", {"target": "a"}, 201, SAID["link"]),
        ("GET readlink?path={w}/l", None, 200, {"target": "a"}),
        ("GET readlink?path={w}/a", None, 404, "not found"),
        ("GET stat?path={w}/l", None, 200, {"name": "l", "size": 1, "mode": 511, "meta": {"Type": "symlink"}}),
        ("GET files?path={w}/l", None, 200, b"hello world"),
        ("POST symlink?path={w}/m", {}, 400, "^target is required$"),
        ("DELETE files?path={w}/l", None, 200, SAID["deleted"]),
        ("GET files?path={w}/a", None, 200, b"hello world"),
    ],
    "write_alias": [
        ("POST write?path={w}/a", b"raw", 200, {"message": "Written 3 bytes"}),
        ("GET files?path={w}/a", None, 200, b"raw"),
    ],
    "unknown": [
        ("GET nothing", None, 404, "404 page not found"),
        ("GET /nothing", None, 404, "404 page not found"),
        ("GET /", None, 200, {"service": "AGFS Server", "status": "running"}),
        ("PUT stat?path={w}", None, 405, "^method not allowed$"),
        ("GET handles/abc", None, 400, "^invalid handle ID: must be a number$"),
        ("GET handles/999999", None, 404, "not found"),
        ("POST handles/", None, 400, "^handle ID required$"),
        ("POST handles/open?path={w}/a&flags=x", None, 400, "^invalid flags parameter: must be a number$"),
        ("POST mount", {"path": "/n"}, 400, "^fstype is required$"),
        ("POST mount", {"fstype": "memfs"}, 400, "^path is required$"),
        ("POST mount", {"fstype": "nofs", "path": "/n"}, 400, "^unknown filesystem type: nofs; there are [a-z, ]*memfs"),
        ("POST mount", {"fstype": "memfs", "path": "/n", "config": 3}, 400, "^invalid request body$"),
        ("POST mount", {"fstype": "memfs", "path": "/n", "config": {"foo": 1}}, 400, "unknown configuration parameter.*foo"),
        ("POST unmount", {}, 400, "^path is required$"),
        ("POST plugins/load", {}, 400, "^library_path is required$"),
    ],
}


def opened(v, row):
    r = v.ask(row)
    assert r.status == 200, (v.name, row, r.status, r.body)
    info = json.loads(r.body)
    assert isinstance(info["handle_id"], int) and info["id"] == info["handle_id"], info
    return info


def handles(v):
    steps(v, HELLO)
    n = opened(v, "POST handles/open?path={w}/a&flags=2&mode=644")["handle_id"]
    h = "handles/%d" % n
    for row, body, status, expected in [
            ("GET %s/read?size=5", None, 200, b"hello"), ("GET %s/read", None, 200, b" world"),
            ("GET %s/read?size=-1&offset=6", None, 200, b"world"), ("GET %s/read?offset=-5", None, 400, "invalid offset"),
            ("POST %s/seek?offset=6", None, 200, {"position": 6, "offset": 6}),
            ("POST %s/seek", None, 400, "^offset parameter is required$"),
            ("POST %s/seek?offset=0&whence=3", None, 400, "^invalid whence parameter"),
            ("PUT %s/write", b"W", 200, {"bytes_written": 1, "position": 0}),
            ("PUT %s/write?offset=0", b"H", 200, {"bytes_written": 1, "position": 0}),
            ("GET %s/stream", None, 200, b"orld"), ("POST %s/sync", None, 200, {"message": "synced"}),
            ("POST %s/truncate?size=5", None, 200, None), ("GET %s/stat", None, 200, {"size": 5}),
            ("POST %s/renew?lease=30", None, 200, None), ("GET %s", None, 200, {"path": "/memfs/w/a", "flags": 2}),
            ("POST %s/nonsense", None, 404, "^unknown operation: nonsense$"),
            ("DELETE %s", None, 200, {"message": "handle closed"}), ("GET %s/read", None, 404, "not found")]:
        steps(v, [(row % h, body, status, expected)])
    v.trace = [(row.replace(h, "handles/N"), *rest) for row, *rest in v.trace if rest[0] != 404]
    steps(v, [("GET files?path={w}/a", None, 200, b"Hello"),
              ("POST handles/open?path={w}/none", None, 404, MISSING),
              ("POST handles/open?path={w}/a&flags=48", None, 409, "already exists"),
              ("POST handles/open?path={p}/kv/keys/k", None, 501, "operation not supported")])


def system(v):
    """What a server says about itself; a mount passes none of it on."""
    health = json.loads(v.raw("GET health").body)
    assert list(health) == ["status", "version", "gitCommit", "buildTime", "ready", "degraded", "mounts"], health
    assert health["status"] == "healthy" and health["ready"] is True and health["degraded"] is False, health
    assert list(health["mounts"]) == ["total", "pending", "mounted", "failed"], health
    for method in ("GET", "POST", "DELETE", "PUT"):
        assert json.loads(v.raw(method + " health").body) == health
        assert json.loads(v.raw(method + " /").body)["service"] == "AGFS Server"
    assert v.raw("HEAD health").status == 200 and v.raw("HEAD health").body == b""
    assert json.loads(v.raw("GET ready").body) == health
    version = json.loads(v.raw("GET version").body)
    assert sorted(version) == ["buildTime", "gitCommit", "version"] and version["version"] == health["version"]
    can = json.loads(v.raw("GET capabilities").body)
    assert can["version"] == version["version"] and {"handlefs", "grep", "digest", "stream", "touch"} <= set(can["features"]), can
    for what in ("ready", "version", "capabilities", "mounts", "plugins"):
        assert v.raw("POST " + what).status == 405, what


def mounts(v):
    """Mounting and unmounting by HTTP, and what the lists say meanwhile."""
    for body, status, words in [({"fstype": "memfs", "path": "more//./here/"}, 200, "plugin mounted"),
                                ({"fstype": "memfs", "path": "/more/here"}, 409, "mount already exists: /more/here"),
                                ({"fstype": "memfs", "path": "/other", "config": {"foo": 1}}, 400, "failed to validate plugin: unknown "),
                                ({"fstype": "localfs", "path": "/other", "config": {}}, 400, "local_dir is required"),
                                ({"fstype": "localfs", "path": "/other", "config": {"local_dir": "/no/such"}}, 400, "does not exist")]:
        r = v.raw("POST mount", body)
        assert r.status == status and words in r.body.decode(), (body, r.status, r.body)
    listed = json.loads(v.raw("GET mounts").body)["mounts"]
    assert {"path": "/more/here", "pluginName": "memfs", "status": "mounted"} in listed, listed
    assert listed == sorted(listed, key=lambda m: m["path"]) and all(m.get("config", {}) is not None for m in listed)
    types = {p["name"]: p for p in json.loads(v.raw("GET plugins").body)["plugins"]}
    assert {"path": "/more/here"} in types["memfs"]["mounted_paths"] and types["memfs"]["is_external"] is False, types["memfs"]
    assert json.loads(v.raw("GET stat?path=/more").body)["isDir"]
    r = v.raw("DELETE files?path=/more/here")
    assert r.status == 403 and "cannot remove root directory" in r.error, r.body
    assert v.raw("POST unmount", {"path": "/more/here"}).body == b'{"message":"plugin unmounted"}\n'
    assert v.raw("GET stat?path=/more").status == 404


def plugins(v):
    """Loading and unloading by HTTP: what is refused, and with which words."""
    for path, status, words in [("/no/such.so", 404, "plugin file not found"), (os.path.abspath(__file__), 400, "plugin"),
                                ("http://127.0.0.1:1/p.so", 501, "not supported"), ("agfs:///memfs/none.so", 404, "failed to read plugin from AGFS")]:
        r = v.raw("POST plugins/load", {"library_path": path})
        assert r.status == status and words in r.error, (path, r.status, r.body)
    assert v.raw("POST plugins/unload", {}).status == 400
    assert v.raw("POST plugins/unload", {"library_path": "/no/such.so"}).status == 404


def unlisted_differences(v):
    """What differs from the stock server and is none of its quirks."""
    steps(v, HELLO)
    host, port = v.server.clear[7:].split(":")
    for spelling in ("handles", "handles/", "/files?path={w}/a", "./x/../files?path={w}/a"):
        http_client = http.client.HTTPConnection(host, int(port), timeout=20)  # httpx would clean the path itself
        http_client.request("GET", v.fill("/api/v1/" + spelling))
        r = http_client.getresponse()
        assert r.status == 200 and r.read() and not http_client.close(), spelling
    assert v.raw("GET files/?path=/").status == 404
    r = v.raw("GET /api/v1/sync")
    assert r.status == 404 and r.error == "404 page not found" and r.headers["content-type"] == "application/json"
    assert v.raw("POST unmount", {"path": "/nowhere"}).status == 404
    r = v.raw("DELETE files?path={p}/store&recursive=true")
    assert r.status == 403 and "cannot remove root directory" in r.error, r.body
    v.raw("PUT files?path={p}/memfs/long", b"x" * 65536)
    r = v.raw("POST grep", {"path": "{p}/memfs/long", "pattern": "y"})
    assert r.status == 413 and "token too long" in r.error, r.body
    r = v.raw("POST grep", {"path": "{p}/memfs", "pattern": "y", "stream": True})
    assert r.status == (200 if v.direct else 400) and "path is a directory" in r.error, r.body
    for fstype in ("s3fs", "sqlfs", "heartbeatfs"):
        r = v.raw("POST mount", {"fstype": fstype, "path": "/n"})
        assert r.status == 400 and "there are" in r.error and "queuefs" in r.error, r.body
    r = v.raw("GET files?path={p}/memfs/none")
    said = json.loads(r.body)
    assert said["class"] == "notfound" and said["outcome"] == "NA" and (v.direct or said["hop"] == 1 and said["origin"]), said
