# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""An HTTP/2 client of single frames, in clear text: says what a well-behaved client never would."""
import socket
import struct
import time

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM,
 RST_CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field of HPACK without index and without Huffman code."""
    def text(s):
        return bytes([len(s)]) + s if len(s) < 127 else b"\x7f" + varint(len(s) - 127) + s
    return b"\0" + text(name) + text(value)


def varint(n):
    out = b""
    while n >= 128:
        out += bytes([n % 128 + 128])
        n //= 128
    return out + bytes([n])


def request_block(method, path, fields=()):
    block = b"".join(literal(n, v) for n, v in [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"x")])
    return block + b"".join(literal(n, v) for n, v in fields)


class Http2:
    """One connection. Frames that come are kept in .frames as (type, flags, stream, payload)."""

    def __init__(self, url, hello=True, settings=b"", context=None):
        host, port = url.split("://")[1].split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.held, self.input, self.frames, self.pings = None, b"", [], 0
        self.ended = False
        self.window, self.first_window, self.stream_window = 65535, 65535, {}
        if hello:
            self.send(PREFACE + frame(SETTINGS, 0, 0, settings))
            self.until(lambda: any(f[0] == SETTINGS and not f[1] & ACK for f in self.frames))
            self.send(frame(SETTINGS, ACK, 0))

    def hold(self):
        """What is sent from now on leaves at once, with release()."""
        self.held = b""

    def release(self):
        data, self.held = self.held, None
        self.send(data)

    def send(self, data):
        if self.held is not None:
            self.held += data
            return
        try:
            self.socket.sendall(data)
        except OSError:
            self.ended = True

    def read(self):
        """Reads once. False: the connection has ended."""
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        self.input += data
        while len(self.input) >= 9:
            n = int.from_bytes(self.input[:3], "big")
            if len(self.input) < 9 + n:
                break
            kind, flags, stream = self.input[3], self.input[4], int.from_bytes(self.input[5:9], "big")
            payload, self.input = self.input[9:9 + n], self.input[9 + n:]
            self.frames.append((kind, flags, stream, payload))
            if kind == SETTINGS:
                values = [struct.unpack(">HI", payload[at:at + 6]) for at in range(0, len(payload), 6)]
                self.first_window = dict(values).get(4, self.first_window)
            if kind == WINDOW_UPDATE:
                credit = int.from_bytes(payload, "big")
                if stream:
                    self.stream_window[stream] = self.stream_window.get(stream, self.first_window) + credit
                else:
                    self.window += credit
        self.ended = self.ended or not data
        return not self.ended

    def until(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "not within %d s" % seconds
            if not self.read():
                return condition()
        return True

    def request(self, stream, method, path, length=None, end=False, fields=()):
        more = [(b"content-length", b"%d" % length)] if length is not None else []
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, request_block(method, path, [*more, *fields])))

    def data(self, stream, data, end):
        while True:
            self.stream_window.setdefault(stream, self.first_window)
            n = min(len(data), 16384, self.window, self.stream_window[stream])
            last = n == len(data)
            if n or last:
                self.send(frame(DATA, END_STREAM if end and last else 0, stream, data[:n]))
                self.window -= n
                self.stream_window[stream] -= n
                data = data[n:]
            if last or not (n or self.read()):
                return

    def reset(self, stream, code):
        self.send(frame(RST_STREAM, 0, stream, struct.pack(">I", code)))

    def ping(self):
        """Waits until the server has seen everything so far. False: it ended the connection."""
        self.pings += 1
        payload = struct.pack(">Q", self.pings)
        self.send(frame(PING, 0, 0, payload))
        return self.until(lambda: any(f[0] == PING and f[1] & ACK and f[3] == payload for f in self.frames))

    def reply(self, stream):
        """(status, body) of a complete response; status None where it is not spelled plainly."""
        self.until(lambda: any(f[2] == stream and (f[0] == RST_STREAM or f[0] in (DATA, HEADERS) and f[1] & END_STREAM) for f in self.frames))
        mine = [f for f in self.frames if f[2] == stream]
        block = next((f[3] for f in mine if f[0] == HEADERS), b"")
        known = {0x88: 200, 0x89: 204, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}
        status = known.get(block[0]) if block else None
        return status, b"".join(f[3] for f in mine if f[0] == DATA)

    def goaway(self):
        """Waits for the end; the code of the last GOAWAY, None: there was none."""
        self.until(lambda: self.ended)
        codes = [int.from_bytes(f[3][4:8], "big") for f in self.frames if f[0] == GOAWAY]
        return codes[-1] if codes else None

    def rst(self, stream):
        """Waits for a reset of the stream; its code, None: the connection ended without."""
        seen = lambda: [int.from_bytes(f[3], "big") for f in self.frames if f[0] == RST_STREAM and f[2] == stream]
        self.until(lambda: seen() or self.ended)
        return seen()[0] if seen() else None

    def close(self):
        self.socket.close()
