# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Servers one behind another, and what tests of large transfers over them share."""
import http.client
import os
import random
import subprocess

from agfs_world import Api, wait_for

KIB = 1024
MIB = 1024 * KIB


def chain(world, hops=1, remote_args=(), wrapper=(), **options):
    """`hops` servers in front of a remote with a store; returns (servers from near to far, API, path of the remote)."""
    os.makedirs(world.path("store"), exist_ok=True)
    server = world.start("remote", ["--mount", "memfs:/memfs", "--mount", "streamfs:/live",
                                    "--mount", "localfs:/store:local_dir=" + world.path("store"), *remote_args],
                         tls=True, wrapper=wrapper)
    servers, prefix = [server], ""
    for i in range(hops):
        server = world.start("hop%d" % i, ["--mount", "memfs:/local"] +
                             world.mount_arg("/remote", server.tls + "/api/v1", **world.mtls(**options)), tls=True)
        wait_for("the mount", Api(server.clear).ready)
        servers.insert(0, server)
        prefix += "/remote"
    return servers, Api(servers[0].clear), prefix


def check(reply, status=200):
    assert reply.status == status, "%d: %s" % (reply.status, reply.body[:300])
    return reply


def on_the_wire(api, mount="/remote"):
    status = check(api.read(mount + "/.proxyfs/status")).json()
    return status["bytes_in"] + status["bytes_out"]


def content(n, seed=1):
    return random.Random(seed).randbytes(n)


def agfs(world, server, *words):
    p = subprocess.run([world.agfs, "--server", server.clear, *words], capture_output=True, timeout=60)
    assert p.returncode == 0, (words, p.stderr)
    return p.stdout


def settled(server, before):
    """No descriptor and no thread more than before, once what is under way has ended."""
    wait_for("%s to give everything back: %s, now %s" % (server.name, before, (server.n_fds(), server.n_threads())),
             lambda: server.n_fds() <= before[0] + 1 and server.n_threads() <= before[1])


def read_until_cut(response):
    """What came before the end, which must be an error."""
    got = b""
    try:
        while block := response.read1(64 * KIB):
            got += block
    except (http.client.IncompleteRead, ConnectionResetError):
        return got
    assert response.length, "what was cut looks complete"
    return got
