# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""A headless Chromium without a network, steered over a pipe by its DevTools protocol; and the pixels of its screenshots."""
import base64
import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
import zlib

NAMES = ("chromium-headless-shell", "chromium")


def find():
    """The browser's program, or None."""
    return next((p for p in map(shutil.which, NAMES) if p), None)


class Browser:
    """with Browser() as b: b.open(path) ... One page at a time; what it logs, throws and asks for is collected."""

    def __init__(self, deadline=60):
        self.deadline, self.number, self.buffer = deadline, 0, b""
        self.profile = tempfile.mkdtemp(prefix="agfs-browser.")
        to_r, to_w = os.pipe()
        from_r, from_w = os.pipe()
        # Without an own name space (not allowed everywhere) no name is found and no proxy is asked.
        alone = ["unshare", "-rn"] if subprocess.run(["unshare", "-rn", "true"], stderr=subprocess.DEVNULL).returncode == 0 else []
        self.isolated = bool(alone)
        command = alone + [find(), "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
                           "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-dev-shm-usage", "--hide-scrollbars",
                           "--user-data-dir=" + self.profile, "about:blank"]
        # It reads descriptor 3 and writes descriptor 4; the shell puts the pipes there.
        self.process = subprocess.Popen(["bash", "-c", 'exec 3<&%d 4>&%d; exec "$@"' % (to_r, from_w), "bash"] + command,
                                        pass_fds=(to_r, from_w), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_r)
        os.close(from_w)
        self.to, self.back = to_w, from_r
        os.set_blocking(self.back, False)
        self.events, self.session = [], None
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.to)  # ends it
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.back)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _message(self, end):
        while b"\0" not in self.buffer:
            if time.monotonic() > end:
                raise AssertionError("the browser does not answer within %d s" % self.deadline)
            if self.process.poll() is not None:
                raise AssertionError("the browser ended with code %d" % self.process.returncode)
            try:
                self.buffer += os.read(self.back, 1 << 20)
            except BlockingIOError:
                time.sleep(0.005)
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        end = time.monotonic() + self.deadline
        while True:
            m = self._message(end)
            if m.get("id") == self.number:
                if "error" in m:
                    raise AssertionError("%s: %s" % (method, m["error"]))
                return m["result"]
            self.events.append(m)

    def open(self, path, width=1280, height=900, scheme="light"):
        """Loads the file and waits until it has been drawn."""
        self.events = []
        self.resize(width, height)
        self.scheme(scheme)
        self.call("Page.navigate", url="file://" + path)
        end = time.monotonic() + self.deadline
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self._message(end))
        self.settle()

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def settle(self):
        """Two frames: what was asked for has been drawn."""
        self.value("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(r, 0))))")

    def value(self, expression):
        r = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in r:
            raise AssertionError("%s: %s" % (expression, r["exceptionDetails"]))
        return r["result"].get("value")

    def key(self, key):
        typed = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def requests(self):
        """What the page asked for: all URLs but its own, and those that name no place."""
        urls = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [u for u in urls[1:] if not u.startswith(("data:", "blob:"))]

    def complaints(self):
        """What went to the console, was logged or thrown."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [e["params"] for e in self.events if e.get("method") in kinds]

    def screenshot(self, box):
        """What is seen in the box (x, y, width, height) of the page."""
        clip = dict(zip(("x", "y", "width", "height"), box), scale=1)
        return Pixels(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]))

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF")["data"])


class Pixels:
    """A PNG of 8 bits a channel, decoded."""

    def __init__(self, png):
        at, data = 8, b""
        while at < len(png):
            n, kind = struct.unpack(">I4s", png[at:at + 8])
            body = png[at + 8:at + 8 + n]
            if kind == b"IHDR":
                self.width, self.height, bits, color = struct.unpack(">IIBB", body[:10])
                assert bits == 8 and color in (2, 6), (bits, color)
                self.channels = 3 if color == 2 else 4
            elif kind == b"IDAT":
                data += body
            at += 12 + n
        self.rows = self._unfilter(zlib.decompress(data))

    def _unfilter(self, raw):
        n, c, rows = self.width * self.channels, self.channels, []
        above = bytearray(n)
        for y in range(self.height):
            kind, row = raw[y * (n + 1)], bytearray(raw[y * (n + 1) + 1:(y + 1) * (n + 1)])
            for i in range(n) if kind else ():
                left = row[i - c] if i >= c else 0
                if kind == 1:
                    row[i] = (row[i] + left) & 255
                elif kind == 2:
                    row[i] = (row[i] + above[i]) & 255
                elif kind == 3:
                    row[i] = (row[i] + (left + above[i]) // 2) & 255
                else:
                    row[i] = (row[i] + self._paeth(left, above[i], above[i - c] if i >= c else 0)) & 255
            rows.append(row)
            above = row
        return rows

    @staticmethod
    def _paeth(a, b, c):
        p = a + b - c
        pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
        return a if pa <= pb and pa <= pc else b if pb <= pc else c

    def count(self, near, tolerance=24):
        """How many pixels have nearly the colour (r, g, b)."""
        r, g, b = near
        c = self.channels
        return sum(abs(row[i] - r) <= tolerance and abs(row[i + 1] - g) <= tolerance and abs(row[i + 2] - b) <= tolerance
                   for row in self.rows for i in range(0, len(row), c))
