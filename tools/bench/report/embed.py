#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Puts the parts of the report into one page, and the page into C: what comes before the JSON of a run, and after it.

usage: embed.py report.html OUT.c

A line "{{FILE...}}" of report.html stands for the contents of these files, "{{json}}" for the JSON. The page's policy lets
run only this script and this style, known by their digests: whatever a report quotes, it cannot become a program.
"""
import base64
import hashlib
import os
import re
import sys


def digest(text):
    return "'sha256-%s'" % base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def compose(template):
    """The page in two halves."""
    folder = os.path.dirname(template)
    policy = {}

    def include(match):
        names = match.group(1).split()
        text = "".join(open(os.path.join(folder, n), encoding="utf-8").read().rstrip("\n") + "\n" for n in names)
        if re.search(r"</(script|style)|<!--", text, re.I):
            sys.exit("embed.py: %s: would end the element that it stands in" % " ".join(names))
        kind = {".js": "script", ".css": "style"}.get(os.path.splitext(names[-1])[1])
        if kind:
            policy[kind] = digest("\n" + text)
        return text.rstrip("\n")

    page = open(template, encoding="utf-8").read()
    page = re.sub(r"(?m)^\{\{((?!json\}\})[^}]+)\}\}$", include, page)
    for kind, value in policy.items():
        page = page.replace("{{%s digest}}" % kind, value)
    halves = page.split("{{json}}")
    if len(halves) != 2 or "digest}}" in page:
        sys.exit("embed.py: %s: expected one {{json}} and both digests" % template)
    return halves


def c_array(name, text):
    data = text.encode()
    rows = (",".join(map(str, data[i:i + 64])) for i in range(0, len(data), 64))
    return "const size_t %s_len = %d;\nconst unsigned char %s[] = {\n%s};\n" % (name, len(data), name, ",\n".join(rows))


def main(template, out):
    head, tail = compose(template)
    with open(out, "w", encoding="ascii") as f:
        f.write('#include "page.h"\n' + c_array("page_head", head) + c_array("page_tail", tail))


if __name__ == "__main__":
    main(*sys.argv[1:])
