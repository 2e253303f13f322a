#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""The shell of agfs as a user meets it: on a terminal, with text for -c, with scripts, with outputs that fail.

usage: shell_test.py BUILDDIR [TEST...]
"""
import fcntl
import glob
import os
import select
import signal
import struct
import subprocess
import termios
import time

from agfs_chain import MIB
from agfs_upstream import HANG, Answer, Upstream, error, info, written
from agfs_world import DEADLINE, Api, free_port, run, wait_for


class Terminal:
    """agfs on a terminal of its own; what it prints is in `seen`."""

    def __init__(self, world, url, *words, **env):
        self.fd, other = os.openpty()
        self.name = os.ttyname(other)
        self.seen = ""
        self.process = subprocess.Popen([os.path.abspath(world.agfs), "--server", url, *words],
                                        stdin=other, stdout=other, stderr=other,
                                        env=dict(os.environ, TERM="xterm", HOME=world.dir, **env),
                                        start_new_session=True, cwd=world.dir,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(other)

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, text, after=0):
        """Reads until text was printed after the first `after` characters; returns where it ends."""
        end = time.monotonic() + DEADLINE
        while text not in self.seen[after:]:
            ready = select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]
            assert ready, "%r does not come: %r" % (text, self.seen[after:])
            self.seen += os.read(self.fd, 65536).decode(errors="replace")
        return self.seen.index(text, after) + len(text)

    def edits(self):
        """That a line is edited: the shell takes keys one by one, and shows them itself."""
        return not termios.tcgetattr(self.fd)[3] & (termios.ECHO | termios.ICANON)

    def is_held(self):
        """That agfs has read all keys, and sleeps: with the output stopped, where it wants to write."""
        with open(os.open(self.name, os.O_RDONLY | os.O_NOCTTY)) as tty:
            n_keys = struct.unpack("i", fcntl.ioctl(tty, termios.FIONREAD, b"    "))[0]
        with open("/proc/%d/stat" % self.process.pid) as f:
            state = f.read().rpartition(")")[2].split()[0]
        return n_keys == 0 and state == "S"

    def end(self):
        self.type("exit 0\n")
        try:
            while data := os.read(self.fd, 65536):
                self.seen += data.decode(errors="replace")
        except OSError:  # nobody has it open any more
            pass
        assert self.process.wait(DEADLINE) == 0, self.seen
        os.close(self.fd)


def agfs(world, server, *words, **kw):
    kw = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 60, "cwd": world.dir, **kw}
    return subprocess.run([os.path.abspath(world.agfs), "--server", server.clear, *words], **kw)


def start(world, *more):
    """A server with /m in memory and /l, the directory l of the world."""
    os.mkdir(world.path("l"))
    server = world.start("server", ["--mount", "memfs:/m", "--mount", "localfs:/l:local_dir=" + world.path("l"), *more])
    return server, Api(server.clear)


def sparse(path, size):
    with open(path, "wb") as f:
        f.truncate(size)


def tree(top, names, content):
    os.makedirs(top)
    for name in names:
        with open(os.path.join(top, name), "wb") as f:
            f.write(content(name))


def test_ctrl_c_ends_the_line(world):
    server, _ = start(world)
    sparse(world.path("l/big"), 4096 * MIB)
    t = Terminal(world, server.clear)
    at = t.expect("agfs:/> ")
    t.type("download /l/big local; rm /l/big\n")
    wait_for("the download to begin", lambda: glob.glob(world.path(".agfs-*")))
    t.type("\x03")
    at = t.expect("1 more command of the line was not run", at)
    at = t.expect("agfs:/> ", at)
    assert os.path.exists(world.path("l/big")) and not glob.glob(world.path("local")) + glob.glob(world.path(".agfs-*")), t.seen
    t.type("echo status $?\n")
    at = t.expect("agfs:/> ", t.expect("status 130", at))
    t.end()
    assert os.path.exists(world.path("l/big"))


def test_ctrl_c_while_the_prompt_is_printed(world):
    server, _ = start(world)
    t = Terminal(world, server.clear)
    at = t.expect("agfs:/> ")
    for _ in range(3):
        wait_for("the shell to take keys", t.edits)
        t.type("\x13r")  # stops the output, and holds the shell where it shows the r
        wait_for("the shell to print", t.is_held)
        t.type("\x03")  # which starts the output again
        at = t.expect("agfs:/> ", at)
    t.type("echo on\n")  # the lines were given up, and the next one runs
    t.expect("on\r\n", t.expect("echo on\r\n", at))
    t.end()


def test_ctrl_c_while_the_server_is_silent(world):
    u = Upstream(lambda request: HANG)
    t = Terminal(world, u.url, "--timeout", "10m")
    at = t.expect("agfs:/> ")
    for n, typed in enumerate(("ls /m; rm -r /m\n", "ls /m/\t"), 1):
        wait_for("the shell to take keys", t.edits)
        t.type(typed)
        wait_for("the server to be asked", lambda n=n: u.n("GET", "directories") == n)
        t.type("\x03")
        at = t.expect("agfs:/> ", at)
    t.type("echo status $?\n")
    t.expect("status 130", at)
    assert "(class cancelled)" in t.seen and "1 more command of the line was not run" in t.seen, t.seen
    t.end()
    assert len(u.hits) == 2, u.hits
    u.close()


def test_ctrl_c_while_the_server_works(world):
    """It copies, compares or searches, and takes its time: nobody waits, and no source of a move goes."""
    found = {}

    def answer(request):
        if request.what == found["hangs"]:
            return HANG
        if request.what == "stat":
            return info() if request.path == "/a/f" else error(404, "no such file")
        if request.what == "rename":
            return error(500, "cannot rename across different mounts")
        return written(1) if request.what == "copy" else Answer(200, '{"message":"done"}\n')

    for typed, method, hangs, said in (("cp /a/f /b/f", "POST", "copy", "it is not known whether the remote did it"),
                                       ("mv /a/f /b/f", "POST", "copy", "it is not known whether the remote did it"),
                                       ("mv /a/f /b/f", "POST", "digest", "agfs: mv: /a/f: cancelled"),
                                       ("grep -r x /a", "POST", "grep", "(class cancelled"),
                                       ("digest /a/f", "POST", "digest", "(class cancelled")):
        found["hangs"] = hangs
        u = Upstream(answer)
        t = Terminal(world, u.url, "--timeout", "10m")
        at = t.expect("agfs:/> ")
        wait_for("the shell to take keys", t.edits)
        t.type(typed + "; rm -r /a\n")
        wait_for("the server to be asked", lambda: u.n(method, hangs))
        t.type("\x03")
        at = t.expect("agfs:/> ", t.expect("1 more command of the line was not run", t.expect(said, at)))
        t.type("echo status $?\n")
        t.expect("status 130", at)
        t.end()
        removed = [r.path for r in u.hits if r.method == "DELETE"]
        assert removed == (["/b/f"] if typed[0] == "m" and hangs == "digest" else []), (typed, u.hits)
        u.close()


def test_a_live_stream(world):
    """cat follows it, with -f and where the server calls it a stream, until it ends or Ctrl-C."""
    server, api = start(world, "--mount", "streamfs:/live")
    api.put("/live/s", b"first\n")
    for n, words in enumerate((["cat", "/live/s"], ["cat", "-f", "/live/s"], ["-c", "cat --stream /live/s; echo no"])):
        p = subprocess.Popen([os.path.abspath(world.agfs), "--server", server.clear, "--timeout", "5s", *words],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        assert p.stdout.readline() == b"first\n", p.communicate()  # a new reader gets what was written before
        for _ in range(n):
            p.stdout.readline()
        api.put("/live/s", b"more\n")
        assert p.stdout.readline() == b"more\n", p.communicate()
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=DEADLINE)
        assert (p.returncode, out) == (130, b"") and b"cancelled" in err, (words, out, err)
    t = Terminal(world, server.clear)
    at = t.expect("agfs:/> ")
    wait_for("the shell to take keys", t.edits)
    t.type("cat /live/s\n")
    at = t.expect("first\r\nmore\r\n", at)
    t.type("\x03")
    at = t.expect("agfs:/> ", at)
    t.type("echo status $?\n")
    t.expect("status 130", at)
    t.end()
    p = subprocess.Popen([os.path.abspath(world.agfs), "--server", server.clear, "cat", "/live/s"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    assert p.stdout.readline() == b"first\n"
    assert api.unmount("/live").status == 200
    out, err = p.communicate(timeout=DEADLINE)
    assert (p.returncode, out, err) == (0, b"more\n" * 3, b""), (p.returncode, out, err)
    api.put("/m/f", b"a file\n")
    p = agfs(world, server, "cat", "-f", "/m/f")
    assert (p.returncode, p.stdout, p.stderr) == (0, "a file\n", ""), p
    p = agfs(world, server, "cat", "-f", "/m/none")
    assert p.returncode == 3 and "agfs: cat: /m/none: " in p.stderr, p


def test_a_terminal_that_another_program_had(world):
    server, _ = start(world)
    t = Terminal(world, server.clear)
    at = t.expect("agfs:/> ")
    wait_for("the shell to take keys", t.edits)
    t.type("echo of")
    at = t.expect("echo of", at)
    fcntl.ioctl(t.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    t.expect("echo of", at)
    mode = termios.tcgetattr(t.fd)
    mode[3] |= termios.ECHO | termios.ICANON
    termios.tcsetattr(t.fd, termios.TCSANOW, mode)  # as the shell that agfs was started from
    os.kill(t.process.pid, signal.SIGCONT)
    wait_for("the shell to take the terminal again", t.edits)
    at = len(t.seen)
    t.type(" the line\n")
    t.expect("of the line\r\n", t.expect("the line\r\n", at))
    t.end()


def test_ctrl_c_ends_a_text_and_a_script(world):
    server, _ = start(world)
    sparse(world.path("l/big"), 4096 * MIB)
    line = "download /l/big local; rm /l/big\n"
    with open(world.path("script"), "w") as f:
        f.write(line + "rm /l/big\n")
    for words in (["-c", line], [world.path("script")]):
        p = subprocess.Popen([os.path.abspath(world.agfs), "--server", server.clear, *words], cwd=world.dir,
                             stderr=subprocess.PIPE, text=True)
        wait_for("the download to begin", lambda: glob.glob(world.path(".agfs-*")))
        p.send_signal(signal.SIGINT)
        said = p.communicate(timeout=DEADLINE)[1]
        assert p.returncode == 130 and "cancelled" in said, (p.returncode, said)
        assert os.path.exists(world.path("l/big")) and not glob.glob(world.path("local*")), words


def test_text_of_several_lines(world):
    server, api = start(world)
    for name in ("a", "b"):
        api.put("/m/" + name, b"x")
    p = agfs(world, server, "-c", "rm -r /m/a\nls /m/b # the end of the line\necho last")
    assert (p.returncode, p.stdout, p.stderr) == (0, "b\nlast\n", ""), p


def test_names_that_look_like_local_files(world):
    server, api = start(world)
    api.post("directories", path="/m/from")
    api.post("directories", path="/m/to")
    api.put("/m/from/local:secret", b"of the server")
    with open(world.path("secret"), "w") as f:
        f.write("of this machine")
    p = agfs(world, server, "-c", "cd /m/from; cat *; cp * /m/to; mv * /m/to/moved; ls /m/to; ls")
    assert (p.returncode, p.stdout, p.stderr) == (0, "of the serverlocal:secret\nmoved\n", ""), p
    assert api.read("/m/to/local:secret").body == b"of the server" and os.path.exists(world.path("secret"))


def test_long_output_that_cannot_be_written(world):
    """One line of error, whatever refuses it and when; nothing is left."""
    server, api = start(world)
    sparse(world.path("l/long"), 3 * MIB)
    os.mkdir(world.path("directory"))
    sparse(world.path("toolong"), 70 * MIB)  # for one request
    for line, code, said in (
            ("cat /l/long > local:/nonexistent/x", 3, "cat: local:/nonexistent/x: No such file or directory"),
            ("cat /l/long > local:directory", 1, "cat: local:directory: Is a directory"),
            ("cat /l/long /l/long > local:/dev/full", 1, "cat: local:/dev/full: No space left on device"),
            ("cat local:toolong >> /l/f", None, "/l/f: HTTP 413"),
            ("cat /l/long > /nowhere/x", 3, "/nowhere/x: ")):
        p = agfs(world, server, "-c", line)
        assert p.returncode == code if code else 0 < p.returncode < 128, (line, p)
        assert said in p.stderr and p.stderr.count("\n") == 1, (line, p)
        assert p.stdout == "" and not glob.glob(world.path(".agfs-*")) and os.listdir(world.path("l")) == ["long"], line


def test_reload(world):
    """Where a proxyfs is mounted, also one whose remote is away; and nowhere else."""
    remote = world.start("remote", ["--mount", "memfs:/m"])
    server, api = start(world, *world.mount_arg("/far", remote.clear + "/api/v1"))
    wait_for("the mount", api.ready)
    api.put("/m/reload", b"precious")
    p = agfs(world, server, "reload", "/far")
    assert (p.returncode, p.stdout, p.stderr) == (0, "ProxyFS reloaded successfully\n", ""), p
    remote.stop(signal.SIGKILL)
    p = agfs(world, server, "reload", "/far")
    assert p.returncode == 8 and "agfs: reload: /far/reload: " in p.stderr, p
    p = agfs(world, server, "reload", "/m")
    assert (p.returncode, p.stdout) == (3, "") and "/m: no proxyfs is mounted there" in p.stderr, p
    assert api.read("/m/reload").body == b"precious"


def test_output_that_is_lost(world):
    """An error that is told, but for a reader who has left; nothing is done after it."""
    server, api = start(world)
    tree(world.path("l/deep"), ["%s%d" % ("x" * 200, n) for n in range(100)], str.encode)
    full = os.open("/dev/full", os.O_WRONLY)
    read_end, closed = os.pipe()
    os.close(read_end)
    sparse(world.path("l/big"), MIB)
    for name in ("ls /l/deep", "stat /l/big", "cat /l/big /l/big", "tree /l"):
        for words in (name.split(), ["-c", name + "; rm /l/big"], [world.path("script")]):
            with open(world.path("script"), "w") as f:
                f.write(name + "\nrm /l/big\n")
            p = agfs(world, server, *words, stdout=full)
            assert p.returncode == 1 and "output: " in p.stderr and p.stderr.count("\n") == 1, (words, p)
            p = agfs(world, server, *words, stdout=closed)
            assert (p.returncode, p.stderr) == (1, ""), (words, p)
            assert os.path.exists(world.path("l/big")), words
    for word in ("--help", "--version"):
        assert agfs(world, server, word, stdout=full).returncode == 1, word
    os.close(full)
    os.close(closed)


def test_the_password_of_the_server_is_not_shown(world):
    server, _ = start(world)
    url = server.clear.replace("http://", "http://user:pass-word@")
    for words in (["health"], ["reload"], ["-v", "capabilities"], ["ls", "/none"]):
        p = agfs(world, server, "--server", url, *words)
        assert "pass-word" not in p.stdout + p.stderr and p.returncode == (3 if words[0] == "ls" else 0), p
    assert "***@" in agfs(world, server, "--server", url, "health").stdout
    server.stop()
    for words in (["health"], ["reload"], ["capabilities"]):
        p = agfs(world, server, "--server", url, *words)
        assert p.returncode == 8 and "pass-word" not in p.stdout + p.stderr, p


def test_a_variable_that_is_wrong_is_named(world):
    server, _ = start(world)
    for name, value in (("AGFS_TIMEOUT", "abc"), ("AGFS_API_URL", "ftp://h"), ("AGFS_SERVER_URL", "http://h:0")):
        p = subprocess.run([os.path.abspath(world.agfs), "pwd"], capture_output=True, text=True, timeout=60,
                           env=dict({k: v for k, v in os.environ.items() if not k.startswith("AGFS_")}, **{name: value}))
        assert p.returncode == 2 and p.stderr.startswith("agfs: %s: invalid " % name), (name, p)
    p = agfs(world, server, "--timeout", "abc", "pwd", env=dict(os.environ, AGFS_TIMEOUT="1s"))
    assert p.returncode == 2 and p.stderr.startswith("agfs: invalid timeout 'abc'"), p


def test_a_server_that_is_not_there(world):
    """One line says so; with -v each attempt has one too, and none says it twice."""
    nobody = "127.0.0.1:%d" % free_port()
    refused = "cannot connect to %s: Connection refused" % nobody
    for more in ([], ["-v"]):
        p = subprocess.run([os.path.abspath(world.agfs), *more, "--server", "http://" + nobody, "ls"],
                           capture_output=True, text=True, timeout=60)
        said = p.stderr.splitlines()
        assert p.returncode == 8 and said[-1].startswith("agfs: ls: /: %s (class conn)" % refused), p
        attempts = [line for line in said[:-1] if "cannot connect to" in line]
        assert bool(attempts) == bool(more) and all(line.count(refused) == line.count(nobody) == 1 for line in attempts), p
        assert more or len(said) == 1, p


def test_passwords_are_not_in_the_history(world):
    server, _ = start(world)
    t = Terminal(world, server.clear)
    at = t.expect("agfs:/> ")
    for line in ("mount memfs /x token=se-cret", "echo http://user:se-cret@host/", "echo kept", "unmount /x"):
        wait_for("the shell to take keys", t.edits)
        t.type(line + "\n")
        at = t.expect("agfs:/> ", at)
    t.end()
    with open(world.path(".agfs_history")) as f:
        history = f.read()
    assert "se-cret" not in history and "kept" in history, history
    assert os.stat(world.path(".agfs_history")).st_mode & 0o777 == 0o600


def test_closed_descriptors(world):
    """What agfs opens is not taken for them."""
    server, api = start(world)
    api.put("/m/f", b"content")
    for closed, words, code in ((">&-", "cat /m/f", 1), (">&-", "-c 'cat /m/f'", 1), (">&-", "rm /m/f", 0),
                                ("2>&-", "ls /none", 3), ("<&- >&- 2>&-", "ls", 1), ("<&-", "upload - /m/g", 1),
                                ("<&-", "", 1)):
        p = subprocess.run(["sh", "-c", "exec %s --server %s %s %s" % (
            os.path.abspath(world.agfs), server.clear, words, closed)], capture_output=True, text=True, timeout=60)
        assert p.returncode == code and p.stdout == "", (closed, words, p)
        told = "" if code == 0 or "2>&-" in closed else "Bad file descriptor"
        assert told in p.stderr and p.stderr.count("\n") == (1 if told else 0), (closed, words, p)
    assert api.read("/m/g").status == 404


def test_a_script_that_cannot_be_read(world):
    server, _ = start(world)
    p = agfs(world, server, world.path("l"))
    assert (p.returncode, p.stdout, p.stderr) == (1, "", "agfs: local:%s: Is a directory\n" % world.path("l")), p
    with open("/proc/self/mem", "rb") as f:  # the first page cannot be read
        p = agfs(world, server, stdin=f)
    assert p.returncode == 1 and p.stderr == "agfs: local:-: Input/output error\n", p


def test_completion_of_other_alphabets(world):
    server, api = start(world)
    for n, name in enumerate(("größe-eins", "größe-zwei", "é1", "è1", "new\nline", "ñandú")):
        api.put("/m/" + name, b"<%d>" % n)
    for locale, typed, printed in (("C.UTF-8", "cat /m/grö\tz\t", "<1>"), ("C.UTF-8", "cat /m/g\te\t", "<0>"),
                                   ("C.UTF-8", "cat /m/\té1", "<2>"),  # no half a character stays there
                                   ("C.UTF-8", "echo ñ /m/ñ\t", "ñ /m/ñandú\r\n"), ("C.UTF-8", "cat /m/ne\tw*", "<4>"),
                                   ("C", "cd /m; echo gr\t-", "\r\ngr-\r\n")):
        t = Terminal(world, server.clear, LC_ALL=locale)
        at = t.expect("agfs:/> ")
        t.type(typed + "\necho the end > /m/end; cat /m/end\n")
        t.expect("the end\r\n", at)
        assert printed in t.seen, (typed, t.seen)
        t.end()


def test_completion_of_files_of_this_machine(world):
    server, api = start(world)
    with open(world.path("some file"), "w") as f:
        f.write("from here\n")
    t = Terminal(world, server.clear)
    at = t.expect("agfs:/> ")
    for typed, printed in (("upload so\t/m/x; cat /m/x", "from here\r\n"), ('cat "/m/x\t', "from here\r\n"), ("cat local:so\t", "from here\r\n"),
                           ("help dig\t", "usage: digest "), ("mount mem\t/n; mounts", "memfs on /n")):
        wait_for("the shell to take keys", t.edits)
        t.type(typed + "\n")
        at = t.expect("agfs:/> ", t.expect(printed, at))
    t.end()


def test_words_that_would_be_ignored(world):
    """They are refused before anything is done."""
    server, _ = start(world)
    with open(world.path("script"), "w") as f:
        f.write("mkdir /m/d\n")
    for words, said in ((["-c", "mkdir /m/d", "ls", "/"], "agfs: ls: nothing may follow the text of -c; quote all of it\n"),
                        (["-c", "mkdir /m/d", "-c", "pwd"], "agfs: -c is given twice; "),
                        ([world.path("script"), "/m"], "agfs: /m: a script takes no arguments\n"),
                        (["nonsense", "/m"], "agfs: nonsense: neither a command nor a script; ")):
        p = agfs(world, server, *words)
        assert (p.returncode, p.stdout) == (2, "") and p.stderr.startswith(said), (words, p)
    assert not agfs(world, server, "ls", "/m").stdout.count("d\n")


run([test_ctrl_c_ends_the_line, test_ctrl_c_while_the_prompt_is_printed, test_ctrl_c_while_the_server_is_silent, test_ctrl_c_while_the_server_works, test_a_live_stream,
     test_a_terminal_that_another_program_had, test_ctrl_c_ends_a_text_and_a_script,
     test_text_of_several_lines, test_names_that_look_like_local_files, test_long_output_that_cannot_be_written, test_reload,
     test_output_that_is_lost, test_the_password_of_the_server_is_not_shown,
     test_a_variable_that_is_wrong_is_named, test_a_server_that_is_not_there, test_passwords_are_not_in_the_history, test_closed_descriptors,
     test_a_script_that_cannot_be_read, test_completion_of_other_alphabets,
     test_completion_of_files_of_this_machine, test_words_that_would_be_ignored])
