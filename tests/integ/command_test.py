#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""The programs as commands: what they say before they serve anybody, what they exit with, what they do when they are
told to end.

usage: command_test.py BUILDDIR [TEST...]
"""
import os
import subprocess

from agfs_world import Api, run


def redirected(how):
    """What begins a command whose descriptors are to be as the shell has them after `how`."""
    return ["sh", "-c", 'exec "$@" ' + how, "sh"]


def test_closed_descriptors(world):
    """What the server and the benchmark open is not taken for them."""
    for closed in ("", "<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        server = world.start("s", ["--mount", "memfs:/m"], wrapper=redirected(closed))
        for fd in (0, 1, 2):
            target = os.readlink("/proc/%d/fd/%d" % (server.process.pid, fd))
            assert target.startswith("/") or target.startswith("pipe:"), (closed, fd, target)
        assert Api(server.clear).put("/m/f", b"x").status == 200
        bench = subprocess.run(redirected(closed) + [os.path.join(world.build, "tools/bench/agfs-bench"),
                                                     server.clear + ",path=/m", "-n", "20"],
                               capture_output=True, text=True, timeout=60)
        assert bench.returncode == (1 if ">&-" in closed.replace("2>&-", "") else 0), (closed, bench)
        assert server.stop() == 0, (closed, open(server.log_path).read())


if __name__ == "__main__":
    run([test_closed_descriptors])
