# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""One server seen in many ways: by each transport, directly and through a proxied mount.

A view sends requests written as rows, "METHOD what?query", in which {p} is where the view's tree begins,
{w} a directory that begin() has emptied, and {l} the same on the host's file system. What comes back has the view's own
marks removed, so that the answers of all views can be compared to the letter.
"""
import json
import os
import re
import socket
import ssl

import httpx

import agfs_matrix
from agfs_world import Api, Reply, wait_for

# Members that tell when, where or by whom, not what.
VOLATILE = {"modTime", "expires_at", "created_at", "last_access", "origin", "hop", "remote-url", "local_path", "timestamp",
            "outcome", "phase", "class", "status", "retry_after_ms", "handle_id", "id"}
BACKENDS = ("memfs:/memfs", "kvfs:/kv", "queuefs:/queue", "streamfs:/streams", "serverinfofs:/info", "hellofs:/hello",
            "memfs:/nest", "memfs:/nest/in")
TRANSPORTS = {"HTTP/1.1": (False, {}), "HTTP/1.1 TLS": (True, {}),
              "HTTP/2": (False, {"http1": False, "http2": True}), "HTTP/2 TLS": (True, {"http2": True})}


def connect_without_delay(*args, connect=socket.create_connection, **kw):
    """httpcore sends a request's header and body apart and leaves Nagle's algorithm on: 40 ms per request."""
    s = connect(*args, **kw)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


socket.create_connection = connect_without_delay


class View:
    def __init__(self, name, server, context, prefix, tls, options, direct):
        self.name, self.prefix, self.server, self.direct = name, prefix, server, direct
        self.api, self.http2 = Api(server.clear), bool(options)
        self.base = server.tls if tls else server.clear
        self.client = httpx.Client(verify=context, timeout=30, **options)
        self.trace = []

    def fill(self, value):
        if isinstance(value, str):
            for mark, path in (("{p}", ""), ("{w}", "/memfs/w"), ("{l}", "/store/w")):
                value = value.replace(mark, self.prefix + path)
            return value
        if isinstance(value, dict):
            return {k: self.fill(v) for k, v in value.items()}
        return value

    def url(self, row):
        method, what = self.fill(row).split(" ", 1)
        return method, self.base + (what if what.startswith("/") else "/api/v1/" + what)

    def raw(self, row, body=None, headers=None):
        """The reply as it came."""
        method, url = self.url(row)
        body = json.dumps(self.fill(body)).encode() if isinstance(body, dict) else body
        r = self.client.request(method, url, content=body, headers=headers)
        want = "HTTP/2" if self.http2 else "HTTP/1.1"
        assert r.http_version == want, (r.http_version, want)
        return Reply(r.status_code, r.content, r.headers)

    def ask(self, row, body=None, headers=None):
        """The reply without the view's marks, also kept for the comparison with the other views."""
        r = self.raw(row, body, headers)
        if self.prefix:
            text = r.body.replace(self.prefix.encode() + b"/", b"/")
            r.body = re.sub(rb"HTTP \d+: ", b"", text)
        r.plain = None
        if r.headers.get("content-type") == "application/json" and r.body:
            r.plain = plain(json.loads(r.body))
        self.trace.append((row, r.status, r.headers.get("content-type"), r.plain or r.body))
        return r

    def begin(self):
        self.trace = []
        for link in ("l", "m", "self"):  # links live apart from the directory that they are seen in
            self.api.call("DELETE", "files", path=self.prefix + "/memfs/w/" + link)
        for directory in ("/memfs/w", "/store/w", "/kv/keys/w"):
            self.api.call("DELETE", "files", path=self.prefix + directory, recursive="true")
        for directory in ("/memfs/w", "/store/w"):
            assert self.api.post("directories", path=self.prefix + directory).status == 201


def plain(value):
    if isinstance(value, dict):
        value = {k: plain(v) for k, v in value.items() if k not in VOLATILE}
        if value.get("Content") == {}:
            value["Content"] = None
        return value
    if isinstance(value, list):
        value = [plain(v) for v in value]
        if value and all(isinstance(v, dict) and "name" in v for v in value):
            value.sort(key=lambda v: v["name"])
    return value


def tls_context(world):
    context = ssl.create_default_context(cafile=world.pki("ca.pem"))
    context.load_cert_chain(world.pki("client.pem"), world.pki("client.key"))
    return context


def views(world):
    """A server by four transports, the same through a mount of another server, and through one over HTTP/1.1."""
    os.makedirs(world.path("host"), exist_ok=True)
    args = ["--mount", "localfs:/store:local_dir=" + world.path("host")]
    for b in BACKENDS:
        args += ["--mount", b]
    far = world.start("far", args, tls=True)
    near = world.start("near", world.mount_arg("/r", far.tls + "/api/v1", **world.mtls()) +
                       world.mount_arg("/h1", far.clear + "/api/v1", protocol="h1"), tls=True)
    wait_for("the mounts", lambda: Api(far.clear).ready() and Api(near.clear).ready())
    context = tls_context(world)
    out = [View(name, far, context, "", tls, dict(o), True) for name, (tls, o) in TRANSPORTS.items()]
    out += [View(name + ", proxied over HTTP/2 TLS", near, context, "/r", tls, dict(o), False)
            for name, (tls, o) in TRANSPORTS.items()]
    out.append(View("HTTP/1.1, proxied over HTTP/1.1", near, context, "/h1", False, {}, False))
    return out


def plugin_view(world):
    """The same server once more, through the plugin: what a stock host's interface can carry, loaded from a stock YAML file."""
    far = world.servers[0]
    config = world.path("plugin.yaml")
    with open(config, "w") as f:
        f.write("""external_plugins:
  enabled: true
  auto_load: false
  plugin_paths: [%s]
plugins:
  proxyfs-h2:
    enabled: true
    path: /p
    config: {base_url: "%s/api/v1", ca_file: %s, client_cert: %s, client_key: %s}
""" % (os.path.join(world.build, "plugin/proxyfs-h2.so"), far.tls, *(world.pki(n) for n in ("ca.pem", "client.pem", "client.key"))))
    host = world.start("host", ["-c", config])
    wait_for("the plugin's mount", Api(host.clear).ready)
    return View(agfs_matrix.PLUGIN, host, True, "/p", False, {}, False)
