# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""A remote that does as it is told: HTTP/1.1 or HTTP/2 in clear text, one answer(request) for all."""
import socket
import struct
import threading
import urllib.parse

from agfs_world import end_listener

HEALTH = b'{"status":"healthy","version":"1.4.0","features":[]}\n'
JSON = "application/json"


class Request:
    """what: the path below /api/v1/; hit: how many of the same method and path came before."""

    def __init__(self, method, target, body):
        path, _, query = target.partition("?")
        self.method, self.what, self.body = method, path.split("/api/v1/", 1)[-1], body
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.path = self.query.get("path")

    def __repr__(self):
        return "%s %s %s" % (self.method, self.what, self.path or "")


class Answer:
    """pieces: an iterable of bytes, each sent as it comes; it may wait in between. ends: False leaves it open behind them."""

    def __init__(self, status, body=b"", kind=JSON, pieces=None, ends=True):
        self.status, self.kind, self.pieces, self.ends = status, kind, pieces, ends
        self.body = body if isinstance(body, bytes) else body.encode()


def error(status, text="failed"):
    return Answer(status, '{"error":"%s"}\n' % text)


def written(n):
    return Answer(200, '{"message":"Written %d bytes"}\n' % n)


def info(name="f", size=1, when="2026-01-02T03:04:05Z", is_dir="false"):
    return Answer(200, '{"name":"%s","size":%d,"mode":420,"modTime":"%s","isDir":%s,"meta":{"Name":"","Type":"","Content":{}}}\n'
                  % (name, size, when, is_dir))


RESET = "the connection is reset, without an answer"
HANG = "there is no answer; the connection stays"


class Upstream:
    """url serves; with `boot` HTTP/1.1 answers have that header agfs-boot. Requests but health checks are kept in .hits before answer(request) is asked what to say."""

    def __init__(self, answer, protocol="h1", health=True, boot=None):
        self.answer, self.protocol, self.health = answer, protocol, health
        self.boot = "agfs-boot: %s\r\n" % boot if boot else ""
        self.hits, self.ended, self.cancelled, self.accepted = [], threading.Event(), threading.Event(), 0
        self.given_up = []  # requests whose stream was reset with CANCEL, or whose connection ended, while they hung
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def n(self, method, what):
        return sum(r.method == method and r.what == what for r in self.hits)

    def close(self):
        self.ended.set()
        end_listener(self.socket)

    def serve(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            self.accepted += 1
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.guarded, args=(s,), daemon=True).start()

    def guarded(self, s):
        with s:
            try:
                (self.talk_h2 if self.protocol == "h2" else self.talk_h1)(s)
            except OSError:
                self.cancelled.set()

    def decide(self, request):
        if request.what == "health" and self.health:
            return Answer(200, HEALTH)
        request.hit = self.n(request.method, request.what)
        self.hits.append(request)
        return self.answer(request)

    @staticmethod
    def reset(s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def wait_for_the_end(self, s):
        """Until the other side ends the connection, or the test does."""
        s.settimeout(0.05)
        while not self.ended.is_set():
            try:
                if not s.recv(65536):
                    self.cancelled.set()
                    return True
            except TimeoutError:
                pass
            except ConnectionError:
                self.cancelled.set()
                return True
        return False

    def talk_h1(self, s):
        f = s.makefile("rb")
        while line := f.readline():
            fields = {}
            while (field := f.readline()) not in (b"\r\n", b""):
                name, _, value = field.decode().partition(":")
                fields[name.lower()] = value.strip()
            if fields.get("expect"):
                s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = f.read(int(fields.get("content-length", 0)))
            while fields.get("transfer-encoding") == "chunked" and (n := int(f.readline(), 16)):
                body += f.read(n + 2)[:-2]
            if fields.get("transfer-encoding") == "chunked":
                f.readline()
            request = Request(line.split()[0].decode(), line.split()[1].decode(), body)
            a = self.decide(request)
            if a is RESET:
                f.close()
                self.reset(s)
                return
            if a is HANG:
                if self.wait_for_the_end(s):
                    self.given_up.append(request)
                return
            length = "Transfer-Encoding: chunked" if a.pieces else "Content-Length: %d" % len(a.body)
            s.sendall(b"HTTP/1.1 %d Says-So\r\nContent-Type: %s\r\n%s%s\r\n\r\n%s"
                      % (a.status, a.kind.encode(), self.boot.encode(), length.encode(), a.body))
            for piece in a.pieces or ():
                s.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            if not a.ends:
                self.wait_for_the_end(s)
                return
            if a.pieces:
                s.sendall(b"0\r\n\r\n")

    def talk_h2(self, s):
        import h2.config
        import h2.connection
        import h2.errors
        import h2.events
        c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        c.initiate_connection()
        s.sendall(c.data_to_send())
        open_, bodies, hanging = {}, {}, {}
        while data := s.recv(65536):
            for e in c.receive_data(data):
                if isinstance(e, h2.events.RequestReceived):
                    open_[e.stream_id], bodies[e.stream_id] = dict(e.headers), b""
                elif isinstance(e, h2.events.DataReceived):
                    bodies[e.stream_id] += e.data
                    c.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
                elif isinstance(e, h2.events.StreamReset):
                    self.cancelled.set()
                    if e.stream_id in hanging and e.error_code == h2.errors.ErrorCodes.CANCEL:
                        self.given_up.append(hanging.pop(e.stream_id))
                elif isinstance(e, h2.events.StreamEnded):
                    head = open_.pop(e.stream_id)
                    request = Request(head[":method"], head[":path"], bodies.pop(e.stream_id))
                    a = self.decide(request)
                    if a is RESET:
                        self.reset(s)
                        return
                    if a is HANG:
                        hanging[e.stream_id] = request
                        continue
                    c.send_headers(e.stream_id, [(":status", str(a.status)), ("content-type", a.kind)])
                    for piece in a.pieces or ():
                        c.send_data(e.stream_id, piece)
                        s.sendall(c.data_to_send())
                    c.send_data(e.stream_id, a.body, end_stream=a.ends)
            s.sendall(c.data_to_send())
