#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Files written in parts: handles/replace, handles/ID/write?offset=N, handles/ID/commit?size=N.

usage: replace_test.py BUILDDIR [TEST...]
"""
import os
import ssl
import urllib.error
import urllib.request

from agfs_chain import MIB, chain, check, content, settled
from agfs_world import Api, Reply, run, wait_for


class Store:
    """A server with a directory, and the calls of this test."""

    def __init__(self, world, name="server", args=()):
        self.dir = world.path("store")
        os.makedirs(self.dir, exist_ok=True)
        self.server = world.start(name, ["--mount", "localfs:/store:local_dir=" + self.dir, "--mount", "memfs:/memfs", *args], tls=True)
        self.api = Api(self.server.clear)
        wait_for("the mounts", self.api.ready)

    def replace(self, path="/store/f", **query):
        return check(self.api.post("handles/replace", path=path, **query)).json()["id"]

    def write(self, handle, data, **query):
        return self.api.call("PUT", "handles/%s/write" % handle, data=data, **query)

    def commit(self, handle, size, **header):
        request = urllib.request.Request("%s/api/v1/handles/%s/commit?size=%s" % (self.server.clear, handle, size), method="POST",
                                         headers={k.replace("_", "-"): v for k, v in header.items()})
        try:
            with urllib.request.urlopen(request, timeout=20) as r:
                return Reply(r.status, r.read(), r.headers)
        except urllib.error.HTTPError as e:
            return Reply(e.code, e.read(), e.headers)

    def uploads(self):
        return self.api.get("limits").json()["in_use"]["uploads"]

    def names(self):
        return sorted(os.listdir(self.dir))

    def f(self):
        with open(self.dir + "/f", "rb") as f:
            return f.read()


def refused(reply, status, cls, outcome="NA"):
    e = reply.json()
    assert (reply.status, e["class"], e["outcome"]) == (status, cls, outcome), e


def test_nothing_is_seen_before_the_commit(world):
    s = Store(world)
    check(s.api.put("/store/f", b"old"))
    for size in (0, 5, 3 * MIB + 5):
        new, half, before = content(size), size // 2, s.f()
        h = s.replace()
        assert s.uploads() == 1
        if size:
            assert check(s.write(h, new[half:], offset=half)).json()["bytes_written"] == size - half
            refused(s.commit(h, size), 400, "badarg")  # a gap
            refused(s.commit(h, size - half), 400, "badarg")  # a gap, and as many bytes
            check(s.write(h, new[:half + 1], offset=0))  # one of them is there already
            check(s.write(h, new[:half], offset=0))  # again
        refused(s.commit(h, size + 1), 400, "badarg")
        refused(s.commit(h, max(size - 1, 1)), 400, "badarg")
        assert s.f() == before and s.names() == ["f"] and s.api.read("/store/f").body == before
        check(s.commit(h, size))
        assert s.f() == new and s.names() == ["f"] and s.uploads() == 0
        for reply in (s.commit(h, size), s.write(h, b"late", offset=0), s.api.call("DELETE", "handles/%s" % h)):
            refused(reply, 404, "notfound")
        assert s.f() == new


def test_what_is_wrong_is_said_and_changes_nothing(world):
    s = Store(world)
    check(s.api.put("/store/f", b"old"))
    os.mkdir(s.dir + "/d")
    post = s.api.post
    for reply, status, cls in (
            (post("handles/replace"), 400, "badarg"),
            (post("handles/replace", path="/store/f", offset=1), 400, "badarg"),
            (post("handles/replace", path="/store/f", flags=1), 400, "badarg"),  # append
            (post("handles/replace", path="/store/f", lease="x"), 400, "badarg"),
            (post("handles/replace", path="/memfs/f"), 501, "unsupported"),
            (post("handles/replace", path="/store/none/f"), 404, "notfound"),
            (post("handles/replace", path="/none/f"), 404, "notfound"),
            (post("handles/replace", path="/store/d"), 400, "badarg"),
            (s.api.get("handles/replace", path="/store/f"), 405, "unsupported"),
            (s.commit(12345, 0), 404, "notfound"),
            (s.commit("x", 0), 400, "badarg"),
            (s.write(12345, b"x", offset=0), 404, "notfound")):
        refused(reply, status, cls)
    h = s.replace()
    for reply, status, cls in (
            (s.commit(h, ""), 400, "badarg"), (s.commit(h, -1), 400, "badarg"), (s.commit(h, "x"), 400, "badarg"),
            (s.api.get("handles/%s/commit" % h, size=0), 405, "unsupported"),
            (s.write(h, b"x"), 400, "badarg"), (s.write(h, b"x", offset=2**63 - 1), 400, "badarg"),
            (s.api.get("handles/%s/read" % h), 403, "denied"),
            (post("handles/%s/truncate" % h, size=0), 501, "unsupported")):
        refused(reply, status, cls)
    plain = check(post("handles/open", path="/store/f", flags=2)).json()["id"]
    refused(s.commit(plain, 3), 400, "badarg")
    other = check(post("handles/open", path="/memfs/README", flags=2)).json()["id"]
    refused(s.commit(other, 3), 501, "unsupported")
    once = s.replace(path="/store/g", flags=4)  # exclusive
    check(s.api.put("/store/g", b"first"))
    check(s.write(once, b"second", offset=0))
    refused(s.commit(once, 6), 409, "exists")
    assert s.api.read("/store/g").body == b"first"
    check(s.api.call("DELETE", "handles/%s" % h))
    assert s.f() == b"old" and s.names() == ["d", "f", "g"]
    read_only = world.start("near", world.mount_arg("/r", s.server.tls, read_only="true", **world.mtls()))
    near = Api(read_only.clear)
    wait_for("the mount", near.ready)
    refused(near.post("handles/replace", path="/r/store/f"), 403, "denied")
    for flags in (1, 2, 8, 16, 32, 64, 1 | 16 | 64):
        refused(near.post("handles/open", path="/r/store/f", flags=flags), 403, "denied")
        refused(near.post("handles/open", path="/r/store/new", flags=flags), 403, "denied")
    reader = check(near.post("handles/open", path="/r/store/f", flags=0)).json()["id"]
    assert check(near.get("handles/%s/read" % reader)).body == b"old"
    assert s.f() == b"old" and s.names() == ["d", "f", "g"]


def test_a_commit_with_an_id_happens_once(world):
    s = Store(world)
    h = s.replace()
    check(s.write(h, b"mine", offset=0))
    first = check(s.commit(h, 4, x_req_id="0123456789abcdef0123456789abcdef"))
    check(s.api.put("/store/f", b"of somebody else"))
    again = check(s.commit(h, 4, x_req_id="0123456789abcdef0123456789abcdef"))
    assert again.body == first.body and s.f() == b"of somebody else"
    refused(s.commit(h, 4, x_req_id="fedcba9876543210fedcba9876543210"), 404, "notfound")


def test_what_is_abandoned_ends_by_itself(world):
    s = Store(world)
    before = (s.server.n_fds(), s.server.n_threads() + 20)
    h = s.replace(lease=1)
    check(s.write(h, bytes(MIB), offset=0))
    long = s.replace(lease=86400)
    assert check(s.api.get("handles/%s" % long)).json()["lease"] == 300
    wait_for("the lease to end", lambda: s.uploads() == 1)
    for reply in (s.write(h, b"x", offset=0), s.commit(h, MIB)):
        refused(reply, 404, "notfound")
    check(s.write(long, b"x", offset=0))
    check(s.api.unmount("/store"))
    refused(s.commit(long, 1), 404, "notfound")
    assert s.uploads() == 0 and s.names() == []
    settled(s.server, before)
    check(s.api.mount("/store", "localfs", local_dir=s.dir))
    h = s.replace()
    check(s.write(h, b"x", offset=0))
    assert s.server.stop() == 0 and s.names() == []


def test_with_too_many_a_write_uses_one_stream(world):
    s = Store(world)
    context = ssl.create_default_context(cafile=world.pki("ca.pem"))
    context.load_cert_chain(world.pki("client.pem"), world.pki("client.key"))
    limits = s.api.get("limits").json()["limits"]
    assert limits["uploads"] == 2 * limits["uploads_per_client"], limits
    handles = []
    for api in (s.api, Api(s.server.tls, context)):  # an address, and a name
        for _ in range(limits["uploads_per_client"]):
            handles.append((api, check(api.post("handles/replace", path="/store/f")).json()["id"]))
        refused(api.post("handles/replace", path="/store/f"), 503, "overload")
    near = world.start("near", world.mount_arg("/r", s.server.tls, transfer_streams=16, **world.mtls()))
    wait_for("the mount", Api(near.clear).ready)
    for n in (1, 2):  # what it is that the mount gets by one stream, and by parts
        new = content(3 * MIB, seed=n)
        check(Api(near.clear).put("/r/store/f", new))
        assert s.f() == new
        for api, h in handles:
            check(api.call("DELETE", "handles/%s" % h))
        handles = []
    assert s.uploads() == 0 and s.names() == ["f"]


def test_every_kind_of_remote_gets_the_same_bytes(world):
    """Over two hops, each of which would use parts: to a driver that has them, to others, to an older server."""
    servers, api, at = chain(world, 2, transfer_streams=16)
    for n in (0, 1, MIB, MIB + 1, 5 * MIB + 1):
        new = content(n)
        for path in ("/store/f", "/memfs/f"):
            check(api.put(at + path, new))
            assert check(api.read(at + path)).body == new, (path, n)
    assert Api(servers[-1].clear).get("limits").json()["in_use"]["uploads"] == 0


run([test_nothing_is_seen_before_the_commit, test_what_is_wrong_is_said_and_changes_nothing,
     test_a_commit_with_an_id_happens_once, test_what_is_abandoned_ends_by_itself,
     test_with_too_many_a_write_uses_one_stream, test_every_kind_of_remote_gets_the_same_bytes])
