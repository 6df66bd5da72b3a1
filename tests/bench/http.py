#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP requests per second of a C actor that answers 13 bytes, every request recorded, against
nginx `return 200` with the same body: one worker process, wrk with 64 connections, the two in turn.

    tests/bench/http.py [ROUNDS [SECONDS]]

Prints the figures of each round, and the median of each and of their ratio. Exit code 77 when wrk or
nginx is missing.
"""
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.environ.get("THEATER_BIN") or os.path.join(ROOT, "build", "release", "bin", "theater")
CONNECTIONS = 64

NGINX = """daemon off; worker_processes 1; pid %(folder)s/pid; error_log %(folder)s/log crit;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000; default_type text/plain;
  client_body_temp_path %(folder)s/a; proxy_temp_path %(folder)s/b; fastcgi_temp_path %(folder)s/c;
  uwsgi_temp_path %(folder)s/d; scgi_temp_path %(folder)s/e;
  server { listen 127.0.0.1:%(port)d; location / { return 200 "Hello, world!"; } } }
"""
MANIFEST = """name = "web"
component = "web.wasm"
init_state = "state.json"
[[handler]]
type = "runtime"
[[handler]]
type = "message-server"
[[handler]]
type = "timing"
[[handler]]
type = "http-framework"
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_port(port):
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                sys.exit("bench http: nobody listens on port %d" % port)
            time.sleep(0.05)


def start_nginx(folder, port):
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(NGINX % {"folder": folder, "port": port})
    return subprocess.Popen(["nginx", "-c", path, "-p", folder], stderr=subprocess.DEVNULL)


def start_theater(folder, port):
    shutil.copy(os.path.join(ROOT, "tests", "guests", "web", "web.wasm"), folder)
    with open(os.path.join(folder, "state.json"), "w", encoding="utf-8") as file:
        json.dump("create %d;route GET /hello;start" % port, file)
    manifest = os.path.join(folder, "web.toml")
    with open(manifest, "w", encoding="utf-8") as file:
        file.write(MANIFEST)
    env = dict(os.environ, THEATER_HOME=os.path.join(folder, "data"))
    # The optimised code, not the quick one that a first start runs.
    subprocess.run([BINARY, "compile", os.path.join(folder, "web.wasm"), "-o",
                    os.path.join(folder, "compiled")], env=env, check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return subprocess.Popen([BINARY, "run", manifest, "--id", "web", "--quiet"], env=env)


def measure(port, seconds):
    done = subprocess.run(["wrk", "-t1", "-c%d" % CONNECTIONS, "-d%ds" % seconds, "--latency",
                           "http://127.0.0.1:%d/hello" % port], capture_output=True, text=True,
                          check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit("bench http: not all requests were answered\n" + done.stdout)
    rate = float(re.search(r"Requests/sec:\s*([\d.]+)", done.stdout).group(1))
    total = int(re.search(r"(\d+) requests in", done.stdout).group(1))
    p99 = re.search(r"99%\s*(\S+)", done.stdout).group(1)
    return rate, total, p99


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    for program in ("wrk", "nginx"):
        if shutil.which(program) is None:
            print("http: skipped, there is no %s (script/bootstrap bench installs it)" % program)
            sys.exit(77)
    folder = tempfile.mkdtemp(prefix="theater-http-")
    ports = free_port(), free_port()
    running = []
    try:
        running.append(start_nginx(folder, ports[0]))
        running.append(start_theater(folder, ports[1]))
        for port in ports:
            wait_port(port)
            measure(port, 1)
        rates, answered = ([], []), 0
        for number in range(rounds):
            nginx, _, nginx_p99 = measure(ports[0], seconds)
            before = cpu_seconds(running[1].pid)
            theater, total, p99 = measure(ports[1], seconds)
            used = cpu_seconds(running[1].pid) - before
            answered += total
            rates[0].append(nginx)
            rates[1].append(theater)
            print("round %d: nginx %.0f/s (p99 %s), theater %.0f/s (p99 %s, %.1f us CPU each), "
                  "ratio %.2f" % (number + 1, nginx, nginx_p99, theater, p99, used / total * 1e6,
                                  theater / nginx), flush=True)
        ratios = [theater / nginx for nginx, theater in zip(*rates)]
        print("http: nginx %.0f/s, theater %.0f/s, ratio %.2f (medians of %d)" % (
            statistics.median(rates[0]), statistics.median(rates[1]), statistics.median(ratios),
            rounds))
        running[1].send_signal(signal.SIGTERM)
        running[1].wait(60)
        check_recorded(folder, answered)
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
                process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def check_recorded(folder, answered):
    """Every request that was answered stands in the chain."""
    env = dict(os.environ, THEATER_HOME=os.path.join(folder, "data"))
    export = subprocess.Popen([BINARY, "chain", "export", "web"], env=env, stdout=subprocess.PIPE)
    count = sum(b'"http-handlers.handle-request"' in line for line in export.stdout)
    if export.wait() != 0 or count < answered:
        sys.exit("bench http: %d requests were answered, %d are recorded" % (answered, count))
    print("http: all of them recorded: %d events" % count)


main()
