#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# What the library and agfsd reach, in ratios to what is possible on this machine: bare TLS, the cheapest
# server, nghttpd, h2load, libcurl. A table on standard output: what | measured | bar | verdict.
#
#   tools/bench/limits.sh [BUILDDIR] [--quick] [--only NAME]... [--list] [--stock URL[,path=PATH]]
#
# BUILDDIR is built already; without it: build-release of this checkout, which tools/release.sh makes if it is not
# there. --quick: few and short rounds. --only: these measurements; --list names them. --stock: a stock AGFS server
# that mounts another one at PATH, to compare with.
# Everything it compares runs alternately; a figure is the median of the rounds. It starts its own servers
# on loopback and stops them. On a busy machine `chrt -f 1 tools/bench/limits.sh`, as root and briefly, keeps
# everything else out. Exit code 0 also when a bar is missed, 1 when something could not be measured.
exec /usr/bin/env python3 "$(dirname "${BASH_SOURCE[0]}")/limits/limits.py" "$@"
