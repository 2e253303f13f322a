#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""The HTTP API by each transport, directly and through a proxied mount: the same answers everywhere.

usage: conformance_test.py BUILDDIR [TEST...]
       conformance_test.py BUILDDIR --matrix    prints what works where, as measured, in Markdown
A step is (request, body, status, expected): bytes are the whole body, a dict is a part of the JSON,
a text a regular expression for "error". q01 to q33 are the places where the stock server surprises its readers.
"""
import atexit
import datetime
import hashlib
import json
import os
import re
import socket
import subprocess
import sys

import agfs_matrix
try:
    import agfs_views
except ImportError as e:
    print("1..0 # SKIP %s: Debian's python3-httpx and python3-h2 are needed" % e)
    sys.exit(0)
from agfs_world import Api, World, run, wait_for


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
        ("POST mount", {"fstype": "nofs", "path": "/n"}, 400, "^unknown filesystem type: nofs$"),
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


# ---- the quirks: rows, or a function where rows are not enough ----

def digest(path, algorithm, expected):
    return ("POST digest", {"algorithm": algorithm, "path": path}, 200, {"digest": expected})


def q14(v):
    """The header of a live stream comes before its first data."""
    method, url = v.url("GET files?path={p}/streams/live&stream=true")
    with v.client.stream(method, url) as r:
        assert r.status_code == 200 and r.headers["content-type"] == "application/octet-stream", v.name
        assert v.api.put(v.prefix + "/streams/live", b"data").status == 200
        pieces = r.iter_raw()
        assert next(pieces) == b"data"
        assert v.api.call("DELETE", "files", path=v.prefix + "/streams/live").status == 200
        assert list(pieces) == []
    v.trace = []


def q12(v):
    """Leases are real: what was asked is what is promised, and renewing moves the end."""
    steps(v, HELLO)
    info = opened(v, "POST handles/open?path={w}/a&lease=30")
    if v.direct:
        assert info["lease"] == 30, info
        later = json.loads(v.raw("POST handles/%d/renew?lease=900" % info["handle_id"]).body)
        assert later["lease"] == 900 and later["expires_at"] > info["expires_at"], (info, later)
    v.trace = []
    assert v.raw("DELETE handles/%d" % info["handle_id"]).status == 200


def q13(v):
    steps(v, HELLO)
    before = json.loads(v.raw("GET handles").body)
    n = opened(v, "POST handles/open?path={w}/a")["handle_id"]
    for spelling in ("handles", "handles/"):
        listed = json.loads(v.raw("GET " + spelling).body)
        assert listed["count"] == before["count"] + 1 and listed["max"] >= 1000, listed
        assert n in [h["handle_id"] for h in listed["handles"]], listed
    assert v.raw("DELETE handles/%d" % n).status == 200


def q21(v):
    """As on the stock server: a search reads what it finds, and what reads a queue takes its message."""
    steps(v, [("POST mkdir?path={p}/queue/q", None, 201, None), ("PUT files?path={p}/queue/q/enqueue", b"needle", 200, None),
              ("POST grep", {"path": "{p}/queue/q", "pattern": "needle", "recursive": True}, 200, {"count": 1}),
              ("GET files?path={p}/queue/q/size", None, 200, b"0"), ("DELETE files?path={p}/queue/q&recursive=true", None, 200, None)])
    v.trace = []


def q25(v):
    steps(v, HELLO)
    text = json.loads(v.raw("GET stat?path={w}/a").body)["modTime"]
    m = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,8}[1-9]|\.[1-9])?Z", text)
    assert m, text
    then = datetime.datetime.fromisoformat(m[1] + "+00:00")
    assert abs((datetime.datetime.now(datetime.timezone.utc) - then).total_seconds()) < 300, text


def q26(v):
    """A body above the limit is refused before it is sent; over HTTP/1.1 the connection ends."""
    if v.http2 or v.base.startswith("https"):
        return
    host, port = v.base[7:].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(b"POST /api/v1/write?path=%s/memfs/w/a HTTP/1.1\r\nHost: x\r\nContent-Length: 67108865\r\n\r\n" % v.prefix.encode())
        answer = b""
        while data := s.recv(4096):
            answer += data
    assert answer.startswith(b"HTTP/1.1 413 ") and b"connection: close\r\n" in answer.lower(), answer
    assert b'"request body exceeds maximum size of 67108864 bytes"' in answer, answer
    steps(v, [("GET stat?path={w}/a", None, 404, MISSING)])
    v.trace = []


def q27(v):
    steps(v, HELLO)
    n = opened(v, "POST handles/open?path={w}/a")["handle_id"]
    assert v.raw("GET handles/%d/read?size=99999999999999" % n).body == b"hello world"
    assert v.raw("DELETE handles/%d" % n).status == 200


def q28(v):
    """Unloading is refused or real: what is mounted goes on working, what is unloaded is gone."""
    library = os.path.join(BUILD, "plugin/proxyfs-h2.so")
    loaded = json.loads(v.raw("POST plugins/load", {"library_path": library}).body)
    name = loaded["plugin_name"]
    assert name.startswith("proxyfs-h2"), loaded
    plugin = next(p for p in json.loads(v.raw("GET plugins").body)["plugins"] if p["name"] == name)
    assert plugin["is_external"] and plugin["mounted_paths"] is None and plugin["library_path"], plugin
    assert v.raw("POST plugins/unload", {"library_path": plugin["library_path"]}).status == 200
    assert name not in [p["name"] for p in json.loads(v.raw("GET plugins").body)["plugins"]]
    r = v.raw("POST mount", {"fstype": name, "path": "/n", "config": {"base_url": "http://127.0.0.1:1"}})
    assert r.status == 400 and "unknown filesystem type" in r.error, r.body
    r = v.raw("POST plugins/unload", {"library_path": plugin["library_path"]})
    assert r.status >= 400 and "plugin not loaded" in r.error, r.body


def q31(v):
    before = v.raw("GET health").body
    assert v.raw("POST mount", {"fstype": "memfs", "path": "/more"}).status == 200
    assert v.raw("GET health").body == v.raw("GET ready").body == before
    assert v.raw("POST mount", {"fstype": "memfs", "path": "/more"}).status == 409
    assert v.raw("POST unmount", {"path": "/more"}).status == 200


XXH3 = [("", "6001c324468d497f"), ("a", "e6c632b61e964e1f"), ("abc", "78af5f94892f3950"), ("hello world", "a99b8775cc15b6c7")]
QUIRKS = {
    "q01": [("GET %s?path={p}%s" % (what, path), None, 404, MISSING + "|key not found")
            for what in ("stat", "files") for path in ("/memfs/w/none", "/store/w/none", "/kv/keys/none", "/streams/none",
                                                       "/info/none", "/hello/none", "/dev/none", "/queue/none")
            if (what, path) not in (("files", "/queue/none"), ("files", "/streams/none"))],
    "q02": [*HELLO, ("POST files?path={w}/a", None, 409, "already exists"), ("PUT files?path={l}/a", b"", 200, None),
            ("POST files?path={l}/a", None, 409, "already exists"), ("POST mkdir?path={w}", None, 409, "already exists"),
            ("POST mkdir?path={l}", None, 409, "already exists"), ("POST files?path={w}/b", None, 201, None),
            ("POST rename?path={w}/a", {"newPath": "{w}/b"}, 409, "already exists"),
            ("POST symlink?path={w}/b", {"target": "x"}, 409, "already exists")],
    "q03": [*HELLO, ("GET stat?path={w}/a", None, 200, {"meta": {"Name": "memfs", "Type": "file"}}),
            ("GET stat?path={p}/queue", None, 200, {"meta": {"Name": "queuefs", "Type": ""}}),
            ("GET stat?path={p}/dev/null", None, 200, {"mode": 438, "meta": {"Type": "device"}})],
    "q04": [("GET directories?path={w}", None, 200, {"files": None}), *HELLO,
            ("POST grep", {"path": "{w}/a", "pattern": "none"}, 200, {"matches": None, "count": 0})],
    "q05": [*HELLO, ("PUT files?path={w}/a&offset=6", b"W", 200, None), ("GET files?path={w}/a", None, 200, b"hello World"),
            ("PUT files?path={w}/a&flags=1", b"!", 200, None), ("GET files?path={w}/a", None, 200, b"hello World!"),
            ("PUT files?path={w}/a&flags=6", b"new", 409, "already exists"), ("PUT files?path={w}/a&flags=x", b"", 400, "flags"),
            ("GET files?path={w}/a", None, 200, b"hello World!")],
    "q06": HELLO,
    "q07": [("POST files?path={w}/a", None, 201, None), ("POST mkdir?path={w}/d", None, 201, None),
            ("POST symlink?path={w}/l", {"target": "a"}, 201, None)],
    "q08": [("POST mkdir?path={w}/d&mode=0700", None, 201, None), ("GET stat?path={w}/d", None, 200, {"mode": 448}),
            ("POST chmod?path={w}/d", {"mode": 493}, 200, None), ("GET stat?path={w}/d", None, 200, {"mode": 493}),
            ("POST mkdir?path={w}/e&mode=0o755", None, 400, "^invalid mode$"), ("POST mkdir?path={w}/e&mode=8", None, 400, "^invalid mode$"),
            ("POST handles/open?path={w}/e&mode=493", None, 400, "^invalid mode parameter$")],
    "q09": [*HELLO, ("POST touch?path={w}/a", None, 200, SAID["touched"]), ("GET files?path={w}/a", None, 200, b"hello world"),
            ("POST touch?path={l}/new", None, 200, None), ("POST touch?path={l}/new", None, 200, None),
            ("PUT files?path={p}/kv/keys/t", b"v", 200, None), ("POST touch?path={p}/kv/keys/t", None, 200, None),
            ("GET files?path={p}/kv/keys/t", None, 200, b"v"), ("POST touch?path={w}", None, 400, "is a directory|cannot touch directory")],
    "q10": [*HELLO, digest("{w}/a", "xxh3", "a99b8775cc15b6c7"), ("PUT files?path={p}/kv/keys/t", b"abc", 200, None),
            digest("{p}/kv/keys/t", "md5", "900150983cd24fb0d6963f7d28e17f72")],
    "q11": [s for text, value in XXH3 for s in (("PUT files?path={l}/x", text.encode(), 200, None), digest("{l}/x", "xxh3", value))],
    "q12": q12, "q13": q13, "q14": q14,
    "q15": [*HELLO, ("GET files?path={w}/a&stream=true&offset=6&size=1", None, 200, b"hello world"),
            ("GET files?path={w}/a&stream=1&offset=6&size=1", None, 200, b"w"), ("GET files?path={w}/a&stream=TRUE&size=1", None, 200, b"h")],
    "q16": [("GET files?path={w}/none&stream=true", None, 404, MISSING), ("GET files?path={w}&stream=true", None, 400, "is a directory"),
            ("GET files?path={p}/nowhere/x&stream=true", None, 404, "not found"), ("GET files?stream=true", None, 400, NEED_PATH)],
    "q17": [("POST truncate?path={p}/%s&size=0" % f, None, status, None) for f, status in
            (("hello/hello", 200), ("info/version", 200), ("queue", 200), ("dev/null", 200))],
    "q18": [("GET capabilities?path=/nowhere", None, 200, {"version": re.compile(r"^\d")}), ("GET capabilities", None, 200, None)],
    "q19": [("POST sync?path={w}", None, 404, "404 page not found")],
    "q20": [("PUT files?path={p}/nest/in-x", b"fell back", 200, None), ("GET files?path={p}/nest/in-x", None, 200, b"fell back"),
            ("GET files?path={p}/nest/in/in-x", None, 404, MISSING), ("GET files?path={p}/nest-x", None, 404, "not found")],
    "q21": q21,
    "q22": [("PUT files?path={w}/d/f", b"", 404, None), ("POST mkdir?path={w}/d", None, 201, None), ("PUT files?path={w}/d/f", b"", 200, None),
            *[("DELETE files?path={w}/d&recursive=" + word, None, 409, "not empty") for word in ("1", "TRUE", "yes", "")],
            ("DELETE files?path={w}/d&recursive=true", None, 200, None)],
    "q23": [*HELLO, ("POST symlink?path={w}/l", {"target": "a"}, 201, None), ("GET files?path={w}/l&stream=true", None, 200, b"hello world"),
            ("POST truncate?path={w}/l&size=5", None, 200, None), ("POST touch?path={w}/l", None, 200, None),
            ("GET files?path={w}/a", None, 200, b"hello"), ("POST rename?path={w}/l", {"newPath": "{w}/m"}, 200, None),
            ("GET readlink?path={w}/m", None, 200, {"target": "a"}), ("POST symlink?path={w}/self", {"target": "self"}, 201, None),
            ("GET files?path={w}/self", None, 400, "too many levels of symbolic links"),
            ("DELETE files?path={w}/m&recursive=true", None, 200, None), ("GET files?path={w}/a", None, 200, b"hello")],
    "q24": [("GET stat?path={l}", None, 200, {"mode": 0x80000000 | 0o755, "isDir": True}), ("PUT files?path={l}/f", b"", 200, None),
            ("GET stat?path={l}/f", None, 200, {"mode": 0o644})],
    "q25": q25, "q26": q26, "q27": q27, "q28": q28, "q31": q31,
    "q33": [("POST digest", None, 400, "^invalid request body: EOF$"), ("POST grep", b"nonsense", 400, "^invalid request body: ."),
            ("POST chmod?path={w}", b"nonsense", 400, "^invalid request body$"), ("POST mount", b"", 400, "^invalid request body$")],
}


def own_server(world, text):
    """A server with a configuration file of its own."""
    path = world.path("own.yaml")
    with open(path, "w") as f:
        f.write(text)
    server = world.start("own", ["-c", path], clear="127.0.0.1:0")
    wait_for("own server", Api(server.clear).ready)
    return server, Api(server.clear)


def q29(world):
    """A library of the configured plugin directory is a type that can be mounted."""
    os.makedirs(world.path("plugins"), exist_ok=True)
    os.symlink(os.path.join(BUILD, "plugin/proxyfs-h2.so"), world.path("plugins/p.so"))
    server, api = own_server(world, "external_plugins: {enabled: true, auto_load: true, plugin_dir: %s}\n"
                             "plugins: {memfs: {enabled: true, path: /memfs}}\n" % world.path("plugins"))
    assert api.mount("/p", "proxyfs-h2", base_url=server.clear).status == 200
    assert api.put("/p/memfs/f", b"x").status == 200
    server.stop()


def q30_q32(world):
    """A configuration that JSON cannot say leaves /mounts readable; init_dirs is accepted and, as ever, ignored."""
    server, api = own_server(world, "plugins: {memfs: {enabled: true, path: /m, config: {init_dirs: [/one, /two/three]}}}\n")
    assert api.get("mounts").json()["mounts"], "always JSON"
    assert [e["name"] for e in api.get("directories", path="/m").json()["files"]] == ["README"]
    server.stop()
    try:
        own_server(world, "plugins: {localfs: {enabled: true, path: /m, config: {local_dir: .inf}}}\n")
    except AssertionError as e:
        assert "own.yaml: line 1: unsupported value: .inf" in str(e), e
    else:
        raise AssertionError("a value that JSON cannot say was taken")


def write_alias_json(v):
    v.ask("POST write?path={w}/j", json.dumps({"data": "é<\n"}).encode(), {"Content-Type": "application/json; charset=utf-8"})
    steps(v, [("GET files?path={w}/j", None, 200, "é<\n".encode())])
    r = v.ask("POST write?path={w}/j", b"no", {"Content-Type": "application/json"})
    assert r.status == 400 and json.loads(r.body)["error"] == "invalid JSON body", r.body


def curl_agrees(world):
    """curl by each of its ways to speak HTTP reads and writes the same."""
    with open(world.path("c"), "wb") as f:
        f.write(b"by curl " * 5000)
    view = VIEWS()[0]
    view.begin()
    certs = ["--cacert", WORLD.pki("ca.pem"), "--cert", WORLD.pki("client.pem"), "--key", WORLD.pki("client.key")]
    for flag, base in (("--http1.1", view.server.clear), ("--http2-prior-knowledge", view.server.clear),
                       ("--http2", view.server.tls), ("--http1.1", view.server.tls), ("--http1.0", view.server.clear)):
        url = base + "/api/v1/files?path=/memfs/w/c"
        curl = ["curl", "-sS", flag, *certs]
        wrote = subprocess.run([*curl, "-T", world.path("c"), url], capture_output=True, check=True).stdout
        assert wrote == b'{"message":"Written 40000 bytes"}\n', (flag, wrote)
        read = subprocess.run([*curl, "-w", "%{http_version} %{http_code} %{content_type}", url], capture_output=True, check=True).stdout
        version = {"--http1.0": b"1.1", "--http1.1": b"1.1"}.get(flag, b"2")
        assert read[:40000] == b"by curl " * 5000 and read[40000:] == version + b" 200 application/octet-stream", (flag, read[40000:])


def seek_backwards_through_a_mount(world):
    for v in VIEWS():
        v.begin()
        steps(v, HELLO)
        n = opened(v, "POST handles/open?path={w}/a")["handle_id"]
        steps(v, [("POST handles/%d/seek?offset=-5&whence=2" % n, None, 200, {"position": 6, "offset": 6}),
                  ("POST handles/%d/seek?offset=-1&whence=1" % n, None, 200, {"position": 5, "offset": 5}),
                  ("DELETE handles/%d" % n, None, 200, None)])


def absolute_link_through_a_mount(world):
    v = next(v for v in VIEWS() if not v.direct)
    v.begin()
    steps(v, [*HELLO, ("POST symlink?path={w}/l", {"target": "{w}/a"}, 201, None), ("GET files?path={w}/l", None, 200, b"hello world")])


def matrix_is_as_listed(world):
    """Every answer that differs from the stock server's is a row of the table of differences, and each row happens."""
    unlisted, unused = agfs_matrix.check(agfs_matrix.measure(VIEWS()))
    assert not unlisted and not unused, "\n".join(unlisted + ["never seen: " + t for t in unused])


def everywhere(name, case):
    """A test of one case in all views; the first view's answers are what the others must give."""
    def test(world):
        first = None
        for v in VIEWS():
            v.begin()
            case(v) if callable(case) else steps(v, case)
            first = first or v.trace
            for mine, other in zip(first, v.trace):
                assert mine == other, "%s answers differently:\n%s\n%s" % (v.name, other, mine)
            assert len(first) == len(v.trace), (name, v.name)
    test.__name__ = name
    return test


def VIEWS(kept=[]):
    if not kept:
        kept += agfs_views.views(WORLD)
    return kept


BUILD = os.path.abspath(sys.argv[1])
WORLD = World(BUILD)
atexit.register(WORLD.close)
if sys.argv[2:] == ["--matrix"]:
    print(agfs_matrix.markdown(agfs_matrix.measure(VIEWS())))
    sys.exit(0)
run([everywhere("endpoint_" + n, rows) for n, rows in ENDPOINTS.items()] +
    [everywhere("endpoint_handles", handles), everywhere("endpoint_write_alias_json", write_alias_json)] +
    [everywhere(n, case) for n, case in QUIRKS.items()] +
    [q29, q30_q32, curl_agrees, matrix_is_as_listed, seek_backwards_through_a_mount,
     absolute_link_through_a_mount], shared=WORLD)
