# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""What works where: each operation on each backend by each view, measured, beside what the stock server answers."""
import json

PLUGIN = "through the plugin"  # the view that has only the stock plugin interface: no status but 500
BACKENDS = ("memfs", "localfs", "kvfs", "queuefs", "streamfs", "serverinfofs", "hellofs", "devfs")
# directory, existing file, file to be made, missing file
PATHS = {"memfs": ("/memfs/w", "/memfs/w/f", "/memfs/w/new", "/memfs/w/none"),
         "localfs": ("/store/w", "/store/w/f", "/store/w/new", "/store/w/none"),
         "kvfs": ("/kv/keys", "/kv/keys/f", "/kv/keys/new", "/kv/keys/none"),
         "queuefs": ("/queue/q", "/queue/q/enqueue", "/queue/q/enqueue", "/queue/none"),
         "streamfs": ("/streams", "/streams/f", "/streams/new", "/streams/none"),
         "serverinfofs": ("/info", "/info/version", "/info/new", "/info/none"),
         "hellofs": ("/hello", "/hello/hello", "/hello/new", "/hello/none"),
         "devfs": ("/dev", "/dev/null", "/dev/new", "/dev/none")}
# operation, request, body, expects a refusal, the stock server's status per backend: "-" where its documentation and
# our reading of it say nothing, "=" where it answers 200 and ignores what was asked.
OPERATIONS = [
    ("create", "POST files?path={new}", None, False, "201 201 201 201 201 500 500 -"),
    ("create again", "POST files?path={new}", None, True, "500 500 500 201 500 500 500 -"),
    ("write", "PUT files?path={f}", b"hello", False, "200 200 200 200 200 500 500 200"),
    ("write at offset", "PUT files?path={f}&offset=1&flags=0", b"E", False, "= = = = = 500 500 ="),
    ("append", "PUT files?path={f}&flags=1", b"!", False, "= = = = = 500 500 ="),
    ("read", "GET files?path={read}", None, False, "200 200 200 200 500 200 200 200"),
    ("read a range", "GET files?path={read}&offset=1&size=2", None, False, "200 200 200 200 500 200 200 200"),
    ("read a missing file", "GET files?path={none}", None, True, "500 500 500 500 500 500 404 404"),
    ("read as a stream", "GET files?path={read}&stream=true", None, False, "404 200 404 404 200 404 404 404"),
    ("stat", "GET stat?path={f}", None, False, "200 200 200 200 200 200 200 200"),
    ("stat a missing file", "GET stat?path={none}", None, True, "500 500 500 500 500 500 404 404"),
    ("list", "GET directories?path={d}", None, False, "200 200 200 200 200 200 200 200"),
    ("mkdir", "POST directories?path={new}.d", None, False, "201 201 - 201 500 500 500 -"),
    ("chmod", 'POST chmod?path={f}', {"mode": 384}, False, "200 200 - 500 500 500 500 -"),
    ("truncate", "POST truncate?path={f}&size=2", None, False, "200 200 200 200 200 200 200 -"),
    ("touch", "POST touch?path={f}", None, False, "500 500 500 500 - 500 500 -"),
    ("digest", "POST digest", {"algorithm": "md5", "path": "{read}"}, False, "500 200 500 500 - 500 500 200"),
    ("grep", "POST grep", {"path": "{read}", "pattern": "e"}, False, "200 200 200 200 - 200 200 200"),
    ("symlink", "POST symlink?path={d}/l", {"target": "x"}, False, "201 201 201 201 201 201 201 201"),
    ("symlink again", "POST symlink?path={d}/l", {"target": "x"}, True, "409 409 409 409 409 409 409 409"),
    ("readlink", "GET readlink?path={d}/l", None, False, "200 200 200 200 200 200 200 200"),
    ("remove a link", "DELETE files?path={d}/l", None, False, "200 200 200 200 200 200 200 200"),
    ("open a handle", "POST handles/open?path={f}&flags=1", None, False, "200 501 501 200 200 501 501 501"),
    ("rename", "POST rename?path={f}", {"newPath": "{f}.moved"}, False, "200 200 - 500 500 500 500 -"),
    ("remove a missing file", "DELETE files?path={none}", None, True, "500 500 500 500 500 500 - -"),
    ("remove", "DELETE files?path={new}", None, False, "200 200 200 500 200 500 500 -"),
    ("remove recursively", "DELETE files?path={d}&recursive=true", None, False, "200 200 - 200 500 500 500 -"),
]
# What differs on purpose: title, why, (operations or None for all, stock's statuses, our statuses).
DIFFERENCES = [
    ("missing: 404 instead of 500", "a client can tell it from a fault, and the Go SDK does not repeat writes for 7 s",
     (None, {"500"}, {404})),
    ("existing, or not empty: 409 instead of 500", "as above", (None, {"500"}, {409})),
    ("denied or read-only: 403 instead of 500", "as above", (None, {"500"}, {403})),
    ("wrong arguments: 400 instead of 500", "as above", (None, {"500"}, {400})),
    ("never possible there: 501 instead of 500 or of a success without effect", "as above; 501 is the status that SDKs look for",
     (None, {"500", "="}, {501})),
    ("touch works on existing files", "the stock server fails with EOF", ({"touch"}, {"500"}, {200})),
    ("digest works on every backend", "the stock server fails with EOF where reading says so", ({"digest"}, {"500"}, {200})),
    ("offset and flags of PUT work", "documented so; the stock server ignores them and replaces the file, clients ask "
     "`/capabilities` for `offset` and `flags`", ({"write at offset", "append"}, {"="}, {200})),
    ("every file can be read as a stream", "the stock server says 404 where the backend has no streams of its own",
     ({"read as a stream"}, {"404"}, {200, 400, 403})),
    ("handles on localfs", "the stock server says 501", ({"open a handle"}, {"501"}, {200})),
]


def filled(v, backend, text):
    d, f, new, none = (v.prefix + p for p in PATHS[backend])
    read = f.replace("enqueue", "peek")
    for mark, path in (("{d}", d), ("{f}", f), ("{new}", new), ("{none}", none), ("{read}", read)):
        text = text.replace(mark, path)
    return text


def measure(views, plugin):
    """{(operation, backend): {view's name: status}}"""
    found = {}
    for v in views + [plugin]:
        v.begin()
        for path in ("/streams/new", "/streams/f", "/kv/keys/f", "/kv/keys/new", "/kv/keys/f.moved"):
            v.api.call("DELETE", "files", path=v.prefix + path)
        v.api.call("DELETE", "files", path=v.prefix + "/queue/q", recursive="true")
        v.api.post("directories", path=v.prefix + "/queue/q")
        for backend in BACKENDS:
            for name, row, body, _, _ in OPERATIONS:
                if isinstance(body, dict):
                    body = {k: filled(v, backend, x) if isinstance(x, str) else x for k, x in body.items()}
                method, url = v.url(filled(v, backend, row))
                data = json.dumps(body).encode() if isinstance(body, dict) else body
                with v.client.stream(method, url, content=data) as r:  # a live stream has no end: its header is enough
                    found.setdefault((name, backend), {})[v.name] = r.status_code
                    if "stream=true" not in row:
                        text = r.read()
                        if name == "open a handle" and r.status_code == 200:
                            assert v.raw("DELETE handles/%d" % json.loads(text)["handle_id"]).status == 200
    return found


def stock(name, backend):
    return next(s for n, _, _, _, s in OPERATIONS if n == name).split()[BACKENDS.index(backend)]


def difference(name, backend, ours):
    """The row of DIFFERENCES that says why; None: the same as the stock server, False: no row says so."""
    theirs = stock(name, backend)
    if theirs == "-" or theirs == str(ours):
        return None
    return next((d for d in DIFFERENCES if (d[2][0] is None or name in d[2][0]) and theirs in d[2][1] and ours in d[2][2]), False)


def cell(name, backend, view, ours):
    refusal = next(r for n, _, _, r, _ in OPERATIONS if n == name)
    differs = None if view == PLUGIN else difference(name, backend, ours)
    word = "not supported" if ours == 501 else "ok" if ours < 300 or refusal else "refused"
    if differs is False:
        return "UNLISTED %d" % ours
    if ours >= 300:
        word += " (%d)" % ours
    if differs:
        word = "differs on purpose [%d]: %s" % (DIFFERENCES.index(differs) + 1, word)
    return word


def check(found):
    """What differs without a row of DIFFERENCES or between views; the rows that nothing showed."""
    faults, seen = [], set()
    for (name, backend), by_view in found.items():
        by_view = {v: status for v, status in by_view.items() if v != PLUGIN}
        if len(set(by_view.values())) != 1:
            faults.append("%s on %s: %r" % (name, backend, by_view))
        for ours in set(by_view.values()):
            differs = difference(name, backend, ours)
            if differs is False:
                faults.append("%s on %s: %d, stock %s" % (name, backend, ours, stock(name, backend)))
            elif differs:
                seen.add(differs[0])
    return faults, [d[0] for d in DIFFERENCES if d[0] not in seen]


def markdown(found):
    views = list(next(iter(found.values())))
    lines = ["Measured by `tests/integ/conformance_test.py BUILDDIR --matrix`. A cell holds for all of: " + "; ".join(views) +
             ". Where these differ, the cell names them; `plugin` is a host with only the stock plugin interface.", "", "| operation | " + " | ".join(BACKENDS) + " |",
             "|---" * (len(BACKENDS) + 1) + "|"]
    for name in (o[0] for o in OPERATIONS):
        cells = []
        for backend in BACKENDS:
            by_view = {v: cell(name, backend, v, ours) for v, ours in found[name, backend].items()}
            plugin = by_view.pop(PLUGIN)
            words = set(by_view.values())
            text = next(iter(words)) if len(words) == 1 else "; ".join("%s: %s" % kv for kv in by_view.items())
            if found[name, backend][PLUGIN] != next(iter(found[name, backend].values())):
                text += "; plugin: " + plugin
            cells.append(text)
        lines.append("| %s | %s |" % (name, " | ".join(cells)))
    lines += ["", "| | differs from the stock server on purpose | why |", "|---|---|---|"]
    return "\n".join(lines + ["| %d | %s | %s |" % (n, d[0], d[1]) for n, d in enumerate(DIFFERENCES, 1)])
