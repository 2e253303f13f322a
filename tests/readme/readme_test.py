# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""readme_test.py BUILD SOURCE: README.md is true. TAP on stdout.

Its C compiles (meson did that) and runs, its shell examples run, its tables say what the code says.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from extract import blocks

BUILD, SOURCE = (os.path.abspath(p) for p in sys.argv[1:3])
sys.path.append(SOURCE + '/tests/integ')
from agfs_world import free_port  # noqa: E402
AGFSD = BUILD + '/tools/agfsd/agfsd'
with open(SOURCE + '/README.md', encoding='utf-8') as readme_file:
    README = readme_file.read()


class Server:
    """An agfsd on a free port of the loopback."""

    def __init__(self, *flags):
        self.dir = tempfile.TemporaryDirectory()
        address = self.dir.name + '/url'
        self.process = subprocess.Popen([AGFSD, '-addr', '127.0.0.1:0', '--addr-file', address,
                                         '--log-level', 'warn', *flags])
        deadline = time.monotonic() + 60
        while not os.path.exists(address) or not os.path.getsize(address):
            assert self.process.poll() is None and time.monotonic() < deadline, 'agfsd is not up'
            time.sleep(0.01)
        with open(address, encoding='utf-8') as f:
            self.url = f.readline().strip() + '/api/v1'

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(60) == 0
        self.dir.cleanup()


def test_c_program():
    with Server('--mount', 'memfs:/memfs') as remote: # the root of most servers takes no files
        out = subprocess.run([BUILD + '/tests/readme/readme_program', remote.url], timeout=120,
                             stdout=subprocess.PIPE, check=True).stdout
        assert out == b'hello\n', out


def test_c_snippets():
    with Server('--mount', 'memfs:/') as remote, Server() as server:
        subprocess.run([BUILD + '/tests/readme/readme_snippets_test', remote.url, server.url],
                       stdout=subprocess.DEVNULL, timeout=120, check=True)


def run_shell(block):
    """Runs an example in an empty directory, with free ports in place of those printed."""
    names = sorted(set(re.findall(r'\b900\d\b', block)))
    for name in names:
        block = re.sub(r'\b%s\b' % name, str(free_port()), block)
    with tempfile.TemporaryDirectory() as work:
        for tool in ('agfs', 'agfsd'):
            os.symlink(f'{BUILD}/tools/{tool}', f'{work}/{tool}')
        block = block.replace('cd build-quickstart/tools\n', 'trap \'kill $servers\' EXIT\n')
        block = block.replace('\nkill $servers\n', '\n')
        shell = subprocess.Popen(['bash', '-euc', block], cwd=work, start_new_session=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            out = shell.communicate(timeout=120)[0]
            assert shell.returncode == 0, f'exit code {shell.returncode}: {out.decode()}'
            return out.decode()
        finally:
            if shell.poll() is None: # with what it started
                os.killpg(shell.pid, signal.SIGKILL)
                shell.communicate()


def test_federation():
    out = run_shell([b for b in blocks(README, 'sh') if 'region-us' in b][0])
    assert out.endswith('from us\n') and 'proxyfs on /region-asia' in out, out


def test_queue():
    out = run_shell([b for b in blocks(README, 'sh') if 'remote-queue' in b][0])
    assert out.startswith('1{') and '"data":"task-123"' in out, out


def test_yaml():
    """The configurations pass; certificate files need not exist for that."""
    for i, block in enumerate(blocks(README, 'yaml')):
        with tempfile.NamedTemporaryFile('w', suffix='.yaml') as f:
            f.write(block)
            f.flush()
            done = subprocess.run([AGFSD, '-c', f.name, '--print-config'], check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            assert done.returncode == 0, f'YAML {i + 1}: {done.stderr.decode()}'


def test_option_table():
    with open(SOURCE + '/lib/fs/options.c', encoding='utf-8') as f:
        code = f.read()
    rows = re.findall(r'^    (?:ROW\((\w+), \w+|TIME\((\w+)), (NULL|"[^"]*"),', code, re.M)
    assert len(rows) >= 24, rows
    table = {}
    for names, defaults in re.findall(r'^\| (`[^|]*) \| ([^|]*) \| [^|]* \|$', README, re.M):
        defaults = defaults.split(',') if ',' in names and ',' in defaults else [defaults] * 9
        for name, default in zip(names.split(','), defaults):
            table[name.strip(' `')] = default.strip(' `')
    for member, time_member, default in rows:
        name = member or time_member
        assert name in table, f'{name} is missing in the table of options'
        if default != 'NULL':
            assert table[name] == default.strip('"'), f'{name}: {table[name]} is not {default}'


def test_error_table():
    with open(SOURCE + '/include/proxyfs/error.h', encoding='utf-8') as f:
        rows = re.findall(r'X\(\w+, "(\w+)", (\d+), (\d+), \w+,\s*"([^"]*)"\)', f.read())
    assert len(rows) > 25, rows
    for name, http, code, text in rows:
        row = f'| {name} | {http} | {code} | {text} |'
        assert name == 'ok' or row in README, f'missing: {row}'


def main():
    tests = [(k, f) for k, f in globals().items() if k.startswith('test_')]
    failed = 0
    print(f'1..{len(tests)}')
    for i, (name, test) in enumerate(tests, 1):
        try:
            test()
            print(f'ok {i} - {name}', flush=True)
        except (AssertionError, subprocess.SubprocessError, OSError, IndexError) as e:
            failed += 1
            print(f'not ok {i} - {name}: {e!r}', flush=True)
    sys.exit(failed != 0)


if __name__ == '__main__':
    main()
