#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Defects that the stock ProxyFS has, each replayed against ours: agfsd with a mount of a remote that misbehaves.

usage: replay_test.py BUILDDIR [TEST...]
D: data lost or doubled. E: errors that say something else. T: time. S: streams.
"""
import http.client
import json
import socket
import struct
import subprocess
import sys
import threading
import time

try:
    import h2.connection  # noqa: F401
except ImportError as e:
    print("1..0 # SKIP %s: Debian's python3-h2 is needed" % e)
    sys.exit(0)

from agfs_leaver import Leaver
from agfs_upstream import HANG, RESET, Answer, Upstream, error, info, written
from agfs_world import Api, at_once, run, wait_for

BYTES = "application/octet-stream"
CREATE, EXCLUSIVE, APPEND = 2, 4, 1  # flags of a write, as numbers
OPEN_READ_WRITE, OPEN_CREATE = 2, 16  # flags of a handle


def check(reply, status=200):
    assert reply.status == status, "%d: %s" % (reply.status, reply.body[:300])
    return reply


def near(world, *remotes, **options):
    """A server that mounts the remotes' URLs at /r, /r2, ...; its API."""
    args = ["--mount", "memfs:/local"]
    for i, url in enumerate(remotes):
        args += world.mount_arg("/r%s" % (i + 1 if i else ""), url, **options)
    server = world.start("near%d" % len(world.servers), args)
    api = Api(server.clear)
    wait_for("the mounts", api.ready)
    return api


def far(world, *more):
    server = world.start("far%d" % len(world.servers), ["--mount", "memfs:/memfs", "--mount", "queuefs:/queue",
                                                        "--mount", "streamfs:/live", *more])
    wait_for("its mounts", Api(server.clear).ready)
    return server.clear


class Scripted:
    """Upstreams of both protocols that answer by table: (method, what) -> answer or function of the request."""

    def __init__(self, world, hops=1, between="auto", **options):
        self.table, self.protocols = {}, {}
        for protocol in ("h1", "h2"):
            u = Upstream(self.answer, protocol)
            world.upstreams.append(u)
            api = near(world, u.url, protocol=protocol, **options)
            path = "/r"
            for _ in range(hops - 1):
                api, path = near(world, api.base[:-8], protocol=between, **options), path + "/r"
            self.protocols[protocol] = (u, api, path)

    def answer(self, request):
        a = self.table.get((request.method, request.what), error(404, "not found"))
        return a(request) if callable(a) else a

    def each(self):
        for u, api, path in self.protocols.values():
            u.hits.clear()
            yield u, api, path


def queue(world, url):
    """The queue /q of a remote; returns its API."""
    api = Api(url)
    check(api.post("directories", path="/queue/q"), 201)
    return api


# ---- data lost or doubled ---------------------------------------------------------------------

def D1_offset_and_flags_of_a_write_count(world):
    url = far(world)
    for protocol in ("h1", "h2"):
        api, f = near(world, url, protocol=protocol), "/r/memfs/" + protocol
        check(api.put(f, b"AAAA", offset=0))
        check(api.put(f, b"BBBB", offset=4, flags=0))
        assert check(api.read(f)).body == b"AAAABBBB"
        check(api.put(f, b"CC", flags=APPEND))
        assert check(api.read(f)).body == b"AAAABBBBCC"
        assert check(api.put(f, b"lost", flags=CREATE | EXCLUSIVE), 409).json()["class"] == "exists"
        assert check(api.read(f)).body == b"AAAABBBBCC"
    # A remote that ignores both is not asked: it would replace the file.
    s = Scripted(world)
    s.table[("GET", "capabilities")] = Answer(200, '{"version":"1.4.0","features":["handlefs"]}')
    s.table[("POST", "handles/open")] = error(501, "not supported")
    for u, api, path in s.each():
        assert check(api.put(path + "/f", b"BBBB", offset=4, flags=0), 501).json()["outcome"] == "NA"
        assert u.n("PUT", "files") == 0, u.hits


def D2_chunks_of_a_file_are_all_kept(world):
    """agfs-fuse writes a large file in chunks through a handle."""
    api = near(world, far(world))
    h = check(api.post("handles/open", path="/r/memfs/f", flags=OPEN_READ_WRITE | OPEN_CREATE)).json()["handle_id"]
    chunks = [bytes([65 + i]) * 4096 for i in range(8)]
    for i, chunk in enumerate(chunks):
        r = check(api.call("PUT", "handles/%d/write" % h, data=chunk, offset=i * 4096))
        assert r.json()["bytes_written"] == 4096
    check(api.call("DELETE", "handles/%d" % h))
    assert check(api.read("/r/memfs/f")).body == b"".join(chunks)


def D3_touch_never_empties_a_file(world):
    s = Scripted(world)
    s.table[("GET", "stat")] = s.table[("POST", "touch")] = error(503, "try later")
    for u, api, path in s.each():
        check(api.post("touch", path=path + "/f"), 503)
        assert u.n("PUT", "files") == 0 and u.n("POST", "truncate") == 0, u.hits
    url = far(world)
    remote, api = queue(world, url), near(world, url)
    check(api.put("/r/memfs/f", b"content"))
    check(api.post("touch", path="/r/memfs/f"))
    assert check(api.read("/r/memfs/f")).body == b"content"
    check(api.put("/r/queue/q/enqueue", b"message"))
    api.post("touch", path="/r/queue/q/dequeue")
    assert check(remote.read("/queue/q/size")).body == b"1", "touch took a message"


def D4_a_write_that_may_have_been_applied_is_not_repeated(world):
    s = Scripted(world)
    for answer, cls in ((RESET, "conn_lost"), (error(500), "io"), (error(502), "io"), (error(503), "busy"), (error(504), "io")):
        s.table[("PUT", "files")] = answer
        for u, api, path in s.each():
            r = api.put(path + "/q/enqueue", b"job").json()
            assert u.n("PUT", "files") == 1, "enqueued %d times after %s" % (u.n("PUT", "files"), answer)
            assert (r["class"], r["outcome"]) == (cls, "UN"), r


def D5_a_read_with_an_effect_is_not_repeated(world):
    """The kept connection dies when the remote has taken the message out."""
    s = Scripted(world)
    for u, api, path in s.each():
        messages = [b"one", b"two", b"three"]
        s.table[("GET", "files")] = lambda r: Answer(200, messages.pop(0), BYTES) if r.hit == 0 else (messages.pop(0), RESET)[1]
        assert check(api.read(path + "/q/dequeue")).body == b"one"  # the connection was good
        assert check(api.read(path + "/q/dequeue"), 502).json()["outcome"] == "UN"
        assert messages == [b"three"], "the next message was taken, too"


def D5_a_message_asked_for_as_a_stream_is_fetched_whole(world):
    """It is passed on when all of it has come, so that a remote that remembers it can be asked again."""
    def answer(request):
        if request.what != "files":
            return error(404, "not found")
        return Answer(200, b"message", BYTES) if request.hit else Answer(200, b"", BYTES, pieces=dies())

    def dies():
        yield b"mess"
        raise ConnectionError("the remote dies")

    u = Upstream(answer, boot="00112233445566778899aabbccddeeff; features=offset,flags,handles,dedupe")
    world.upstreams.append(u)
    api = near(world, u.url, protocol="h1")
    assert check(api.read("/r/q/dequeue", stream="true")).body == b"message"
    assert [r.query.get("stream") for r in u.hits if r.what == "files"] == ["true", "true"], u.hits


def D6_a_final_answer_is_asked_for_once_per_call(world):
    for hops in (1, 2):
        s = Scripted(world, hops)
        s.table[("PUT", "files")] = error(403, "permission denied")
        for u, api, path in s.each():
            check(api.put(path + "/f", b"x"), 403)
            assert u.n("PUT", "files") == 1, "%d hops: asked %d times" % (hops, u.n("PUT", "files"))


def D7_a_short_write_is_told(world):
    s = Scripted(world)
    s.table[("PUT", "files")] = written(3)
    s.table[("POST", "handles/open")] = Answer(200, '{"handle_id":7,"path":"/f","flags":2}')
    s.table[("PUT", "handles/7/write")] = Answer(200, '{"bytes_written":3}')
    for u, api, path in s.each():
        assert check(api.put(path + "/f", b"12345")).json()["message"] == "Written 3 bytes"
        h = check(api.post("handles/open", path=path + "/f", flags=OPEN_READ_WRITE)).json()["handle_id"]
        assert check(api.call("PUT", "handles/%d/write" % h, data=b"12345")).json()["bytes_written"] == 3


# ---- errors -----------------------------------------------------------------------------------

STATUSES = {400: "badarg", 403: "denied", 404: "notfound", 409: "exists", 413: "toobig", 501: "unsupported", 503: "busy"}


def E1_statuses_pass_every_hop(world):
    for hops in (1, 2):
        s = Scripted(world, hops, retries="1")
        for status, cls in STATUSES.items():
            s.table[("GET", "stat")] = s.table[("PUT", "files")] = s.table[("POST", "rename")] = error(status)
            for u, api, path in s.each():
                for r in (api.get("stat", path=path + "/f"), api.put(path + "/f", b"x"),
                          api.post("rename", {"newPath": path + "/g"}, path=path + "/f")):
                    assert check(r, status).json()["class"] == cls, r.body


def E2_the_text_does_not_grow(world):
    texts = set()
    for hops in (1, 2, 3):
        s = Scripted(world, hops)
        s.table[("GET", "stat")] = error(403, "permission denied: /f")
        texts |= {api.get("stat", path=path + "/f").error for u, api, path in s.each()}
    assert texts == {"HTTP 403: permission denied: /f"}, texts


def E3_an_empty_root_is_an_empty_directory(world):
    s = Scripted(world)
    for body in ('{"files":[]}', '{"files":null}'):
        s.table[("GET", "directories")] = Answer(200, body)
        for u, api, path in s.each():
            assert [f["name"] for f in check(api.get("directories", path=path)).json()["files"]] == ["reload"]
    url = far(world)
    check(Api(url).post("directories", path="/memfs/empty"), 201)
    api = near(world, url, remote_path="/memfs/empty")
    assert [f["name"] for f in check(api.get("directories", path="/r")).json()["files"]] == ["reload"]
    assert check(api.get("stat", path="/r")).json()["isDir"]


def E4_a_time_that_cannot_be_read_is_unknown(world):
    """Go's zero time means that; a tool of ours shows no time then, also two servers away."""
    s = Scripted(world, 2)
    s.table[("GET", "stat")] = info(when="yesterday")
    for u, api, path in s.each():
        shown = subprocess.run([world.agfs, "--server", api.base[:-8], "stat", "--json", path + "/f"], capture_output=True, timeout=30)
        st = json.loads(shown.stdout)
        assert st["modTime"] is None and st["size"] == 1, st


def E5_the_end_of_a_file_is_told(world):
    """Nothing to read is success without bytes, whichever way one reads; a short reply says how short."""
    url = far(world)
    for protocol in ("h1", "h2"):
        api = near(world, url, protocol=protocol)
        check(api.put("/r/memfs/f", b"12345"))
        assert check(api.read("/r/memfs/f", offset=3, size=10)).body == b"45"
        assert check(api.read("/r/memfs/f", offset=5, size=10)).body == b""
        h = check(api.post("handles/open", path="/r/memfs/f", flags=0)).json()["handle_id"]
        assert [check(api.get("handles/%d/read" % h, size=4)).body for _ in range(3)] == [b"1234", b"5", b""]
        check(api.call("DELETE", "handles/%d" % h))


def E6_seek_answers_where_it_is_and_an_unreadable_reply_is_no_success(world):
    s = Scripted(world)
    s.table[("POST", "handles/open")] = Answer(200, '{"handle_id":7,"path":"/f","flags":2}')
    s.table[("POST", "handles/7/seek")] = Answer(200, '{"position":42}')
    s.table[("PUT", "handles/7/write")] = Answer(200, "wrote it, I think")
    for u, api, path in s.each():
        h = check(api.post("handles/open", path=path + "/f", flags=OPEN_READ_WRITE)).json()["handle_id"]
        assert check(api.post("handles/%d/seek" % h, offset=42, whence=0)).json()["position"] == 42
        r = check(api.call("PUT", "handles/%d/write" % h, data=b"12345"), 502).json()
        assert (r["class"], r["outcome"]) == ("payload", "AP"), r


def E7_a_timeout_is_a_timeout(world):
    """It comes in time, as a class of its own, and what may have run is not repeated."""
    s = Scripted(world, timeout="3s")
    s.table[("PUT", "files")] = s.table[("GET", "files")] = s.table[("GET", "stat")] = HANG
    for u, api, path in s.each():
        replies = []
        at_once(lambda: replies.append(api.put(path + "/q/enqueue", b"x")), lambda: replies.append(api.read(path + "/f")),
                lambda: replies.append(api.get("stat", path=path + "/f")))
        for r in replies:
            r = check(r, 504).json()
            assert (r["class"], r["outcome"]) == ("timeout", "UN"), r
        assert len(replies) == len(u.hits) == 3, u.hits
    s.table[("PUT", "files")] = written(1)
    for u, api, path in s.each():
        check(api.put(path + "/q/enqueue", b"x"))  # not held up by what came of the one before


def E8_a_stream_fails_as_what_it_is(world):
    s = Scripted(world, retries="1")
    for status, cls in STATUSES.items():
        s.table[("GET", "files")] = error(status)
        for u, api, path in s.each():
            r = check(api.read(path + "/f", stream="true"), status)
            assert r.json()["class"] == cls, r.body
    s.table[("GET", "files")] = RESET
    for u, api, path in s.each():
        check(api.read(path + "/f", stream="true"), 502)


# ---- time -------------------------------------------------------------------------------------

def T1_a_timeout_bounds_the_wait_not_the_size(world):
    """A body that takes several times the option timeout, but comes, is read and written."""
    piece, n = b"x" * 16384, 14
    s = Scripted(world, timeout="2s")

    def slowly():  # the clock of the other side: that a piece comes late is no matter, that none comes for 2 s is
        for _ in range(n):
            time.sleep(0.4)
            yield piece

    s.table[("GET", "files")] = lambda r: Answer(200, b"", BYTES, pieces=slowly())
    s.table[("PUT", "files")] = lambda r: written(len(r.body))
    for u, api, path in s.each():
        bodies = []
        reader = threading.Thread(target=lambda: bodies.append(api.read(path + "/f").body))
        reader.start()
        c = http.client.HTTPConnection(api.base.split("/")[2], timeout=30)
        c.putrequest("PUT", "/api/v1/files?path=%s/g" % path)
        c.putheader("Content-Length", str(n * len(piece)))
        c.endheaders()
        for block in slowly():
            c.send(block)
        r = c.getresponse()
        assert (r.status, json.loads(r.read())["message"]) == (200, "Written %d bytes" % (n * len(piece)))
        c.close()
        reader.join()
        assert bodies == [piece * n], [len(b) for b in bodies]
        assert [len(r.body) for r in u.hits if r.method == "PUT"] == [n * len(piece)]


def T6_who_gives_up_is_not_waited_for(world):
    """The caller of the first server goes away: what it followed on the remote ends, long before its time."""
    s = Scripted(world, timeout="1h")
    s.table[("GET", "files")] = Answer(200, b"", BYTES, pieces=[b"first"], ends=False)
    for u, api, path in s.each():
        c = http.client.HTTPConnection(api.base.split("/")[2], timeout=30)
        c.request("GET", "/api/v1/files?path=%s/f&stream=true" % path)
        r = c.getresponse()
        assert r.read(5) == b"first"
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        r.close()
        c.close()
        wait_for("the remote to be told that nobody follows", u.cancelled.is_set)


def reads_are_given_up(world, hops, between, reads):
    """The remote answers nothing. Reads are cancelled there, nothing else is, however the client goes."""
    s = Scripted(world, hops, between, timeout="1h", max_connections="32")
    s.table.update({("GET", what): HANG for what in (*reads, "files")})
    s.table[("PUT", "files")] = HANG
    for u, api, path in s.each():
        for i, leave in enumerate(Leaver(u, api).each()):
            for method, f in (("GET", "/q%d/dequeue" % i), ("PUT", "/f%d" % i)):
                leave(method, "files", path + f)
            for what in reads:
                del u.given_up[:]
                leave("GET", what, path + "/d")
                wait_for("%s to be given up" % what, lambda: u.given_up)
                assert [(r.method, r.what, r.path) for r in u.given_up] == [("GET", what, "/d")], u.given_up
        assert u.n("GET", "files") + u.n("PUT", "files") == 8 + 4 * ("files" in reads), u.hits


def T6_a_read_whose_client_left_is_given_up(world):
    reads_are_given_up(world, 1, "auto", ("stat", "directories", "files"))


def T6_the_same_over_two_hops(world):
    reads_are_given_up(world, 2, "h2", ("stat", "directories", "files"))


def T6_the_same_over_a_hop_of_http11(world):
    """Whose end may be an accident: what may be asked for again under its id goes on."""
    reads_are_given_up(world, 2, "h1", ("stat", "directories"))


def A013_a_drip_is_cut(world):
    """A byte now and then: no read waits for long, and yet it ends. A live stream may be as slow as it likes."""
    s = Scripted(world, timeout="5s")
    over = threading.Event()

    def drip():
        while not over.wait(0.2):
            yield b"x"

    s.table[("GET", "files")] = lambda r: Answer(200, b"", BYTES, pieces=drip())
    began, ends, live = time.monotonic(), [], []

    def read(api, path, kept, **query):
        c = http.client.HTTPConnection(api.base.split("/")[2], timeout=60)
        c.request("GET", "/api/v1/files?path=%s/f%s" % (path, "".join("&%s=%s" % kv for kv in query.items())))
        r = c.getresponse()
        try:
            r.read()
            kept.append("complete")
        except (http.client.IncompleteRead, ConnectionError):
            kept.append("cut")
        c.close()

    drips = [threading.Thread(target=read, args=(api, path, ends)) for u, api, path in s.each()]
    u, api, path = s.protocols["h1"]
    follower = threading.Thread(target=read, args=(api, path, live), kwargs={"stream": "true"})
    for t in (*drips, follower):
        t.start()
    for t in drips:
        t.join(60)
    took = time.monotonic() - began
    assert ends == ["cut", "cut"] and 14 < took < 45, (ends, took)
    assert not live, "a live stream was cut"
    over.set()
    follower.join()
    assert live == ["complete"], live


def A124_mounts_that_form_a_ring(world):
    one, two = Api(far(world)), Api(far(world))
    check(one.mount("/r", "proxyfs", base_url=two.base[:-8]))
    check(two.mount("/r", "proxyfs", base_url=one.base[:-8]))
    assert check(one.read("/r/r/r/memfs/README")).body
    deep = "/r" * 20 + "/memfs/README"
    for r in (one.get("stat", path=deep), one.read(deep), one.put(deep, b"x"), one.call("DELETE", "files", path=deep)):
        r = r.json()
        assert (r["class"], r["outcome"]) == ("invalid", "NA") and "loop" in r["error"], r
    check(one.post("grep", {"path": "/r/memfs", "pattern": "memfs", "recursive": True}))
    # A ring that is the same at each turn: who waited for the first request with that id would wait for itself.
    check(one.mount("/same", "proxyfs", base_url=two.base[:-8], remote_path="/same", timeout="1h"))
    check(two.mount("/same", "proxyfs", base_url=one.base[:-8], remote_path="/same", timeout="1h", lazy="true"))
    for r in (one.get("stat", path="/same/f"), one.read("/same/f"), one.put("/same/f", b"x")):
        assert r.json()["outcome"] == "NA" and "loop" in r.json()["error"], r.body


def A128_what_a_remote_says_of_itself_makes_no_queue_readable_twice(world):
    s = Scripted(world)
    s.table[("GET", "files")] = s.table[("PUT", "files")] = RESET
    for capabilities in (error(404), Answer(200, '{"version":"1.4.0","features":["offset","dedupe","handlefs"]}'), Answer(200, "nonsense")):
        s.table[("GET", "capabilities")] = capabilities
        for u, api, path in s.each():
            api.get("capabilities", path=path)
            for r, method in ((api.read(path + "/q/dequeue"), "GET"), (api.put(path + "/q/enqueue", b"x"), "PUT")):
                assert u.n(method, "files") == 1 and r.json()["outcome"] == "UN", (u.hits, r.body)


def T7_a_mount_that_hangs_holds_up_nobody(world):
    silent = Upstream(lambda r: HANG, health=False)
    world.upstreams.append(silent)
    api = near(world, far(world), timeout="10s")
    replies = []
    t = threading.Thread(target=lambda: replies.append(api.mount("/hanging", "proxyfs", base_url=silent.url, timeout="5m",
                                                                 connect_timeout="5m")))
    t.start()
    wait_for("the mount to hang", lambda: silent.hits)
    for _ in range(20):
        check(api.get("stat", path="/r/memfs"))
        check(api.put("/r/memfs/f", b"x"))
        h = check(api.post("handles/open", path="/r/memfs/f", flags=0)).json()["handle_id"]
        check(api.call("DELETE", "handles/%d" % h))
        check(api.get("mounts"))
    check(api.mount("/second", "memfs"))
    assert not replies, "the mount came back before the others were done: it held nobody up, or everybody"
    silent.close()
    t.join()
    assert replies[0].status >= 500, replies[0].body


# ---- streams ----------------------------------------------------------------------------------

def S2_an_idle_stream_stays_and_a_cut_one_is_an_error(world):
    idle = threading.Event()
    s = Scripted(world, timeout="2s", keepalive_interval="1s", keepalive_timeout="10s")

    def live(cut):
        yield b"first"
        idle.wait(60)
        yield b"second"
        if cut:
            raise ConnectionError("the remote dies")

    for cut in (False, True):
        for u, api, path in s.each():
            idle.clear()
            s.table[("GET", "files")] = lambda r: Answer(200, b"", BYTES, pieces=live(cut))
            c = http.client.HTTPConnection(api.base.split("/")[2], timeout=30)
            c.request("GET", "/api/v1/files?path=%s/f&stream=true" % path)
            r = c.getresponse()
            assert r.read(5) == b"first"
            since = time.monotonic()
            wait_for("a silence of several timeouts", lambda: cut or time.monotonic() - since > 4.5)
            idle.set()
            assert r.read(6) == b"second"
            try:
                rest, complete = r.read(), True
            except (http.client.IncompleteRead, ConnectionError):
                complete = False
            assert complete != cut, "a stream that was cut looks complete" if cut else "it was cut"
            c.close()


run([t for n, t in sorted(globals().items()) if n[0] in "ADETS" and n[1:2].isdigit()], at_once=4)
