# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Front programs with HTTP/2 and mutual TLS before servers of HTTP/1.1 in clear text."""
import os
import shutil
import signal
import socket
import subprocess

from agfs_world import Skip, free_port, wait_for


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Front:
    """A front program before the servers on the ports `behind`; stop() ends it."""

    host = "127.0.0.1"

    def __init__(self, world, behind, **options):
        self.world, self.behind, self.options, self.port = world, behind, options, free_port()
        self.dir = world.path(self.program)
        os.makedirs(self.dir, exist_ok=True)
        path = shutil.which(self.program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if not path:
            raise Skip("no " + self.program)
        self.path = path
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log, cwd=self.dir,
                                        env={**os.environ, "HOME": self.dir, "XDG_DATA_HOME": self.dir, "XDG_CONFIG_HOME": self.dir})
        wait_for(self.program + " to listen: " + self.text(),
                 lambda: listening(self.port) or self.process.poll() is not None)
        assert self.process.poll() is None, self.text()

    def write(self, name, text):
        values = {"dir": self.dir, "port": self.port, "ca": self.world.pki("ca.pem"), "cert": self.world.pki("server.pem"),
                  "key": self.world.pki("server.key")}
        for k, v in values.items():
            text = text.replace("@%s@" % k, str(v))
        with open(os.path.join(self.dir, name), "w") as f:
            f.write(text)
        return os.path.join(self.dir, name)

    def text(self):
        return open(os.path.join(self.dir, "log"), errors="replace").read()[-2000:]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Nghttpx(Front):
    program = "nghttpx"

    def command(self):
        return [self.path, "--conf=/dev/null", "--frontend=127.0.0.1,%d" % self.port, "--workers=1", "--single-process",
                *["--backend=127.0.0.1,%d;;proto=http/1.1" % p for p in self.behind], "--verify-client",
                "--verify-client-cacert=" + self.world.pki("ca.pem"), "--errorlog-file=/dev/stderr",
                self.world.pki("server.key"), self.world.pki("server.pem")]


class NghttpxReloading(Nghttpx):
    """With its main process, which SIGHUP tells to start over."""

    def command(self):
        return [a for a in super().command() if a != "--single-process"]

    def reload(self):
        self.process.send_signal(signal.SIGHUP)


class Nginx(Front):
    program = "nginx"
    TEXT = """daemon off; pid @dir@/pid; error_log @dir@/log warn; worker_processes 1;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path @dir@/b; proxy_temp_path @dir@/p; fastcgi_temp_path @dir@/f; uwsgi_temp_path @dir@/u; scgi_temp_path @dir@/s;
    upstream agfs { @servers@ keepalive 8; }
    server {
        listen 127.0.0.1:@port@ ssl http2; @server@
        ssl_certificate @cert@; ssl_certificate_key @key@; ssl_client_certificate @ca@; ssl_verify_client on;
        client_max_body_size 0;
        location / {
            proxy_pass http://agfs; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_request_buffering off; proxy_buffering off; proxy_read_timeout 1h;
            @next@
        }
    }
}
"""

    def command(self):
        servers = " ".join("server 127.0.0.1:%d max_fails=0;" % p for p in self.behind)
        text = self.TEXT.replace("@servers@", servers).replace("@next@", self.options.get("next", "proxy_next_upstream off;")).replace("@server@", self.options.get("server", ""))
        return [self.path, "-c", self.write("nginx.conf", text), "-p", self.dir]

    def reload(self):
        subprocess.run([self.path, "-c", self.dir + "/nginx.conf", "-p", self.dir, "-s", "reload"], check=True,
                       stdout=self.log, stderr=self.log)


class Caddy(Front):
    program = "caddy"
    host = "localhost"  # with client certificates it insists on a name in the TLS handshake
    TEXT = """{
    admin unix//@dir@/admin
    auto_https off
    grace_period 20s
}
https://localhost:@port@ {
    bind 127.0.0.1
    tls @cert@ @key@ {
        client_auth {
            mode require_and_verify
            trusted_ca_cert_file @ca@
        }
    }
    reverse_proxy @servers@ {
        flush_interval -1
        transport http {
            versions 1.1
        }
    }
}
"""

    def command(self):
        servers = " ".join("http://127.0.0.1:%d" % p for p in self.behind)
        return [self.path, "run", "--adapter", "caddyfile", "--config", self.write("Caddyfile", self.TEXT.replace("@servers@", servers))]

    def reload(self):
        with open(os.path.join(self.dir, "Caddyfile"), "a") as f:
            f.write("# changed\n")
        subprocess.run([self.path, "reload", "--force", "--adapter", "caddyfile", "--config", "Caddyfile", "--address",
                        "unix//%s/admin" % self.dir], check=True, cwd=self.dir, stdout=self.log, stderr=self.log)
