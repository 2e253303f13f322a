#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Directories that agfs copies, many files at a time, between this machine and a remote through a mount.

usage: trees_test.py BUILDDIR [TEST...]
"""
import glob
import os
import re
import signal
import subprocess

from agfs_chain import MIB, chain
from agfs_world import run, wait_for


def tree(top, files, content):
    for name in files:
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content(name))


def found(top):
    """Every file below, with its content."""
    at = {}
    for where, _, names in os.walk(top):
        for name in names:
            with open(os.path.join(where, name), "rb") as f:
                at[os.path.relpath(os.path.join(where, name), top)] = f.read()
    return at


def agfs(world, server, *words):
    return subprocess.run([world.agfs, "--server", server.clear, *words], capture_output=True, text=True, timeout=120)


def test_up_and_back(world):
    servers, api, at = chain(world)
    names = ["f%d" % n for n in range(300)] + ["sub/deep/g%d" % n for n in range(30)] + ["sub/empty"]
    tree(world.path("t"), names, lambda name: b"" if name == "sub/empty" else name.encode() * 700)
    os.umask(0o027)
    for word, source, target in (("upload", world.path("t"), at + "/store/t"), ("cp", at + "/store/t", at + "/store/u"),
                                 ("download", at + "/store/u", world.path("back"))):
        p = agfs(world, servers[0], word, "-r", "-j", "16", source, target)
        assert (p.returncode, p.stderr) == (0, ""), p
    assert found(world.path("t")) == found(world.path("store/t")) == found(world.path("back"))
    modes = {os.stat(path).st_mode & 0o777 for path in glob.glob(world.path("back") + "/f*")}
    assert modes == {0o640}, modes
    p = agfs(world, servers[0], "mv", "local:" + world.path("back"), at + "/store/v")
    assert (p.returncode, p.stderr) == (0, ""), p
    assert found(world.path("store/v")) == found(world.path("t")) and not os.path.exists(world.path("back"))


def mode(path):
    return os.stat(path).st_mode & 0o7777


def test_modes(world):
    """A new file has the mode of its source, also through a mount, and where the server copies by itself."""
    os.umask(0o022)  # also of the servers
    servers, api, at = chain(world, remote_args=("--mount", "kvfs:/kv"))
    modes = {"secret": 0o600, "group": 0o640, "usual": 0o644, "script": 0o755, "own": 0o700, "fixed": 0o400}
    tree(world.path("t"), modes, lambda name: name.encode() * 900000)
    for name, bits in modes.items():
        os.chmod(world.path("t/" + name), bits)
    os.chmod(world.path("t"), 0o750)
    for words in (("upload", "-r", world.path("t"), at + "/store/a"), ("cp", "-r", at + "/store/a", at + "/store/b"),
                  ("cp", "-r", at + "/store/b", at + "/memfs/c"), ("cp", "-r", at + "/memfs/c", "/local/d"),
                  ("mv", "/local/d", at + "/store/e"), ("download", "-r", at + "/memfs/c", world.path("f"))):
        p = agfs(world, servers[0], *words)
        assert (p.returncode, p.stderr) == (0, ""), (words, p)
    for name, bits in modes.items():
        for where in ("store/a/", "store/b/", "store/e/", "f/"):
            assert mode(world.path(where + name)) == bits, (where, name, oct(mode(world.path(where + name))))
    assert {mode(world.path(where)) for where in ("store/a", "store/b", "store/e", "f")} == {0o750}
    p = agfs(world, servers[0], "cp", at + "/store/a/secret", at + "/kv/keys/k")  # which has one mode for all
    assert (p.returncode, p.stderr) == (0, ""), p
    assert api.read(at + "/kv/keys/k").body == b"secret" * 900000


def test_what_fails_is_said_and_the_rest_is_there(world):
    servers, api, at = chain(world)
    tree(world.path("t"), ["f%03d" % n for n in range(100)], str.encode)
    for name in ("f000", "f050", "f099"):  # cannot be replaced by a file
        os.makedirs(world.path("store/t/" + name))
    p = agfs(world, servers[0], "upload", "-r", world.path("t"), at + "/store")
    said = sorted(p.stderr.splitlines())
    assert p.returncode != 0 and len(said) == 3, p
    for name, line in zip(("f000", "f050", "f099"), said):
        assert line.startswith("agfs: upload: %s/store/t/%s: " % (at, name)) and line.count("agfs: ") == 1, line
    assert len(found(world.path("store/t"))) == 97


def test_the_server_goes_away(world):
    """What was under way is told of, a line each; what comes after is counted."""
    servers, api, at = chain(world)
    tree(world.path("t"), ["f%d" % n for n in range(5000)], str.encode)
    p = subprocess.Popen([world.agfs, "--server", servers[0].clear, "upload", "-r", world.path("t"), at + "/store"],
                         stderr=subprocess.PIPE, text=True)
    wait_for("some files", lambda: os.path.isdir(world.path("store/t")) and len(os.listdir(world.path("store/t"))) > 20)
    servers[0].stop(signal.SIGKILL)
    said = [line for line in p.communicate(timeout=120)[1].splitlines() if not re.match(r"agfs: c\d+ ", line)]  # the log
    last = re.fullmatch(r"agfs: upload: (\d+) more were not tried: the server cannot be reached", said[-1])
    assert p.returncode == 8 and last and len(said) < 60, (p.returncode, len(said), said[-3:])
    assert all(line.startswith("agfs: upload: %s/store/t/f" % at) for line in said[:-1]), said[:-1]
    assert len(found(world.path("store/t"))) + len(said) - 1 + int(last.group(1)) >= 5000


def test_the_server_hangs(world):
    """As many calls as run side by side find out; nobody waits for the rest one after another."""
    servers, api, at = chain(world)
    tree(world.path("t"), ["f%d" % n for n in range(5000)] + ["sub/g%d" % n for n in range(100)], str.encode)
    p = subprocess.Popen([world.agfs, "--server", servers[0].clear, "--timeout", "3s", "upload", "-r", "-j", "6",
                          world.path("t"), at + "/store"], stderr=subprocess.PIPE, text=True)
    wait_for("some files", lambda: os.path.isdir(world.path("store/t")) and len(os.listdir(world.path("store/t"))) > 20)
    with servers[0].standing_still():
        said = [line for line in p.communicate(timeout=120)[1].splitlines() if not re.match(r"agfs: c\d+ ", line)]  # the log
    last = re.fullmatch(r"agfs: upload: (\d+) more were not tried: the server does not answer", said[-1])
    assert p.returncode == 10 and last and 6 <= len(said) - 1 <= 12, (p.returncode, len(said), said[-3:])
    assert all("(class timeout" in line for line in said[:-1]), said[:-1]
    # Of "sub" only the directory is counted.
    assert len(found(world.path("store/t"))) + len(said) - 1 + int(last.group(1)) >= 5001


def test_cancelled(world):
    """Ctrl-C while several files come in: none is half there, and no temporary one."""
    servers, api, at = chain(world)
    tree(world.path("store"), ["t/f%d" % n for n in range(8)], lambda name: os.urandom(32 * MIB))
    env = dict(os.environ)
    if "TSAN_OPTIONS" in env:  # who ends so joins no thread
        env["TSAN_OPTIONS"] += ":report_thread_leaks=0"
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(sig, signal.SIG_DFL)  # nohup and background jobs have some of them ignored, for us and agfs
        back = world.path("back%d" % sig)
        p = subprocess.Popen([world.agfs, "--server", servers[0].clear, "download", "-r", at + "/store/t", back],
                             stderr=subprocess.PIPE, text=True, env=env)
        wait_for("several files to come in", lambda: len(glob.glob(back + "/.agfs-*")) > 3 or p.poll() is not None)
        p.send_signal(sig)
        said = p.communicate(timeout=60)[1]
        assert p.returncode == 128 + sig and "cancelled" in said, (p.returncode, said)
        left = {name: len(data) for name, data in found(back).items()}
        assert all(size == 32 * MIB and "." not in name for name, size in left.items()), left


def test_queues_keep_their_messages(world):
    """Reading one of a queue's files takes a message out: control files are not copied with a tree, nor moved."""
    servers, api, at = chain(world, remote_args=("--mount", "queuefs:/q"))
    queue = at + "/q/jobs"
    assert api.post("directories", path=queue).status == 201
    for n in range(5):
        assert api.put(queue + "/enqueue", b"m%d" % n).status == 200
    os.mkdir(world.path("d"))
    for words in (("cp", "-r", queue, at + "/memfs/d"), ("download", "-r", at + "/q", world.path("d")),
                  ("mv", queue, at + "/memfs/e"), ("mv", queue, "local:" + world.path("e")),
                  ("mv", queue + "/dequeue", at + "/memfs/f")):
        p = agfs(world, servers[0], *words)
        assert p.returncode != 0, p
        if words[1] != queue + "/dequeue":
            for name in ("enqueue", "dequeue", "peek", "clear"):
                assert "%s/%s: left out: a control file\n" % (queue, name) in p.stderr, (words, p.stderr)
        else:
            assert "dequeue: a control file: cannot be moved" in p.stderr, p
        assert api.read(queue + "/size").body == b"5", words
    assert [api.read(queue + "/dequeue").json()["data"] for _ in range(5)] == ["m%d" % n for n in range(5)]


run([test_up_and_back, test_modes, test_what_fails_is_said_and_the_rest_is_there, test_the_server_goes_away, test_the_server_hangs,
     test_cancelled, test_queues_keep_their_messages])
