# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Clients that go away while their request waits for a remote."""
import http.client
import socket
import struct

from agfs_frames import RST_CANCEL, Http2
from agfs_world import wait_for


class Leaver:
    """Each makes a request of the server at api, and leaves once the upstream u has it: by how the connection ends."""

    def __init__(self, u, api):
        self.u, self.host = u, api.base.split("/")[2]

    def target(self, what, path):
        return "/api/v1/%s?path=%s" % (what, path)

    def waits(self, method, what, n):
        wait_for("the remote to have it", lambda: self.u.n(method, what) > n)

    def http1(self, method, what, path, how):
        n, c = self.u.n(method, what), http.client.HTTPConnection(self.host, timeout=30)
        c.request(method, self.target(what, path), body=b"x" if method == "PUT" else None)
        self.waits(method, what, n)
        if how == "reset":
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()

    def http2(self, method, what, path, how):
        n, c = self.u.n(method, what), Http2("http://" + self.host)
        c.request(1, method.encode(), self.target(what, path).encode(), end=method == "GET")
        if method != "GET":
            c.data(1, b"x", True)
        self.waits(method, what, n)
        if how == "reset":
            c.reset(1, RST_CANCEL)
            c.ping()
        c.close()

    def each(self):
        for client in (self.http1, self.http2):
            for how in ("close", "reset"):
                yield lambda *request, client=client, how=how: client(*request, how)
