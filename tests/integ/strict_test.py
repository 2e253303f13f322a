#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""What the server says to peers that break the rules: of HTTP/2 frame by frame (the cases of h2spec that concern a server,
by section of RFC 9113 and RFC 7541), of HTTP/1.1 request by request. It survives all of it.

usage: strict_test.py BUILDDIR [TEST...]
"""
import socket
import struct

from agfs_frames import (ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR,
                         GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITIZED, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM,
                         RST_CANCEL, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, Http2, frame, literal, request_block)
from agfs_world import Api, run, wait_for

GET = request_block(b"GET", b"/api/v1/version")
PUT = request_block(b"PUT", b"/api/v1/files?path=/memfs/f")
OPEN = frame(HEADERS, END_HEADERS, 1, PUT)  # a stream that waits for its body
DONE = frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)
OK = "ok"  # the connection stays usable
u16, u32 = (lambda n: struct.pack(">H", n)), (lambda n: struct.pack(">I", n))


def setting(identifier, value):
    return frame(SETTINGS, 0, 0, u16(identifier) + u32(value))


def block(*fields):
    return b"".join(literal(n, v) for n, v in fields)


def fields(*more, drop=(), end=END_STREAM):
    """A GET with fields added and dropped."""
    base = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/api/v1/version"), (b":authority", b"x")]
    return frame(HEADERS, END_HEADERS | end, 1, block(*[f for f in base if f[0] not in drop], *more))


CLOSED = (STREAM_CLOSED, PROTOCOL_ERROR)
# name, what is sent, expected: OK, or the codes that a GOAWAY or RST_STREAM may carry
FRAMES = [
    ("4.1 unknown frame type", frame(0x16, 0, 0, b"12345678"), OK),
    ("4.1 undefined flags", frame(PING, 0x16, 0, b"abcdefgh"), OK),
    ("4.1 reserved bit", frame(PING, 0, 0x80000000, b"abcdefgh"), OK),
    ("4.2 frame of the greatest size", OPEN + frame(DATA, END_STREAM, 1, b"x" * 16384), OK),
    ("4.2 DATA too large", OPEN + frame(DATA, END_STREAM, 1, b"x" * 16385), [FRAME_SIZE_ERROR]),
    ("4.2 HEADERS too large", frame(HEADERS, END_HEADERS, 1, GET + literal(b"x", b"y" * 16384)), [FRAME_SIZE_ERROR]),
    ("4.3 no header block", frame(HEADERS, END_HEADERS, 1, b"\0\1"), [COMPRESSION_ERROR]),
    ("4.3 PRIORITY inside of a block", frame(HEADERS, 0, 1, GET) + frame(PRIORITY, 0, 1, b"\0\0\0\0\xff"), [PROTOCOL_ERROR]),
    ("4.3 HEADERS of another stream inside", frame(HEADERS, 0, 1, GET) + frame(HEADERS, END_HEADERS, 3, GET), [PROTOCOL_ERROR]),
    ("5.1 idle: DATA", frame(DATA, END_STREAM, 1, b"x"), CLOSED),
    ("5.1 idle: RST_STREAM", frame(RST_STREAM, 0, 1, u32(RST_CANCEL)), [PROTOCOL_ERROR]),
    ("5.1 idle: WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 1, u32(1)), [PROTOCOL_ERROR]),
    ("5.1 idle: CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, GET), [PROTOCOL_ERROR]),
    ("5.1 half-closed: DATA", DONE + frame(DATA, END_STREAM, 1, b"x"), CLOSED),
    ("5.1 half-closed: HEADERS", DONE + frame(HEADERS, END_HEADERS | END_STREAM, 1, GET), CLOSED),
    ("5.1 half-closed: CONTINUATION", DONE + frame(CONTINUATION, END_HEADERS, 1, GET), CLOSED),
    ("5.1 closed: CONTINUATION", OPEN + frame(RST_STREAM, 0, 1, u32(RST_CANCEL)) + frame(CONTINUATION, END_HEADERS, 1, GET), CLOSED),
    ("5.1 closed: PRIORITY", DONE + frame(PRIORITY, 0, 1, b"\0\0\0\0\xff"), OK),
    ("5.1.1 even number", frame(HEADERS, END_HEADERS | END_STREAM, 2, GET), [PROTOCOL_ERROR]),
    # ignored like a frame of a stream that has been closed, which it cannot be told from
    ("5.1.1 smaller number", frame(HEADERS, END_HEADERS | END_STREAM, 5, GET) + frame(HEADERS, END_HEADERS | END_STREAM, 3, GET), OK),
    ("5.1.2 too many streams", b"".join(frame(HEADERS, END_HEADERS, 1 + 2 * n, PUT) for n in range(101)), [REFUSED_STREAM, PROTOCOL_ERROR]),
    ("5.3.1 HEADERS depends on itself", frame(HEADERS, END_HEADERS | END_STREAM | PRIORITIZED, 1, u32(1) + b"\xff" + GET), [PROTOCOL_ERROR]),
    ("5.3.1 PRIORITY depends on itself", frame(PRIORITY, 0, 1, u32(1) + b"\xff"), [PROTOCOL_ERROR]),
    ("5.5 unknown frame inside of a block", frame(HEADERS, 0, 1, GET) + frame(0xff, 0, 0, b"x"), [PROTOCOL_ERROR]),
    ("6.1 DATA on stream 0", frame(DATA, 0, 0, b"x"), [PROTOCOL_ERROR]),
    ("6.1 padding longer than DATA", OPEN + frame(DATA, END_STREAM | PADDED, 1, b"\x06abcd"), [PROTOCOL_ERROR]),
    ("6.1 padded DATA", OPEN + frame(DATA, END_STREAM | PADDED, 1, b"\x02abcd"), OK),
    ("6.2 HEADERS on stream 0", frame(HEADERS, END_HEADERS, 0, GET), [PROTOCOL_ERROR]),
    ("6.2 padding longer than HEADERS", frame(HEADERS, END_HEADERS | PADDED, 1, bytes([len(GET) + 1]) + GET), [PROTOCOL_ERROR]),
    ("6.2 padded HEADERS with priority", frame(HEADERS, END_HEADERS | END_STREAM | PADDED | PRIORITIZED, 1, b"\2" + u32(0) + b"\7" + GET + b"\0\0"), OK),
    ("6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, b"\0\0\0\0\xff"), [PROTOCOL_ERROR]),
    ("6.3 PRIORITY of 4 bytes", OPEN + frame(PRIORITY, 0, 1, b"\0\0\0\0"), [FRAME_SIZE_ERROR]),
    ("6.4 RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, u32(RST_CANCEL)), [PROTOCOL_ERROR]),
    ("6.4 RST_STREAM of 3 bytes", OPEN + frame(RST_STREAM, 0, 1, b"\0\0\0"), [FRAME_SIZE_ERROR]),
    ("6.5 SETTINGS ACK with content", frame(SETTINGS, ACK, 0, b"\0\1"), [FRAME_SIZE_ERROR]),
    ("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, b"\0\3" + u32(100)), [PROTOCOL_ERROR]),
    ("6.5 SETTINGS of 3 bytes", frame(SETTINGS, 0, 0, b"\0\3\0"), [FRAME_SIZE_ERROR]),
    ("6.5.2 ENABLE_PUSH 2", setting(2, 2), [PROTOCOL_ERROR]),
    ("6.5.2 window over the limit", setting(4, 1 << 31), [FLOW_CONTROL_ERROR]),
    ("6.5.2 frame size below the least", setting(5, 16383), [PROTOCOL_ERROR]),
    ("6.5.2 frame size over the greatest", setting(5, 1 << 24), [PROTOCOL_ERROR]),
    ("6.5.2 unknown setting", setting(0xff, 1), OK),
    ("6.5.3 the last value counts", frame(SETTINGS, 0, 0, u16(4) + u32(1) + u16(4) + u32(65535)), OK),
    ("6.7 PING with ACK", frame(PING, ACK, 0, b"invalid!"), OK),
    ("6.7 PING on a stream", frame(PING, 0, 1, b"abcdefgh"), [PROTOCOL_ERROR]),
    ("6.7 PING of 6 bytes", frame(PING, 0, 0, b"abcdef"), [FRAME_SIZE_ERROR]),
    ("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, u32(0) + u32(0)), [PROTOCOL_ERROR]),
    ("6.9 WINDOW_UPDATE 0", frame(WINDOW_UPDATE, 0, 0, u32(0)), [PROTOCOL_ERROR]),
    ("6.9 WINDOW_UPDATE 0 of a stream", OPEN + frame(WINDOW_UPDATE, 0, 1, u32(0)), [PROTOCOL_ERROR]),
    ("6.9 WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), [FRAME_SIZE_ERROR]),
    ("6.9.1 window overflows", frame(WINDOW_UPDATE, 0, 0, u32(0x7fffffff)) * 2, [FLOW_CONTROL_ERROR]),
    ("6.9.1 window of a stream overflows", OPEN + frame(WINDOW_UPDATE, 0, 1, u32(0x7fffffff)) * 2, [FLOW_CONTROL_ERROR]),
    ("6.10 two CONTINUATIONs", frame(HEADERS, END_STREAM, 1, GET[:9]) + frame(CONTINUATION, 0, 1, GET[9:20]) + frame(CONTINUATION, END_HEADERS, 1, GET[20:]), OK),
    ("6.10 CONTINUATION after the end", DONE + frame(CONTINUATION, END_HEADERS, 1, GET), CLOSED),
    ("6.10 CONTINUATION on stream 0", frame(HEADERS, 0, 1, GET) + frame(CONTINUATION, END_HEADERS, 0, GET), [PROTOCOL_ERROR]),
    ("6.10 DATA inside of a block", frame(HEADERS, 0, 1, GET) + frame(DATA, END_STREAM, 1, b"x"), [PROTOCOL_ERROR]),
    ("8.1 second HEADERS without END_STREAM", OPEN + frame(HEADERS, END_HEADERS, 1, block((b"x", b"y"))), [PROTOCOL_ERROR]),
    ("8.1 trailers", OPEN + frame(DATA, 0, 1, b"x") + frame(HEADERS, END_HEADERS | END_STREAM, 1, block((b"x", b"y"))), OK),
    ("8.1.2 upper case", fields((b"X-TEST", b"a")), [PROTOCOL_ERROR]),
    ("8.1.2 line break in a value", fields((b"x-test", b"a\r\nb: c")), [PROTOCOL_ERROR]),
    ("8.1.2 NUL in a value", fields((b"x-test", b"a\0b")), [PROTOCOL_ERROR]),
    ("8.1.2.1 unknown pseudo field", fields((b":test", b"a")), [PROTOCOL_ERROR]),
    ("8.1.2.1 pseudo field of a response", fields((b":status", b"200")), [PROTOCOL_ERROR]),
    ("8.1.2.1 pseudo field in trailers", OPEN + frame(HEADERS, END_HEADERS | END_STREAM, 1, block((b":method", b"GET"))), [PROTOCOL_ERROR]),
    ("8.1.2.1 pseudo field after others", frame(HEADERS, END_HEADERS | END_STREAM, 1, block((b"x", b"y")) + GET), [PROTOCOL_ERROR]),
    ("8.1.2.2 connection", fields((b"connection", b"keep-alive")), [PROTOCOL_ERROR]),
    ("8.1.2.2 transfer-encoding", fields((b"transfer-encoding", b"chunked")), [PROTOCOL_ERROR]),
    ("8.1.2.2 te other than trailers", fields((b"te", b"trailers, deflate")), [PROTOCOL_ERROR]),
    ("8.1.2.3 empty path", fields((b":path", b""), drop=(b":path",)), [PROTOCOL_ERROR]),
    *[("8.1.2.3 no " + n.decode(), fields(drop=(n,)), [PROTOCOL_ERROR]) for n in (b":method", b":scheme", b":path")],
    *[("8.1.2.3 two of " + n.decode(), frame(HEADERS, END_HEADERS | END_STREAM, 1, block((n, v)) + GET), [PROTOCOL_ERROR])
      for n, v in ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"))],
    ("8.1.2.6 content-length and less DATA", fields((b"content-length", b"5"), end=0) + frame(DATA, END_STREAM, 1, b"abcd"), [PROTOCOL_ERROR]),
    ("8.1.2.6 content-length and more DATA", fields((b"content-length", b"1"), end=0) + frame(DATA, 0, 1, b"ab") + frame(DATA, END_STREAM, 1, b"c"), [PROTOCOL_ERROR]),
    ("8.1.2.6 two of content-length", fields((b"content-length", b"1"), (b"content-length", b"2"), end=0) + frame(DATA, END_STREAM, 1, b"a"), [PROTOCOL_ERROR]),
    ("8.2 PUSH_PROMISE", DONE + frame(PUSH_PROMISE, END_HEADERS, 1, u32(2) + GET), [PROTOCOL_ERROR]),
    ("hpack 2.3.3 index beyond the tables", frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + b"\xff\x30"), [COMPRESSION_ERROR]),
    ("hpack 4.2 size update at the end", frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + b"\x21"), [COMPRESSION_ERROR]),
    ("hpack 5.2 padding of more than 7 bits", frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + b"\0\x04test\x84\x49\x50\x9f\xff"), [COMPRESSION_ERROR]),
    ("hpack 5.2 padding with zeros", frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + b"\0\x04test\x83\x49\x50\x90"), [COMPRESSION_ERROR]),
    ("hpack 5.2 with EOS", frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + b"\0\x04test\x87\x49\x51\xff\xff\xff\xfa\x7f"), [COMPRESSION_ERROR]),
    ("hpack 6.1 index 0", frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + b"\x80"), [COMPRESSION_ERROR]),
    ("hpack 6.3 size update over the limit", frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x3f\xe2\x1f" + GET), [COMPRESSION_ERROR]),
    ("hpack integer without end", frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff" + b"\xff" * 20), [COMPRESSION_ERROR]),
]


def codes(peer):
    return [int.from_bytes(f[3][4:8] if f[0] == GOAWAY else f[3], "big") for f in peer.frames if f[0] in (GOAWAY, RST_STREAM)]


def judge(url, name, data, expected):
    peer = Http2(url)
    peer.send(data)
    if expected is OK:
        assert peer.ping() and not codes(peer), codes(peer)
        peer.request(99, b"GET", b"/api/v1/version", end=True)
        assert peer.reply(99)[0] == 200
    else:
        alive = peer.ping()
        peer.until(lambda: codes(peer) or peer.ended)
        assert codes(peer) and set(codes(peer)) <= set(expected), "%r, not %r (alive %s)" % (codes(peer), expected, alive)
    peer.close()


def started(world):
    server = world.start("server", ["--mount", "memfs:/memfs"])
    wait_for("the mount", Api(server.clear).ready)
    return server


def test_http2_frame_by_frame(world):
    server = started(world)
    faults = []
    for row in FRAMES:
        try:
            judge(server.clear, *row)
        except (AssertionError, TimeoutError) as e:
            faults.append("%s: %s" % (row[0], e))
    assert not faults, "%d of %d\n%s" % (len(faults), len(FRAMES), "\n".join(faults))
    assert Api(server.clear).ready() and server.process.poll() is None
    print("# %d cases of HTTP/2" % len(FRAMES))


def test_http2_preface(world):
    server = started(world)
    for hello in (PREFACE + frame(PING, 0, 0, b"abcdefgh"), PREFACE[:-2] + b"XX" + frame(SETTINGS, 0, 0), PREFACE + b"garbage " * 20,
                  b"PRI * HTTP/2.0\r\n\r\nSM", PREFACE + frame(SETTINGS, ACK, 0)):
        peer = Http2(server.clear, hello=False)
        peer.send(hello)
        peer.socket.shutdown(socket.SHUT_WR)
        peer.until(lambda: peer.ended)
    assert Api(server.clear).ready()


def test_D08_a_header_without_end(world):
    """A block in endless pieces ends the connection, whatever is in them; the server goes on."""
    server = started(world)
    for piece in b"", literal(b"x", b"y"), literal(b"x", b"y" * 16000):
        peer = Http2(server.clear)
        peer.send(frame(HEADERS, END_STREAM, 1, GET))
        for _ in range(10000):
            if peer.ended:
                break
            peer.send(frame(CONTINUATION, 0, 1, piece))
        peer.goaway()
        assert peer.ended and not any(f[2] == 1 for f in peer.frames), peer.frames
        peer.close()
    assert Api(server.clear).get("version").status == 200


def test_http2_window_of_one_byte(world):
    """6.9.1 and 6.9.2: not a byte more than the window, however it comes about."""
    server = started(world)
    assert Api(server.clear).put("/memfs/f", b"0123456789").status == 200
    peer = Http2(server.clear, settings=u16(4) + u32(1))
    peer.request(1, b"GET", b"/api/v1/files?path=/memfs/f", end=True)
    seen = lambda: b"".join(f[3] for f in peer.frames if f[0] == DATA)
    peer.until(lambda: seen())
    assert peer.ping() and seen() == b"0"
    peer.send(setting(4, 3))
    peer.until(lambda: len(seen()) == 3)
    peer.send(setting(4, 0) + frame(WINDOW_UPDATE, 0, 1, u32(3)))  # the window was negative: nothing yet
    assert peer.ping() and len(seen()) == 3
    peer.send(frame(WINDOW_UPDATE, 0, 1, u32(100)))
    assert peer.reply(1) == (200, b"0123456789")
    peer.close()


def h1(method, *lines, body=b"", version=b"HTTP/1.1"):
    return b"\r\n".join([method + b" " + version, b"Host: x", *lines, b"", body])


PUT1 = b"PUT /api/v1/files?path=/memfs/h"
GET1 = b"GET /api/v1/version"
CHUNKED = b"Transfer-Encoding: chunked"
# name, request, status of the first answer; whatever follows a refused request is never taken for another one
REQUESTS = [
    ("plain", h1(GET1), 200),
    ("CL and TE", h1(PUT1, b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + h1(GET1)), 400),
    ("TE and CL", h1(PUT1, CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n" + h1(GET1)), 400),
    ("two CL", h1(PUT1, b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"), 400),
    ("the same CL twice", h1(PUT1, b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), 400),
    ("list of CL", h1(PUT1, b"Content-Length: 5, 5", body=b"hello"), 400),
    *[("CL " + n.decode("latin1"), h1(PUT1, b"Content-Length: " + n, body=b"hello"), 400)
      for n in (b"+5", b"-5", b"0x5", b"5 5", b"", b"99999999999999999999")],
    *[("TE " + n.decode("latin1"), h1(PUT1, b"Transfer-Encoding: " + n, body=b"0\r\n\r\n"), status)
      for n, status in ((b"gzip, chunked", 501), (b"chunked, chunked", 501), (b"xchunked", 501), (b"identity", 501),
                        (b"chunked;q=1", 501), (b"\x0bchunked", 400))],
    ("two TE", h1(PUT1, CHUNKED, CHUNKED, body=b"0\r\n\r\n"), 400),
    ("TE in HTTP/1.0", h1(PUT1, CHUNKED, body=b"0\r\n\r\n", version=b"HTTP/1.0"), 400),
    ("folded field", h1(GET1, b"X: a\r\n b"), 400),
    ("blank before the colon", h1(GET1, b"Content-Length : 0"), 400),
    ("blank before the name", h1(GET1, b" X: a"), 400),
    ("no colon", h1(GET1, b"X"), 400),
    ("bare LF", h1(GET1).replace(b"\r\n", b"\n"), 400),
    ("bare CR in a value", h1(GET1, b"X: a\rb"), 400),
    ("NUL in a value", h1(GET1, b"X: a\0b"), 400),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two hosts", h1(GET1, b"Host: y"), 400),
    ("absolute form of another host", b"GET http://y/api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("absolute form", b"GET http://x/api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    ("HTTP/2.0", h1(GET1, version=b"HTTP/2.0"), 505),
    ("HTTP/1.2", h1(GET1, version=b"HTTP/1.2"), 505),
    ("no version", b"GET /\r\n\r\n", 505),
    ("two blanks", b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("line too long", h1(GET1 + b"?" + b"a" * 17000), 414),
    ("fields too large", h1(GET1, *[b"X%d: " % n + b"a" * 1000 for n in range(40)]), 431),
    ("too many fields", h1(GET1, *[b"X%d: a" % n for n in range(101)]), 431),
    ("chunk", h1(PUT1, CHUNKED, body=b"5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n"), 200),
    *[("chunk size " + n.decode("latin1"), h1(PUT1, CHUNKED, body=n + b"\r\nhello\r\n0\r\n\r\n"), 400)
      for n in (b"-5", b"+5", b"0x5", b"", b" 5", b"5 ", b"g", b"ffffffffffffffff0")],
    ("chunk without CRLF", h1(PUT1, CHUNKED, body=b"5\r\nhelloX0\r\n\r\n"), 400),
    ("chunk with bare LF", h1(PUT1, CHUNKED, body=b"5\nhello\n0\n\n"), 400),
    ("long chunk extension", h1(PUT1, CHUNKED, body=b"5;" + b"x" * 300 + b"\r\nhello\r\n0\r\n\r\n"), 400),
]


def statuses(data):
    """Statuses of the answers in the bytes of a connection; bodies have a length here."""
    out = []
    while data.startswith(b"HTTP/1.1 "):
        head, data = data.split(b"\r\n\r\n", 1)
        length = next(int(l[16:]) for l in head.lower().split(b"\r\n") if l.startswith(b"content-length: "))
        out.append(int(head[9:12]))
        data = data[length:]
    assert not data, data
    return out


def talk(url, data, pieces=1 << 20):
    with socket.create_connection(("127.0.0.1", int(url.split(":")[2])), timeout=30) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = b""
        try:
            for at in range(0, len(data), pieces):
                s.sendall(data[at:at + pieces])
            s.shutdown(socket.SHUT_WR)
            while got := s.recv(65536):
                answer += got
        except ConnectionError:
            pass
    return answer


def test_http1_request_by_request(world):
    """Whole, and in segments of a byte each: the same answers, and none for what is smuggled behind."""
    server = started(world)
    faults = []
    for name, data, status in REQUESTS:
        for pieces in (1 << 20, 1) if len(data) < 2000 else (1 << 20, 7):
            got = statuses(talk(server.clear, data + h1(GET1), pieces))
            want = [status, 200] if status == 200 else [status]
            if got != want:
                faults.append("%s in pieces of %d: %r, not %r" % (name, pieces, got, want))
    assert not faults, "%d of %d\n%s" % (len(faults), len(REQUESTS), "\n".join(faults))
    pipelined = b"".join(h1(b"PUT /api/v1/files?path=/memfs/p%d" % n, b"Content-Length: 1", body=b"x") for n in range(50)) + h1(GET1) * 50
    assert statuses(talk(server.clear, pipelined)) == [200] * 100
    assert Api(server.clear).ready() and server.process.poll() is None
    print("# %d cases of HTTP/1.1" % len(REQUESTS))


run([test_http2_frame_by_frame, test_http2_preface, test_D08_a_header_without_end, test_http2_window_of_one_byte, test_http1_request_by_request])
