#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""agfs moves and copies where source and target are one file, or one tree, under two names: nothing may be lost.

usage: aliases_test.py BUILDDIR [TEST...]
"""
import os
import subprocess

from agfs_world import Api, run, wait_for

DATA = b"the only copy " * 30000  # more than one read of it


def agfs(world, server, *words):
    return subprocess.run([world.agfs, "--server", server.clear, *words], capture_output=True, text=True, timeout=60)


def local(world, name):
    return "local:" + world.path("L/" + name)


def make_tree(world):
    os.makedirs(world.path("L/tree/sub"))
    os.makedirs(world.path("L/tree/empty"))
    for name in ("f", "g", "sub/h"):
        with open(world.path("L/tree/" + name), "wb") as f:
            f.write(name.encode() + DATA)


def servers(world):
    """(near server, its API): /r and /rr are one remote, /l and /lx one directory here, /deep is inside of it."""
    make_tree(world)
    remote = world.start("remote", ["--mount", "memfs:/memfs", "--mount", "kvfs:/kv"])
    near = world.start("near", world.mount_arg("/r", remote.clear + "/api/v1") +
                       world.mount_arg("/rr", remote.clear + "/api/v1") +
                       ["--mount", "memfs:/m"] +
                       ["--mount", "localfs:/l:local_dir=" + world.path("L"),
                        "--mount", "localfs:/lx:local_dir=" + world.path("L"),
                        "--mount", "localfs:/deep:local_dir=" + world.path("L/tree/sub")])
    api = Api(near.clear)
    wait_for("the mounts", api.ready)
    return near, api


def check_tree(world):
    for name in ("f", "g", "sub/h"):
        with open(world.path("L/tree/" + name), "rb") as f:
            assert f.read() == name.encode() + DATA, name
    assert os.path.isdir(world.path("L/tree/empty"))


def no_temporaries(world):
    found = subprocess.run(["find", world.path("L"), "-name", ".agfs-*"], capture_output=True, text=True).stdout
    assert found == "", found


def test_a_file_onto_itself(world):
    near, api = servers(world)
    for source, target in (("/r/memfs/a", "/rr/memfs/a"), ("/l/a", "/lx/a"), (local(world, "a"), "/lx/a"),
                           ("/l/a", local(world, "a")), ("/r/kv/keys/a", "/rr/kv/keys/a")):
        name = "/l/a" if source.startswith("local:") else source
        assert api.put(name, DATA).status == 200
        p = agfs(world, near, "mv", source, target)
        assert (p.returncode, p.stderr) == (0, ""), (source, target, p)
        assert api.read(name).body == DATA, (source, target)
    names = [f["name"] for where in ("/r/memfs", "/r/kv/keys") for f in api.get("directories", path=where).json()["files"]]
    assert names == ["README", "a", "a"], names
    no_temporaries(world)


def test_a_file_onto_another(world):
    """What is no alias is moved and replaced as ever, also where the server renames onto no file."""
    near, api = servers(world)
    for source, target in (("/l/a", "/r/memfs/old"), ("/r/memfs/a", "/lx/old"), ("/l/a", "/rr/kv/keys/old"),
                           ("/m/a", local(world, "old")), (local(world, "a"), "/m/old")):
        real = {local(world, "a"): "/l/a", local(world, "old"): "/l/old"}
        assert api.put(real.get(source, source), DATA).status == 200
        assert api.put(real.get(target, target), b"old").status == 200
        if os.path.exists(world.path("L/old")):
            os.chmod(world.path("L/old"), 0o640)
        p = agfs(world, near, "mv", source, target)
        assert (p.returncode, p.stderr) == (0, ""), (source, target, p)
        assert api.read(real.get(target, target)).body == DATA, (source, target)
        if target in (local(world, "old"), "/lx/old"):
            assert os.stat(world.path("L/old")).st_mode & 0o777 == 0o640, target
        assert api.get("stat", path=real.get(source, source)).status == 404, (source, target)
    no_temporaries(world)


def test_a_file_onto_what_is_none(world):
    near, api = servers(world)
    api.put("/m/f", DATA)
    api.post("directories", path="/m/d")
    api.put("/m/d/f", DATA)
    os.mkdir(world.path("L/d"))
    os.mkdir(world.path("L/d/f"))
    for source, target, said in (("/m/f", "local:/dev/null", "not a regular file"), ("/m/f", "local:-", "not a regular file"),
                                 ("/m/d", local(world, ""), "local:%s: is a directory" % world.path("L/d/f"))):
        p = agfs(world, near, "mv", source, target)
        assert p.returncode == 1 and said in p.stderr, p
    assert api.read("/m/f").body == api.read("/m/d/f").body == DATA


def test_a_tree_onto_itself(world):
    near, api = servers(world)
    for source, target in (("/l/tree", "/lx"), ("/l/tree", "/lx/tree/copy"), ("/l/tree", "/lx/tree/sub"),
                           (local(world, "tree"), "/lx/"), ("/l/tree", local(world, "")),
                           ("/l/tree", local(world, "tree/new")), (local(world, "tree"), "/l/tree/sub/new")):
        p = agfs(world, near, "mv", source, target)
        assert p.returncode == 2 and "cannot be moved into itself" in p.stderr and p.stderr.count("\n") == 1, p
        check_tree(world)
        assert sorted(os.listdir(world.path("L/tree"))) == ["empty", "f", "g", "sub"], (source, target)
        no_temporaries(world)


def test_a_tree_into_itself_by_a_way_that_no_path_shows(world):
    near, api = servers(world)
    p = agfs(world, near, "mv", "/l/tree", "/deep/new")
    assert p.returncode == 4, p
    found = {}
    for where, _, names in os.walk(world.path("L")):
        for name in names:
            with open(os.path.join(where, name), "rb") as f:
                found[name] = f.read()
    assert found == {n: full.encode() + DATA for n, full in (("f", "f"), ("g", "g"), ("h", "sub/h"))}, found.keys()


def test_a_copy_inside_its_source_ends(world):
    near, api = servers(world)
    for name in ("/r/memfs/si", "/r/memfs/si/sub"):
        api.post("directories", path=name)
    api.put("/r/memfs/si/a", DATA)
    api.put("/r/memfs/si/sub/b", DATA)
    for target, copy in (("/rr/memfs/si/copy", "copy"), ("/rr/memfs/si/copy", "copy/si")):
        p = agfs(world, near, "cp", "-r", "/r/memfs/si", target)
        assert (p.returncode, p.stderr) == (0, ""), p
        assert api.read("/r/memfs/si/%s/sub/b" % copy).body == DATA
    p = agfs(world, near, "tree", "/r/memfs/si")
    assert p.stdout.endswith("\n7 directories, 8 files\n"), p.stdout


run([test_a_file_onto_itself, test_a_file_onto_another, test_a_file_onto_what_is_none, test_a_tree_onto_itself,
     test_a_tree_into_itself_by_a_way_that_no_path_shows, test_a_copy_inside_its_source_ends])
