#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Start of `theater run` to the first byte of the first reply, with a cached component and with an
empty cache; and how long components given as files take to compile in the quick tier.

  tests/bench/start.py THEATER_BINARY [COMPONENT]...

With COMPONENT=$THEATER_BENCH_COMPONENTS, separated by colons, script/bench start measures those.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RUNS = 21
COLD_RUNS = 7


def first_reply(binary, data, cache=None):
    env = dict(os.environ, XDG_CACHE_HOME=cache) if cache else None
    began = time.perf_counter()
    process = subprocess.Popen(
        [binary, "run", os.path.join(SOURCE, "examples/counter/manifest.toml"), "--data", data,
         "--quiet", "--request", '{"action":"get"}', "--until-idle"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
    reply = process.stdout.readline()
    took = time.perf_counter() - began
    process.stdout.close()
    if process.wait() != 0 or reply != b'{"count":0}\n':
        sys.exit("start.py: the counter did not answer")
    return took * 1000


def first_replies_cold(binary):
    times = []
    for _ in range(COLD_RUNS):
        with tempfile.TemporaryDirectory(prefix="theater-bench-") as folder:
            times.append(first_reply(binary, os.path.join(folder, "data"),
                                     os.path.join(folder, "cache")))
    return times


def compile_quick(binary, component):
    """Wall-clock and CPU seconds (of all processes) with an empty cache, then with a full one."""
    figures = []
    with tempfile.TemporaryDirectory(prefix="theater-bench-") as code:
        for _ in range(2):
            before = os.times()
            began = time.perf_counter()
            subprocess.run([binary, "compile", "--quick", component, "-o", code], check=True,
                           stdout=subprocess.DEVNULL)
            after = os.times()
            figures += [time.perf_counter() - began,
                        after.children_user - before.children_user +
                        after.children_system - before.children_system]
    return tuple(figures)


def main():
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="theater-bench-") as data:
        first_reply(binary, data)
        times = [first_reply(binary, data) for _ in range(RUNS)]
    print("theater run to its first reply, component in the cache: %.1f ms (median of %d)"
          % (statistics.median(times), RUNS))
    print("the same with an empty cache: %.1f ms (median of %d)"
          % (statistics.median(first_replies_cold(binary)), COLD_RUNS))
    given = os.environ.get("THEATER_BENCH_COMPONENTS", "").split(":")
    for component in sys.argv[2:] + [path for path in given if path]:
        print("%s, %.1f MB, quick: %.2f s (CPU %.2f s); from the cache %.3f s (CPU %.3f s)"
              % ((os.path.basename(component), os.path.getsize(component) / 1e6) +
                 compile_quick(binary, component)))


main()
