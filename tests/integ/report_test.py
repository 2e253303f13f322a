#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""The page of agfs-bench in a headless Chromium without a network: what it draws, says and refuses.

usage: report_test.py BUILDDIR [TEST...]
"""
import json
import os
import re
import subprocess
import sys

import browser
import report_runs as runs
from agfs_world import Skip, World, run

LINES = [(0x00, 0x72, 0xb2), (0xd5, 0x5e, 0x00)]  # of the first two targets, light
DARK_LINES = [(0x56, 0xb4, 0xe9), (0xff, 0x8f, 0x3f)]
LIMIT, KNEE = (0x7a, 0x82, 0x8b), (0x8a, 0x2b, 0xe2)
STATE = "document.getElementById('page').dataset.state"
chromium = None  # the browser of all tests


def page_of(world, report):
    """The path of the page of a report, which is a dict, or text of any kind."""
    if not chromium:
        raise Skip("no Chromium here")
    data = report if isinstance(report, bytes) else json.dumps(report).encode()
    path = world.path("page.html")
    with open(path, "wb") as f:
        subprocess.run([os.path.join(world.build, "tests/integ/report_page")], input=data, stdout=f, check=True)
    return path


def show(world, report, **how):
    path = page_of(world, report)
    open_page(path, **how)
    return path


def open_page(path, **how):
    """Opens a page; it has no complaint, asks for nothing, and every part of it is drawn."""
    chromium.open(path, **how)
    assert chromium.complaints() == [], chromium.complaints()
    assert chromium.requests() == [], chromium.requests()
    failed = chromium.value("[...document.querySelectorAll('[data-failed]')].map(e => e.textContent)")
    assert failed == [], failed


def text(selector="#page"):
    return chromium.value("document.querySelector(%s).innerText" % json.dumps(selector))


def rows(table):
    """The cells of a table: the exact number where there is one, else the text."""
    return chromium.value("""[...document.querySelectorAll('#%s tbody tr')].map(r => [...r.children].map(
        c => c.dataset.value === undefined ? c.innerText : Number(c.dataset.value)))""" % table)


def heads(table):
    return chromium.value("[...document.querySelectorAll('#%s thead th')].map(c => c.innerText)" % table)


def figures():
    """The charts by name: the box of each plot on the page, and how many lines it says it drew."""
    found = chromium.value("""[...document.querySelectorAll('figure')].map(f => {
        const b = f.querySelector('canvas').getBoundingClientRect();
        return [f.dataset.chart, [b.x + scrollX, b.y + scrollY, b.width, b.height], Number(f.dataset.rendered)]; })""")
    return {name: (box, lines) for name, box, lines in found}


def choose(select, label):
    """Picks an entry as a person does, by its text."""
    assert chromium.value("""(() => { const s = document.getElementById('%s');
        const o = [...s.options].find(o => o.text === %s);
        if (o) { s.value = o.value; s.dispatchEvent(new Event('change')); }
        return Boolean(o); })()""" % (select, json.dumps(label))), label
    chromium.settle()


def every_chart_has_its_lines(world):
    show(world, runs.callers(), width=700)
    found = figures()
    assert list(found) == ["sweep-work", "sweep-latency", "sweep-cpu", "percentiles", "latency", "throughput"], list(found)
    for name, (box, lines) in found.items():
        assert lines >= 3, (name, lines)
        pixels = chromium.screenshot(box)
        for color in LINES + [LIMIT]:  # of targets that hide each other entirely, the last one is seen
            assert name == "sweep-cpu" and color == LINES[0] or pixels.count(color) > 80, (name, color, pixels.count(color))
        knee = pixels.count(KNEE)
        assert (knee > 50) == name.startswith("sweep"), (name, knee)
    legend = text("figure[data-chart=percentiles] .legend")
    assert all(t in legend for t in ("direct", "through agfsd", "bare TLS round trip")) and "pipe" not in legend, legend


def a_chart_without_a_line_says_so(world):
    report = runs.single()
    for t in report["targets"]:
        t["steps"][0]["timeline"] = []
    show(world, report)
    assert "This run has no timeline." in text("figure[data-chart=latency]")


def the_nines_are_as_wide_as_each_other(world):
    show(world, runs.single())
    labels = "ninesTicks(nines(10), nines(99.99), %d).map(v => String(Number(percentOf(v).toFixed(4))))"
    assert chromium.value(labels % 1200) == ["50", "75", "90", "95", "99", "99.9", "99.99"]
    assert chromium.value(labels % 220) == ["50", "90", "99", "99.9", "99.99"]
    at = chromium.value("[90, 99, 99.9, 99.99].map(nines)")
    assert all(abs(v - i) < 1e-9 for i, v in enumerate(at, 1)), at


def the_numbers_are_those_of_the_report(world):
    report = runs.single()
    show(world, report)
    names = heads("percentiles-table")
    for target, row in zip(report["targets"], rows("percentiles-table"), strict=True):
        op = target["steps"][0]["ops"][-1]
        assert row[0].strip() == target["name"] and row[1] == op["calls"], row
        for key, value in op["percentiles_us"].items():  # unknown ones are a dash, not a guess
            assert row[names.index("p" + key)] == ("–" if value is None else value), (key, value, row)
    assert None in report["targets"][1]["steps"][0]["ops"][-1]["percentiles_us"].values()
    choose("pick-op", "read")
    for target, row in zip(report["targets"], rows("percentiles-table"), strict=True):
        op = next(o for o in target["steps"][0]["ops"] if o["op"] == "read")
        assert row[names.index("p50")] == op["percentiles_us"]["50"], row
    by_op = rows("ops-table")
    assert [r[0] for r in by_op] == [n for n in ("all", "stat", "read", "write", "list") for _ in range(2)], by_op
    assert len(rows("rounds-table")) == 2 and rows("rounds-table")[1][1:4] == report["targets"][1]["steps"][0]["rates_per_round"]


def a_sweep_is_shown_step_by_step_and_its_knee_explained(world):
    report = runs.callers()
    show(world, report)
    table = rows("sweep-table")
    steps = [(t, s) for i in range(9) for t in report["targets"] for s in [t["steps"][i]]]
    for row, (target, step) in zip(table, steps, strict=True):
        assert row[:3] == [step["value"], target["name"], step["reached_rate_per_s"]], (row, target["name"])
        assert row[5] == step["ops"][0]["percentiles_us"]["99"], row
    assert text(".knee") == "Knee of direct at 32 callers: " + report["sweep"]["knee"]["reason"] + "."
    assert "direct at 32 callers: client 0.933 + server 0.875 = 1.81 of 2 CPUs busy: the machine is used up" in text()
    assert "through agfsd gets most done at 64 callers, 31,000/s; 90 % of that is reached at 8 callers, with client " in text()
    assert "of 2 CPUs busy: these two leave CPU time" in text()
    assert "Side by side at 32 callers" in text()  # the details begin at the knee
    choose("pick-step", "4")
    assert "Side by side at 4 callers" in text()
    assert rows("percentiles-table")[0][1] == report["targets"][0]["steps"][2]["calls"]
    assert figures()["percentiles"][1] == 3
    show(world, runs.sizes())
    assert "From 1 KiB to 1 GiB" in text()
    assert "direct gets most done at 16 MiB, 614 MB/s" in text() and "nee" not in text(), text()
    assert "client 0.450 + server 0.450 = 0.900 of 2 CPUs busy, as much as 1 caller can" in text(), text()
    assert "direct at 1 GiB only 429 MB/s; CPU time per MB is 1.89 ms there, 1.47 ms at 16 MiB." in text(), text()
    report["sweep"]["knee"] = None
    show(world, report)
    assert "No knee was found." in text()


def each_target_has_its_knee(world):
    report = runs.callers()
    report["targets"][0]["knee"] = report["sweep"]["knee"]
    report["targets"][1]["knee"] = {"value": 4, "reason": "from 4 to 8 callers throughput changed by +1 %"}
    for s in report["targets"][1]["steps"]:  # the rest of the two CPUs is somebody else's
        s["cpu_machine_s"] = 2 * s["seconds"]
    show(world, report, width=700)
    assert chromium.value("document.querySelectorAll('.knee').length") == 2
    assert "Knee of direct at 32 callers: " in text() and "Knee of through agfsd at 4 callers: from 4 to 8 callers" in text()
    assert "of 2 CPUs busy, everything else here " in text() and "the machine is used up by all together" in text()
    assert "Side by side at 32 callers" in text()
    names = heads("cost-table")
    assert [abs(r[names.index("CPUs of all else")] - 0.665) < 0.001 for r in rows("cost-table")[1:2]] == [True], rows("cost-table")
    assert rows("cost-table")[0][names.index("CPUs of all else")] == "\u2013"
    two = chromium.screenshot(figures()["sweep-work"][0])
    report["targets"][1]["knee"] = None
    show(world, report, width=700)
    one = chromium.screenshot(figures()["sweep-work"][0])
    assert two.count(KNEE) == 0 and one.count(KNEE) > 50, "several have the colours of their targets"
    added = [two.count(c, 80) - one.count(c, 80) for c in LINES]
    assert min(added) > 50, added


def the_limit_is_compared_with(world):
    report = runs.callers()
    show(world, report)
    limit = report["targets"][2]["steps"][5]
    for row, target in zip(rows("limits-table"), report["targets"][:2], strict=True):
        assert abs(row[1] - target["steps"][5]["reached_rate_per_s"] / limit["reached_rate_per_s"]) < 1e-9, row
        assert row[4] == limit["ops"][0]["percentiles_us"]["50"] and abs(row[5] - row[3] / row[4]) < 1e-9, row
    assert "direct: p50 is 1.16 round trips of bare TLS (525 µs); calls per second are 68.9 % of bare round trips." in text()
    show(world, runs.sizes())  # no such targets, but the figures
    step = runs.sizes()["targets"][0]["steps"][-1]
    assert abs(rows("limits-table")[0][2] - step["bytes_read"] / step["seconds"] / 880e6) < 1e-9
    report["targets"] = report["targets"][2:]
    show(world, report)  # of the limits alone
    assert [r[0].strip() for r in rows("percentiles-table")] == ["bare TLS round trip", "bare TLS pipe"]
    report = runs.callers()
    report.update(targets=report["targets"][:2], limits=None)
    show(world, report)
    assert "No limit was measured beside this run" in text()


def failures_are_told_by_class(world):
    show(world, runs.single())
    names = heads("errors-table")
    row = rows("errors-table")[1]
    assert [row[names.index(n)] for n in ("failed", "timeout", "overload", "not applied", "unknown")] == [9, 7, 2, 6, 3], row
    assert row[-1] == "read /memfs/f: timeout: no reply within 250ms", row
    assert "9 of 3,509 calls failed" in text(".tiles") and "105,000 calls, none failed" in text(".tiles")
    report = runs.sizes()
    report["targets"][0]["steps"][-1]["warning"] = "only 90 of 100 planned calls/s were reached"
    report["targets"][1]["queue"] = {"enqueued": 7, "dequeued": 6, "left": 0, "unknown": 0, "found_empty": 0, "conserved": False}
    show(world, report)
    assert "No call failed." in text()
    assert "direct: only 90 of 100 planned calls/s were reached." in text()
    assert "7 messages enqueued, 6 dequeued: messages were lost or doubled." in text()


def an_open_loop_compares_times_not_rates(world):
    report = runs.callers()
    for t in report["targets"][:2]:
        for s in t["steps"]:
            s.update(latency_from="planned", planned_rate_per_s=1000.0, reached_rate_per_s=1000.0)
    show(world, report)
    assert "Latency counts from the moment a call was planned" in text()
    assert "through agfsd: p50 is 1.35 times that of direct." in text(), text()
    assert [r[1] for r in rows("limits-table")] == ["–", "–"] and "calls per second are" not in text()
    assert figures()["throughput"][1] == 2 and figures()["percentiles"][1] == 3, figures()
    report["sweep"]["knee"] = None
    show(world, report)
    assert "nee" not in text().split("Side by side")[0], "more callers get no more done than what is planned"
    show(world, runs.callers())
    assert "through agfsd: p50 is 1.35 times that of direct; calls per second are 73.8 %." in text()
    report = runs.callers()
    report["targets"][1]["steps"][5]["against_first"] = {"p50": "more than noise", "rate": "no difference beyond noise"}
    show(world, report)
    assert "p50 is 1.35 times that of direct, more than noise; calls per second are 73.8 %, no difference beyond noise." in text()


def noise_is_told(world):
    report = runs.callers()
    show(world, report)
    assert "busy here" not in text() and abs(rows("rounds-table")[0][5] - 0.03) < 1e-9, rows("rounds-table")[0]
    report["targets"][0]["steps"][5]["rates_per_round"] = [300, 100, 200]
    show(world, report)
    assert "In 1 of 36 steps the rounds differ by more than 30.0 %" in text()
    assert "direct: its rounds differ by 100 %; something else was busy, or the target itself." in text()
    step = report["targets"][0]["steps"][5]
    for more, reason in (1, "something else was busy here (1.00 of 2 CPUs)"), (0, "nothing else was busy here, so it is the target"):
        step["cpu_machine_s"] = step["cpu_client_s"] + step["cpu_server_s"] + more * step["seconds"]
        show(world, report)
        assert "direct: its rounds differ by 100 %; " + reason in text(), text()


def hostile_text_stays_text(world):
    path = show(world, runs.hostile())
    assert chromium.value("document.title") == "agfs-bench"
    assert chromium.value("document.querySelectorAll('script').length") == 2
    assert chromium.value("document.querySelectorAll('img, iframe, object, link:not([rel=icon])').length") == 0
    assert chromium.value("document.querySelector('.tile h3 .key').nextSibling.data") == runs.HOSTILE
    assert chromium.value("document.documentElement.scrollWidth") == 1280
    source = open(path).read()
    assert source.count("</script>") == 2, source.count("</script>")
    # Even what would get in does not run.
    chromium.value("document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=\"document.title = 1\">'), 1")
    chromium.settle()
    assert chromium.value("document.title") == "agfs-bench" and "Content Security Policy" in str(chromium.complaints())


def what_cannot_be_shown_says_why(world):
    empty = runs.report([runs.target("direct", [])], interrupted=True)
    for report, reason in [
            (b"", "its JSON is damaged"), (b'{"schema": "agfs-bench/1", "targ', "its JSON is damaged"), (b"</script><b>x", "its JSON is damaged"),
            (b"\0\xff\xfe", "its JSON is damaged"), (b"[1]", "not a report of agfs-bench"), (b"null", "not a report of agfs-bench"),
            ({"schema": "fio/1"}, "not a report of agfs-bench"), ({"schema": "agfs-bench/2"}, "it has the form agfs-bench/2"),
            ({"schema": "agfs-bench/1"}, "no step of it was measured"), (empty, "no step of it was measured before it was interrupted")]:
        show(world, report)
        assert chromium.value(STATE) == "refused", report
        assert text(".notice").startswith("This report cannot be shown: ") and reason in text(".notice"), text(".notice")


def a_report_with_little_in_it_is_shown(world):
    """Readers ignore unknown keys and get along without the others."""
    show(world, {"schema": "agfs-bench/1", "new": 1, "targets": [{"steps": [{"new": [], "calls": 10, "seconds": 2}]}]})
    assert chromium.value(STATE) == "shown" and "5.00/s" in text(".tiles"), text()
    report = runs.callers()
    for t in report["targets"]:
        for s in t["steps"]:
            s.update(cpu_client_s=None, cpu_server_s=None, timeline=[], rates_per_round=None, errors=None, outcomes=None, wire_in_bytes=None)
    report.update(interrupted=True, ended_early=True, machine=None, versions=None, workload=None, command=None, limits=None)
    show(world, report)
    assert chromium.value(STATE) == "shown" and "This run was interrupted" in text()
    assert "a target failed altogether" in text()
    assert "This run has no timeline." in text("figure[data-chart=latency]")


def it_refers_to_nothing_else(world):
    page = open(page_of(world, runs.single())).read()
    outside = [m.group(0) for m in re.finditer(r"(?:\b(?:src|href|action|srcset)\s*=\s*[\"']?|url\(|@import)[^\s\"')>]*", page)]
    assert outside == ['href="data:,'], outside
    assert "default-src 'none'" in page and "sourceMappingURL" not in page
    assert "Permission is hereby granted" in page  # the licence of uPlot goes with it


def it_follows_the_scheme(world):
    show(world, runs.single(), width=700, scheme="dark")
    pixels = chromium.screenshot(figures()["percentiles"][0])
    assert all(pixels.count(c) > 100 for c in DARK_LINES) and pixels.count((0x1d, 0x21, 0x25), 3) > pixels.count((255, 255, 255)), "dark"
    chromium.scheme("light")
    chromium.settle()
    pixels = chromium.screenshot(figures()["percentiles"][0])
    assert all(pixels.count(c) > 100 for c in LINES) and pixels.count((255, 255, 255)) > 50000, "light"


def it_fits_narrow_and_wide(world):
    for report in (runs.callers(), runs.hostile()):
        for width in (700, 1280):
            show(world, report, width=width)
            assert chromium.value("document.documentElement.scrollWidth") == width
            boxes = [box for box, _ in figures().values()]
            assert all(x >= 0 and x + w <= width and w > 300 for x, _, w, _ in boxes), boxes
    chromium.resize(700, 900)  # the charts follow a window that shrinks
    chromium.settle()
    assert all(box[0] + box[2] <= 700 for box, _ in figures().values()), figures()


def the_keyboard_reads_and_hides(world):
    show(world, runs.callers())
    chart = "document.querySelector('figure[data-chart=sweep-work]')"
    chromium.value(chart + ".querySelector('.plot').focus(), 1")
    for _ in range(3):
        chromium.key("ArrowRight")
    said = chromium.value(chart + ".querySelector('[aria-live]').textContent")
    assert said.startswith("4 callers: direct 35,2") and "bare TLS" in said, said
    before = chromium.screenshot(figures()["sweep-work"][0]).count(LINES[1])
    chromium.value(chart + ".querySelectorAll('.chip')[1].focus(), 1")
    chromium.key("Enter")
    chromium.settle()
    assert chromium.value(chart + ".querySelectorAll('.chip')[1].getAttribute('aria-pressed')") == "false"
    after = chromium.screenshot(figures()["sweep-work"][0]).count(LINES[1])
    assert before > 300 and after < before / 10, (before, after)


def it_can_be_printed_and_saved(world):
    report = runs.callers()
    show(world, report, scheme="dark")
    chromium.value("addEventListener('beforeprint', () => { window.paper = ["
                   "document.querySelector('canvas').width, color('--c0')]; }), 1")
    assert chromium.pdf().startswith(b"%PDF-")
    assert chromium.value("window.paper") == [660, "#0072b2"], chromium.value("window.paper")
    assert chromium.value("color('--c0')") == "#56b4e9"  # and back on the screen
    saved = chromium.value("""new Promise(done => { const make = URL.createObjectURL;
        URL.createObjectURL = blob => { blob.text().then(done); return make.call(URL, blob); };
        [...document.querySelectorAll('button')].find(b => b.textContent === 'Save as JSON').click(); })""")
    assert json.loads(saved) == report


def a_real_run_is_shown(world):
    server = world.start("bench", ["--mount", "memfs:/memfs"], tls=True, client_cert="none")
    page, saved = world.path("real.html"), world.path("real.json")
    command = [os.path.join(world.build, "tools/bench/agfs-bench"), "-q", server.tls + ",name=<b>tls</b>,ca_file=" + world.pki("ca.pem"),
               server.clear + ",name=clear", "--limit", "-w", "stat:80,read:20", "--sweep", "callers=1,2,4", "-d", "150ms",
               "--rounds", "2", "--warmup", "20ms", "--html", page]
    subprocess.run(command + ["--json", saved], stdout=subprocess.DEVNULL, check=True, timeout=60)
    if not chromium:
        raise Skip("no Chromium here")
    open_page(page)
    report = json.load(open(saved))
    assert json.loads(chromium.value("document.getElementById('run').textContent")) == report
    assert chromium.value(STATE) == "shown"
    choose("pick-step", "4")  # whatever the knee was
    for row, target in zip(rows("percentiles-table"), report["targets"], strict=True):
        assert row[0].strip() == target["name"] and row[1] == target["steps"][-1]["ops"][-1]["calls"], row
    assert all(lines >= 3 for _, lines in figures().values()), figures()


def a_page_that_cannot_be_written_is_known_before_the_run(world):
    program = os.path.join(world.build, "tools/bench/agfs-bench")
    r = subprocess.run([program, "http://127.0.0.1:1", "--html", world.path("no/such/page.html")], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=60, text=True)
    assert r.returncode == 1 and "page.html: No such file or directory" in r.stderr and "127.0.0.1:1" not in r.stderr, r


def a_full_disk_is_an_error(world):
    program = os.path.join(world.build, "tests/integ/report_page")
    with open("/dev/full", "wb") as full:
        r = subprocess.run([program], input=b"{}", stdout=full, stderr=subprocess.PIPE)
    assert r.returncode == 1 and b"No space left" in r.stderr, r


TESTS = [every_chart_has_its_lines, a_chart_without_a_line_says_so, the_nines_are_as_wide_as_each_other,
         the_numbers_are_those_of_the_report, a_sweep_is_shown_step_by_step_and_its_knee_explained, each_target_has_its_knee, the_limit_is_compared_with,
         failures_are_told_by_class, an_open_loop_compares_times_not_rates, noise_is_told,
         hostile_text_stays_text, what_cannot_be_shown_says_why, a_report_with_little_in_it_is_shown,
         it_refers_to_nothing_else, it_follows_the_scheme, it_fits_narrow_and_wide, the_keyboard_reads_and_hides,
         it_can_be_printed_and_saved, a_real_run_is_shown, a_page_that_cannot_be_written_is_known_before_the_run,
         a_full_disk_is_an_error]

if __name__ == "__main__":
    if browser.find():
        with browser.Browser() as chromium:
            run(TESTS, shared=World(sys.argv[1]))
    run(TESTS, shared=World(sys.argv[1]))
