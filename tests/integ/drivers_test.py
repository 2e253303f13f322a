#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Queues, live streams and requests that run once, directly and through a proxied mount.

usage: drivers_test.py BUILDDIR [TEST...]
"""
import json
import os
import socket
import struct
import threading
import urllib.error
import urllib.request

from agfs_world import Api, run, wait_for


def pair(world, protocol):
    remote = world.start("remote", ["--mount", "queuefs:/queue", "--mount", "streamfs:/streams",
                                    "--mount", "kvfs:/kv", "--mount", "memfs:/mem"])
    local = world.start("local", world.mount_arg("/r", remote.clear + "/api/v1", protocol=protocol))
    wait_for("the mount", Api(local.clear).ready)
    return Api(remote.clear), Api(local.clear)


class Follower:
    """GET stream=true in a thread; text is what came so far."""

    def __init__(self, api, path):
        self.text, self.ended = b"", False
        self.reply = urllib.request.urlopen(api.base + "files?stream=true&path=" + path, timeout=60)
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        while True:
            data = self.reply.read1(65536)
            if not data:
                break
            self.text += data
        self.ended = True


def follow_through(world, protocol):
    remote, local = pair(world, protocol)
    far, near = Follower(local, "/r/streams/s"), Follower(remote, "/streams/s")
    readers = lambda: local.get("stat", path="/r/streams/s").json()["meta"]["Content"]["active_readers"]
    wait_for("two readers", lambda: readers() == "2")
    assert remote.put("/streams/s", b"one;").status == 200
    wait_for("the first chunk", lambda: far.text == near.text == b"one;")
    assert local.put("/r/streams/s", b"two;").status == 200
    wait_for("the second chunk", lambda: far.text == near.text == b"one;two;")
    late = Follower(local, "/r/streams/s")
    wait_for("the history", lambda: late.text == b"one;two;")
    host, port = local.base.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as gone:
        gone.sendall(b"GET /api/v1/files?stream=true&path=/r/streams/s HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for("four readers", lambda: readers() == "4")
    wait_for("the reader that went away to be noticed by both servers", lambda: readers() == "3")
    assert local.call("DELETE", "files", path="/r/streams/s").status == 200
    wait_for("a clean end", lambda: far.ended and near.ended and late.ended)
    plain = local.read("/r/streams/s")
    assert plain.status == 400 and "use stream mode for reading stream files" in plain.error, plain.body


def test_follow_through_h2(world):
    follow_through(world, "h2")


def test_follow_through_h1(world):
    follow_through(world, "h1")


def test_an_idle_reader_does_not_hold_its_mount(world):
    server = world.start("server", ["--mount", "memfs:/o", "--mount", "streamfs:/o/live"])
    api = Api(server.clear)
    wait_for("the mounts", api.ready)
    idle = Follower(api, "/o/live/s")
    assert api.put("/o/live/s", b"one").status == 200
    wait_for("the chunk", lambda: idle.text == b"one")
    assert api.unmount("/o/live").status == 200
    wait_for("a clean end", lambda: idle.ended)
    assert api.get("stat", path="/o/live/s").status == 404


def test_reads_of_handles_that_wait_hold_up_nobody(world):
    """More than a mount has workers. Who goes away takes nothing: the next one reads it."""
    remote, local = pair(world, "h2")
    opened = lambda name: remote.post("handles/open", path="/streams/" + name, flags=18).json()["handle_id"]
    idle, busy = [opened("idle") for _ in range(40)], opened("busy")
    waiting = []
    for h in idle:
        s = socket.create_connection(remote.base.split("/")[2].split(":"), timeout=30)
        s.sendall(b"GET /api/v1/handles/%d/read?size=100 HTTP/1.1\r\nHost: a\r\n\r\n" % h)
        waiting.append(s)
    n = lambda: remote.get("limits").json()["in_use"]["connections"]
    wait_for("all to wait", lambda: n() >= len(idle))
    replies = []
    reader = threading.Thread(target=lambda: replies.append(remote.get("handles/%d/read" % busy, timeout=20).body))
    reader.start()
    assert remote.put("/streams/busy", b"news").status == 200
    reader.join()
    assert replies == [b"news"]
    for s in waiting[:20]:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    wait_for("the server to notice", lambda: n() <= len(idle) - 20 + 2)
    assert remote.put("/streams/idle", b"kept").status == 200
    for s in waiting[20:]:
        answer = b""
        while not answer.endswith(b"kept") and (piece := s.recv(65536)):
            answer += piece
        assert answer.endswith(b"kept"), answer
        s.close()
    for h in idle[:20]:
        assert remote.get("handles/%d/read" % h).body == b"kept"
        assert remote.get("handles/%d/read" % h, offset=0).status == 400, "it is behind that now"


def test_a_file_called_like_a_queues_is_no_message(world):
    """A message is read whole before it is passed on; a file of that name is as long as it likes."""
    os.makedirs(world.path("local"))
    with open(world.path("local/dequeue"), "wb") as f:
        f.truncate(256 << 20)
    server = world.start("server", ["--mount", "localfs:/l:local_dir=" + world.path("local")])
    api = Api(server.clear)
    wait_for("the mount", api.ready)
    before = server.status("VmHWM")
    r = api.read("/l/dequeue")
    assert r.status == 200 and len(r.body) == 256 << 20
    assert server.status("VmHWM") - before < 32 << 10, (before, server.status("VmHWM"))


def test_plugins_of_the_tree_leave_nothing_behind(world):
    os.mkdir(world.path("tmp"))  # of its own: other tests load plugins, too
    left = lambda: [n for n in os.listdir(world.path("tmp")) if n.startswith("agfs-plugin-")]
    with open(os.path.join(world.build, "tests/unit/agfsd/good.so"), "rb") as f:
        library = f.read()
    api = Api(world.start("server", ["--mount", "memfs:/m"], wrapper=("env", "TMPDIR=" + world.path("tmp"))).clear)
    wait_for("the mount", api.ready)
    before = left()
    for content, status in (library, 200), (library[:1000], 400), (b"no library", 400):
        assert api.put("/m/p.so", content).status == 200
        r = api.post("plugins/load", {"library_path": "agfs:///m/p.so"})
        assert r.status == status and left() == before, (r.status, r.body, left())
    loaded = [p for p in api.get("plugins").json()["plugins"] if p["is_external"]]
    assert len(loaded) == 1, loaded
    assert api.mount("/g", loaded[0]["name"]).status == 200
    assert api.get("directories", path="/g").status == 200 and api.unmount("/g").status == 200
    assert api.post("plugins/unload", {"library_path": loaded[0]["library_path"]}).status == 200
    assert left() == before and not [p for p in api.get("plugins").json()["plugins"] if p["is_external"]]


def test_queue_through_the_mount(world):
    remote, local = pair(world, "h2")
    assert local.post("directories", path="/r/queue/jobs").status == 201
    assert local.put("/r/queue/jobs/enqueue", b"work").json() == {"message": "Written 4 bytes"}
    names = [e["name"] for e in local.get("directories", path="/r/queue/jobs").json()["files"]]
    assert names == ["enqueue", "dequeue", "peek", "size", "clear"], names
    peeked = local.read("/r/queue/jobs/peek").body
    assert local.read("/r/queue/jobs/dequeue", size=1).body == peeked[:1], "it consumes all the same"
    assert local.read("/r/queue/jobs/dequeue").body == b"{}"
    big = b"b" * 2000000
    local.put("/r/queue/jobs/enqueue", big)
    assert json.loads(local.read("/r/queue/jobs/dequeue").body)["data"] == big.decode()
    h = local.post("handles/open", path="/r/queue/jobs/enqueue", flags=1).json()["handle_id"]
    assert local.call("PUT", "handles/%d/write" % h, data=b"by handle").json()["bytes_written"] == 9
    assert json.loads(remote.read("/queue/jobs/dequeue").body)["data"] == "by handle"
    assert local.put("/r/kv/keys/a", b"1").status == 200 and local.read("/r/kv/keys/a").body == b"1"


def ask(api, method, what, number, data=None, first=None):
    """A request with an id; returns status, body, header agfs-dedupe."""
    headers = {"x-req-id": "%032x" % number}
    if first:
        headers["x-first-attempt"] = first
    request = urllib.request.Request(api.base + what, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as r:
            return r.status, r.read(), r.headers.get("agfs-dedupe")
    except urllib.error.HTTPError as e:
        return e.code, e.read(), e.headers.get("agfs-dedupe")


def once(api, prefix, base):
    """Ids begin at base: through the mount they are passed on, so they must differ from earlier ones."""
    api.put(prefix + "/queue/q/clear", b"")
    put, take = "files?path=%s/queue/q/enqueue" % prefix, "files?path=%s/queue/q/dequeue" % prefix
    size = lambda: api.read(prefix + "/queue/q/size").body
    first = ask(api, "PUT", put, base + 1, b"m1")
    again = ask(api, "PUT", put, base + 1, b"m1")
    assert first[0] == 200 and again == first and size() == b"1", (first, again, size())
    ask(api, "PUT", put, base + 2, b"m2")
    assert size() == b"2"
    taken = ask(api, "GET", take, base + 3)
    assert json.loads(taken[1])["data"] == "m1"
    assert ask(api, "GET", take, base + 3) == taken and size() == b"1", "the same message, not the next one"
    assert ask(api, "PUT", take, base + 3, b"")[0] == 409, "the id of another request"
    boot = api.get("health").headers["agfs-boot"].split(";")[0]
    assert ask(api, "GET", take, base + 3, first=boot + ";age=10") == taken
    status, body, _ = ask(api, "GET", take, base + 4, first="0" * 32 + ";age=10")
    assert status == 412 and json.loads(body)["outcome"] == "UN" and size() == b"1", body
    assert ask(api, "GET", take, base + 5, first=boot + ";age=10")[0] == 200, "its first attempt never came"
    status, body, _ = ask(api, "DELETE", "files?path=%s/mem/none" % prefix, base + 6)
    assert status == 404 and ask(api, "DELETE", "files?path=%s/mem/none" % prefix, base + 6)[:2] == (status, body)
    # A response that is too large to be kept: known to be done, not done again.
    api.put(prefix + "/queue/q/enqueue", b"b" * 1500000)
    api.put(prefix + "/queue/q/enqueue", b"small")
    status, body, kept = ask(api, "GET", take, base + 7)
    assert status == 200 and len(body) > 1500000 and kept == "no", (status, kept)
    status, body, _ = ask(api, "GET", take, base + 7)
    assert status == 410 and json.loads(body)["outcome"] == "AP" and size() == b"1", body
    assert "dedupe" in api.get("capabilities").json()["features"]


def test_requests_run_once(world):
    remote, local = pair(world, "h2")
    once(remote, "", 100)
    once(local, "/r", 200)


def test_a_read_that_takes_nothing_is_not_remembered(world):
    """A repetition reads anew, as from the server itself, through two mounts too: that the first attempt took nothing comes back all the way. Of a queue nobody says so."""
    remote, local = pair(world, "h2")
    second = world.start("second", world.mount_arg("/r", local.base.rstrip("/"), protocol="h2"))
    wait_for("its mount", Api(second.clear).ready)
    sizes = (b"first", b"f" * 40000, b"f" * 3000000)
    for n, (api, path) in enumerate(((remote, "/mem/again"), (local, "/r/mem/again"), (Api(second.clear), "/r/r/mem/again"))):
        for k, content in enumerate(sizes):
            number = 400 + 10 * n + k
            remote.put("/mem/again", content)
            assert ask(api, "GET", "files?path=" + path, number)[:2] == (200, content), (path, len(content))
            remote.put("/mem/again", b"then")
            assert ask(api, "GET", "files?path=" + path, number) == (200, b"then", None), (path, len(content))
            boot = api.read(path).headers["agfs-boot"]
            assert boot.endswith("; plain") and len(boot) < 96, "clients keep 95 characters of it"
    for api, prefix in ((remote, ""), (local, "/r")):
        assert not api.read(prefix + "/queue/q/size").headers["agfs-boot"].endswith("plain"), "not known of any file there"


def test_a_message_asked_for_as_a_stream_is_taken_once(world):
    """A queue has no streams, whatever is asked for; those who follow a stream of the server's take nothing from each other."""
    remote, local = pair(world, "h2")
    remote.put("/streams/s", b"live")
    for n, (api, prefix) in enumerate(((remote, ""), (local, "/r"))):
        for message in (b"m1", b"m2"):
            assert api.put(prefix + "/queue/q/enqueue", message).status == 200
        take = "files?path=%s/queue/q/dequeue&stream=true" % prefix
        first = ask(api, "GET", take, 300 + n)
        assert json.loads(first[1])["data"] == "m1" and ask(api, "GET", take, 300 + n) == first, first
        assert api.read(prefix + "/queue/q/size").body == b"1"
        assert json.loads(ask(api, "GET", take, 310 + n)[1])["data"] == "m2"
    for _ in range(2):
        request = urllib.request.Request(remote.base + "files?path=/streams/s&stream=true", headers={"x-req-id": "%032x" % 320})
        with urllib.request.urlopen(request, timeout=30) as r:
            assert r.status == 200 and r.read(4) == b"live"


def test_a_repetition_waits_for_the_first(world):
    remote, local = pair(world, "h2")
    h = remote.post("handles/open", path="/streams/s", flags=18).json()["handle_id"]
    results = []
    read = "handles/%d/read?size=100" % h
    threads = [threading.Thread(target=lambda: results.append(ask(remote, "GET", read, 9))) for _ in range(5)]
    for t in threads:
        t.start()
    wait_for("a read that waits", lambda: remote.put("/streams/s", b"x").status == 200)
    for t in threads:
        t.join(30)
    assert [r[:2] for r in results] == [(200, results[0][1])] * 5 and results[0][1].startswith(b"x"), results


if __name__ == "__main__":
    run([test_follow_through_h2, test_follow_through_h1, test_an_idle_reader_does_not_hold_its_mount,
         test_reads_of_handles_that_wait_hold_up_nobody,
         test_a_file_called_like_a_queues_is_no_message, test_plugins_of_the_tree_leave_nothing_behind,
         test_queue_through_the_mount, test_requests_run_once,
         test_a_read_that_takes_nothing_is_not_remembered, test_a_message_asked_for_as_a_stream_is_taken_once,
         test_a_repetition_waits_for_the_first])
