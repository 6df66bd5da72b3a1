#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Start of `theater run` with a cached component to the first byte of the first reply.

  tests/bench/start.py THEATER_BINARY
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RUNS = 21


def first_reply(binary, data):
    began = time.perf_counter()
    process = subprocess.Popen(
        [binary, "run", os.path.join(SOURCE, "examples/counter/manifest.toml"), "--data", data,
         "--quiet", "--request", '{"action":"get"}', "--until-idle"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    reply = process.stdout.readline()
    took = time.perf_counter() - began
    process.stdout.close()
    if process.wait() != 0 or reply != b'{"count":0}\n':
        sys.exit("start.py: the counter did not answer")
    return took * 1000


def main():
    with tempfile.TemporaryDirectory(prefix="theater-bench-") as data:
        first_reply(sys.argv[1], data)
        times = [first_reply(sys.argv[1], data) for _ in range(RUNS)]
    print("theater run to its first reply, component in the cache: %.1f ms (median of %d)"
          % (statistics.median(times), RUNS))


main()
