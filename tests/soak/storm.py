# SPDX-License-Identifier: Apache-2.0
"""The kill storm: a node under load is killed with SIGKILL at random moments, opened again and killed
again. Senders outside write down each message that was acknowledged; in the end each of those must
have been handled exactly once by the actor it was for, and by the child that it was passed on to; no
other more than once. The HTTP server answers after every restart.
"""
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "system"))
import harness
from harness import OK, check

MESSAGE = re.compile(r"log m (\d+) (\d+)\.")
SENDERS = 4


class Storm:
    def __init__(self, t, seed):
        self.t = t
        self.random = random.Random(seed)
        self.acknowledged = set()
        self.driver = os.path.join(os.path.dirname(harness.BINARY), "theater-storm-node")
        self.relay = t.probe()
        shutil.copy(harness.guest("web/web.wasm"), os.path.join(t.folder, "web.wasm"))
        self.port = free_port()
        commands = "create %d;route GET /hello;start" % self.port
        blocks = "".join('\n[[handler]]\ntype = "%s"\n' % name for name in
                         ("runtime", "message-server", "http-framework", "timing"))
        self.web = t.manifest("web.wasm", "initial_state = %s%s" % (
            json.dumps(json.dumps(commands)), blocks), name="web", file="web.toml")
        self.rounds = 0
        self.served = 0

    def begin(self):
        self.rounds += 1
        return subprocess.Popen(
            [self.driver, self.t.data, os.path.join(harness.CACHE, "theater", "code"), self.relay,
             self.web, str(SENDERS), str(self.rounds * 1000000)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.t.env(), cwd=self.t.folder)

    def note(self, out):
        for line in out.decode().split("\n")[:-1]:
            sender, number = line.split()
            self.acknowledged.add((int(sender), int(number)))

    def look_at_server(self):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/hello" % self.port, timeout=5) as got:
                self.served += got.status == 200
        except OSError:
            pass  # not up yet, or killed

    def kill(self, most_s):
        process = self.begin()
        time.sleep(self.random.random() * most_s)
        if self.random.random() < 0.3:
            self.look_at_server()
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        check(process.returncode == -signal.SIGKILL, "it did not end by itself", err.decode())
        self.note(out)

    def end(self):
        """The last node lives until everything is handled, and stops in good order."""
        process = self.begin()
        out, err = process.communicate(timeout=harness.LIMIT_S)
        check(process.returncode == 0, "the last node ends well", err.decode())
        self.note(out)

    def handled(self, actor):
        found = {}
        for event in self.t.events(actor):
            if event["type"] == "handle-send" and "1" not in event["data"]:
                match = MESSAGE.search(json.dumps(event["data"].get("3")))
                if match:
                    key = (int(match.group(1)), int(match.group(2)))
                    found[key] = found.get(key, 0) + 1
        return found

    def judge(self):
        self.t.run("chain", "verify").expect(OK)
        child = [name for name in self.t.run("chain", "list").expect(OK).out.split()
                 if name not in ("relay", "web", "node")]
        check(len(child) == 1, "one child through all restarts", child)
        for actor in ("relay", child[0]):
            found = self.handled(actor)
            twice = [key for key, count in found.items() if count > 1]
            lost = [key for key in self.acknowledged if key not in found]
            check(not twice, "%s handled none twice" % actor, twice[:10])
            check(not lost, "%s handled all that was acknowledged" % actor, len(lost), lost[:10])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def storm(t, kills, seed, most_s):
    if not os.access(os.path.join(os.path.dirname(harness.BINARY), "theater-storm-node"), os.X_OK):
        raise harness.Skip("theater-storm-node is not built")
    work = Storm(t, seed)
    first = work.begin()  # compiles; the rest may be killed at once
    first.stdout.readline()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    for _ in range(kills):
        work.kill(most_s)
    work.end()
    work.judge()
    print("# seed %d: %d kills, %d acknowledged, the server answered %d times" % (
        seed, kills, len(work.acknowledged), work.served), flush=True)
    check(len(work.acknowledged) > kills, "there was load", len(work.acknowledged))


if __name__ == "__main__":
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())

    def test_kill_storm(t):
        storm(t, kills, seed, 0.6)

    harness.main({"test_kill_storm": test_kill_storm})
