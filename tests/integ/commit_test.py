#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""What a request does whose client goes away: nothing before its commit point, everything after it, and a message that
was taken for it goes back.

usage: commit_test.py BUILDDIR [TEST...]
"""
import json
import os
import socket
import struct
import urllib.parse

from agfs_frames import Http2, RST_CANCEL
from agfs_world import Api, run, wait_for

TREES = ("/memfs", "/local", "/kv/keys", "/queue/q", "/sqlite/q", "/streams")


def start(world):
    """A server with all drivers that keep something, and one that mounts it."""
    os.makedirs(world.path("host"), exist_ok=True)
    args = ["--mount", "localfs:/local:local_dir=" + world.path("host"),
            "--mount", "queuefs:/sqlite:backend=sqlite,db_path=" + world.path("queue.db")]
    for mount in ("memfs:/memfs", "kvfs:/kv", "queuefs:/queue", "streamfs:/streams"):
        args += ["--mount", mount]
    far = world.start("far", args, tls=True)
    near = world.start("near", world.mount_arg("/r", far.tls, **world.mtls()))
    wait_for("the mounts", lambda: Api(far.clear).ready() and Api(near.clear).ready())
    for q in ("/queue/q", "/sqlite/q"):
        assert Api(far.clear).post("mkdir", path=q).status == 201
    return far, near


def target(what, **query):
    return ("/api/v1/" + what + "?" + urllib.parse.urlencode(query)).encode()


def content(api, tree):
    """What a tree holds, in words that can be compared."""
    if "queue" in tree or "sqlite" in tree:
        return api.read(tree + "/size").body
    if tree.endswith("streams"):
        return api.get("stat", path=tree + "/f").json()["size"]
    return api.read(tree + "/f").body


def write_path(tree):
    return tree + ("/enqueue" if tree.endswith("/q") else "/f")


def test_D12_an_incomplete_request_changes_nothing(world):
    """Reset, closed or cut in the middle of its body, of a known length or not: for each driver, also through a mount."""
    far, near = start(world)
    api = Api(far.clear)
    for tree in TREES:
        assert api.put(write_path(tree), b"old").status == 200, tree
        before = content(api, tree)
        for server, prefix in ((far, ""), (near, "/r")):
            for size in (1000, 3 << 20):
                for length in (size, None):
                    for how in ("reset", "close"):
                        peer = Http2(server.clear)
                        peer.request(1, b"PUT", target("files", path=prefix + write_path(tree)), length=length)
                        peer.data(1, b"x" * 500, end=False)
                        peer.ping()  # the server has it
                        if how == "reset":
                            peer.reset(1, RST_CANCEL)
                            peer.ping()
                        peer.close()
        with socket.create_connection(("127.0.0.1", int(far.clear.split(":")[2]))) as s:
            s.sendall(b"PUT %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" % target("files", path=write_path(tree)))
        assert content(api, tree) == before, tree
    handle = api.post("handles/open", path="/memfs/f", flags=2).json()["id"]
    for what, query in (("handles/%d/write" % handle, {}), ("files", {"path": "/memfs/f", "flags": 1}), ("files", {"path": "/memfs/f", "offset": 1})):
        peer = Http2(far.clear)
        peer.request(1, b"PUT", target(what, **query), length=1000)
        peer.data(1, b"x" * 500, end=False)
        peer.reset(1, RST_CANCEL)
        peer.ping()
        peer.close()
    assert api.read("/memfs/f").body == b"old"
    wait_for("memory", lambda: api.get("limits").json()["in_use"]["body_memory"] == 0)


def test_B4_no_write_overtakes_a_later_one(world):
    """A complete write is reset, a PING says that the server knows, the next write follows: that one stays."""
    far, near = start(world)
    api = Api(far.clear)
    for tree in ("/memfs", "/local", "/kv/keys"):
        path = tree + "/f"
        for n in range(40):
            peer = Http2(far.clear)
            size = 10 if n % 2 else 2 << 20  # gathered; streamed
            peer.request(1, b"PUT", target("files", path=path), length=size)
            peer.data(1, b"o" * size, end=True)
            peer.reset(1, RST_CANCEL)
            peer.ping()
            assert api.put(path, b"new %d" % n).status == 200  # on a connection of its own
            peer.ping()
            assert api.read(path).body == b"new %d" % n, (path, n)
            peer.close()


def drain(api, queue):
    while (m := api.read(queue + "/dequeue").json()):
        yield m


def reset_dequeue(server, path, how):
    """Takes a message and goes away before the reply: by a reset in the same segment, or of the whole connection."""
    if how == "stream":
        peer = Http2(server.clear)
        peer.hold()
        peer.request(1, b"GET", target("files", path=path), end=True)
        peer.reset(1, RST_CANCEL)
        peer.release()
        peer.ping()
        peer.close()
        return
    with socket.create_connection(("127.0.0.1", int(server.clear.split(":")[2]))) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how == "connection":
            s.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target("files", path=path))


def test_D13_a_message_that_reached_nobody_goes_back(world):
    """In its old order, by each way of going away. A closed connection may have carried it: then it may be gone, never twice."""
    far, near = start(world)
    api = Api(far.clear)
    for queue in ("/queue/q", "/sqlite/q"):
        sent = ["m%d" % n for n in range(30)]
        for m in sent:
            assert api.put(queue + "/enqueue", m.encode()).status == 200
        for _ in range(20):
            reset_dequeue(far, queue + "/dequeue", "stream")
        wait_for("all to be back", lambda: api.read(queue + "/size").body == b"30")
        assert [m["data"] for m in drain(api, queue)] == sent
        for m in sent:
            assert api.put(queue + "/enqueue", m.encode()).status == 200
        for _ in range(20):
            reset_dequeue(far, queue + "/dequeue", "connection")
        wait_for("the connections to end", lambda: api.get("limits").json()["in_use"]["connections"] <= 3)
        got = [m["data"] for m in drain(api, queue)]
        assert len(set(got)) == len(got) and set(got) <= set(sent) and len(got) >= 10, got


def test_D13_with_an_id_it_is_kept_or_taken_again(world):
    """The same dequeue again, with its id: the same message, whether the first reply was lost on its way or not."""
    far, near = start(world)
    api = Api(far.clear)
    for n in range(20):
        assert api.put("/queue/q/enqueue", b"m%d" % n).status == 200
        req_id = b"%032x" % n
        peer = Http2(far.clear)
        peer.hold()
        peer.request(1, b"GET", target("files", path="/queue/q/dequeue"), end=True, fields=[(b"x-req-id", req_id)])
        if n % 2:
            peer.reset(1, RST_CANCEL)
        peer.release()
        peer.ping()
        if n % 2 == 0:
            status, body = peer.reply(1)
            assert status == 200 and json.loads(body)["data"] == "m%d" % n
        peer.request(3, b"GET", target("files", path="/queue/q/dequeue"), end=True, fields=[(b"x-req-id", req_id)])
        status, body = peer.reply(3)
        assert status == 200 and json.loads(body)["data"] == "m%d" % n, (n, status, body)
        peer.close()
    assert api.read("/queue/q/size").body == b"0"


def test_D13_a_handle_that_nobody_knows_of_is_closed(world):
    """Its client went away before the reply; directly, and of a remote."""
    far, near = start(world)
    n_handles = lambda s: Api(s.clear).get("handles").json()["count"]
    assert Api(far.clear).put("/memfs/f", b"content").status == 200
    kept = Api(far.clear).post("handles/open", path="/memfs/f", flags=0).json()["handle_id"]
    for server, path in ((far, "/memfs/f"), (near, "/r/memfs/f")):
        for _ in range(20):
            peer = Http2(server.clear)
            peer.hold()
            peer.request(1, b"POST", target("handles/open", path=path, flags="0"), end=True)
            peer.reset(1, RST_CANCEL)
            peer.release()
            peer.ping()
            peer.close()
        wait_for("the connections to end", lambda: Api(server.clear).get("limits").json()["in_use"]["connections"] <= 3)
        wait_for("all to be closed", lambda: n_handles(server) == (server is far))
    wait_for("those of the remote to be closed", lambda: n_handles(far) == 1)
    assert Api(far.clear).get("handles/%d" % kept).status == 200


run([test_D12_an_incomplete_request_changes_nothing, test_B4_no_write_overtakes_a_later_one,
     test_D13_a_message_that_reached_nobody_goes_back, test_D13_with_an_id_it_is_kept_or_taken_again,
     test_D13_a_handle_that_nobody_knows_of_is_closed])
