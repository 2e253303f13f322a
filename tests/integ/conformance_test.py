#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""The HTTP API by each transport, directly and through a proxied mount: the same answers everywhere.

usage: conformance_test.py BUILDDIR [TEST...]
       conformance_test.py BUILDDIR --matrix       prints what works where, as measured, in Markdown
       conformance_test.py BUILDDIR --differences  prints where the stock server answers differently
q01 to q33 are the places where the stock server surprises its readers (agfs_differences.py).
"""
import atexit
import datetime
import json
import os
import re
import socket
import subprocess
import sys

import agfs_differences
import agfs_matrix
try:
    import agfs_views
except ImportError as e:
    print("1..0 # SKIP %s: Debian's python3-httpx and python3-h2 are needed" % e)
    sys.exit(0)
from agfs_endpoints import (ENDPOINTS, HELLO, MISSING, NEED_PATH, SAID, handles, matches, mounts, opened, plugins, steps, system,
                            unlisted_differences)
from agfs_world import SOURCE, Api, World, run, wait_for


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
    """A search leaves control files alone: no message is lost to a recursive grep from above."""
    steps(v, [("POST mkdir?path={p}/queue/q", None, 201, None), ("PUT files?path={p}/queue/q/enqueue", b"needle", 200, None),
              ("POST grep", {"path": "{p}/queue", "pattern": "needle", "recursive": True}, 200, {"matches": None, "count": 0}),
              ("GET files?path={p}/queue/q/size", None, 200, b"1"), ("DELETE files?path={p}/queue/q&recursive=true", None, 200, None)])


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
    with socket.create_connection((host, int(port)), timeout=30) as s:
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
    unlisted, unused = agfs_matrix.check(agfs_matrix.measure(VIEWS(), agfs_views.plugin_view(WORLD)))
    assert not unlisted and not unused, "\n".join(unlisted + ["never seen: " + t for t in unused])


def readme_lists_the_differences(world):
    """The table in README.md is that of agfs_differences.py, and each of its rows names a test that runs."""
    assert agfs_differences.markdown() in open(os.path.join(SOURCE, "README.md")).read(), "put this there:\n" + agfs_differences.markdown()
    names = {t.__name__ for t in TESTS} | {"q30", "q32"}
    assert {row[0] for row in agfs_differences.QUIRKS} <= names, names
    assert ["q%02d" % n for n in range(1, 34)] == [row[0] for row in agfs_differences.QUIRKS][:33]


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
    print(agfs_matrix.markdown(agfs_matrix.measure(VIEWS(), agfs_views.plugin_view(WORLD))))
    sys.exit(0)
if sys.argv[2:] == ["--differences"]:
    print(agfs_differences.markdown())
    sys.exit(0)
CASES = {**{"endpoint_" + n: rows for n, rows in ENDPOINTS.items()}, "endpoint_handles": handles, "endpoint_system": system,
         "endpoint_mounts": mounts, "endpoint_plugins": plugins, "endpoint_write_alias_json": write_alias_json,
         "unlisted_differences": unlisted_differences, **QUIRKS}
TESTS = [everywhere(n, case) for n, case in CASES.items()] + [
    q29, q30_q32, curl_agrees, matrix_is_as_listed, readme_lists_the_differences, seek_backwards_through_a_mount,
    absolute_link_through_a_mount]
run(TESTS, shared=WORLD)
