# SPDX-License-Identifier: Apache-2.0
"""durability = "sync" from outside: replies, HTTP, and a disk without room."""
import json
import os
import shutil
import signal
import subprocess

import harness
from harness import OK, check

SYNC = 'durability = "sync"\n'


def test_a_sync_actor_answers(t):
    run = t.requests(t.probe(SYNC), *["echo %d" % n for n in range(20)])
    run.expect(OK, out=[str(n) for n in range(20)])
    t.run("chain", "verify").expect(OK)


def test_a_chain_of_actors_with_one_that_is_sync(t):
    t.probe(SYNC, file="child.toml")
    run = t.requests(t.probe(), "spawn child.toml", "children")
    run.expect(OK)


def test_a_sync_server_answers(t):
    shutil.copy(harness.guest("web/web.wasm"), os.path.join(t.folder, "web.wasm"))
    t.write("state.json", json.dumps("create 0;route GET /hello;start"))
    blocks = "".join('\n[[handler]]\ntype = "%s"\n' % name
                     for name in ("runtime", "message-server", "timing", "http-framework"))
    manifest = t.manifest("web.wasm", SYNC + 'init_state = "state.json"\n' + blocks, name="web")
    live = t.start("run", manifest, "--id", "web")
    port = live.wait_line("port ").rsplit(" ", 1)[1]
    for _ in range(20):
        done = subprocess.run(["curl", "-s", "-S", "--noproxy", "*", "-m", "60",
                               "http://127.0.0.1:%s/hello" % port], capture_output=True, check=False)
        check(done.stdout == b"Hello, world!", "it answers", done, live.result())
    live.signal(signal.SIGKILL)
    live.wait()
    handled = [event for event in t.events("web") if "http" in event["type"]]
    check(len(handled) == 20, "what was answered is in the chain after a kill", len(handled))


def test_nothing_is_answered_that_a_full_disk_did_not_take(t):
    small = os.path.join(t.folder, "small")
    os.mkdir(small)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small],
                           stderr=subprocess.DEVNULL, check=False)
    if mount.returncode != 0:
        raise harness.Skip("mounting a small disk needs root")
    t.mounts.append(small)
    live = t.start("run", t.probe(SYNC), "--data", os.path.join(small, "data"), "--id", "a",
                   "--request", "echo x", "--request", "echo y")
    live.wait_line("the log stands")
    live.signal(signal.SIGTERM)
    run = live.wait()
    check(run.code != OK and not run.out, "no reply and no success", run)
    check("No space left" in run.err, "and it says why", run)


harness.main(globals())
