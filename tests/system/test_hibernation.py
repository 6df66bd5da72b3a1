#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Actors that give their instance up while nothing happens (docs/hibernation.md)."""
import os
import signal
import urllib.request

import harness
from harness import OK, SIGINT_EXIT, check

SLEEPS = "stateless_instance = true\nhibernate_after_ms = 1\n"


def types(t, actor):
    return [event["type"] for event in t.events(actor)]


def rests(t, actor, count):
    """Waits until the chain, beside the live node, says that the actor hibernates."""
    def is_there():
        if t.run("chain", "show", actor).code != OK:
            return False  # not written yet
        seen = types(t, actor)
        return seen.count("hibernated") >= count and seen[-1] == "hibernated"
    harness.wait_until(is_there, what="hibernation of " + actor)


def test_a_web_server_wakes_for_each_request(t):
    t.write("state.json", '"create 0;route GET /hello;route GET /count;start"')
    blocks = "".join('[[handler]]\ntype = "%s"\n' % name for name in ("runtime", "timing", "http-framework"))
    manifest = t.manifest(harness.guest("web/web.wasm"), 'init_state = "state.json"\n' + SLEEPS + blocks)
    live = t.start("run", manifest, "--id", "web")
    url = "http://127.0.0.1:%s/" % live.wait_line("port ").rsplit(" ", 1)[1]
    for number in range(1, 4):
        rests(t, "web", number)
        with urllib.request.urlopen(url + "hello", timeout=60) as answer:
            check(answer.read() == b"Hello, world!", "the server of an actor that hibernates answers")
    with urllib.request.urlopen(url + "count", timeout=60) as answer:
        check(answer.read() == b"4", "answered, by the state")
    live.signal(signal.SIGINT)
    live.wait().expect(SIGINT_EXIT)
    seen = types(t, "web")
    check("init" not in seen[seen.index("hibernated"):], "init runs once, if with a wait", seen)
    check(seen.count("instance-created") >= 4, "an instance for each request", seen)
    check(seen.count("crashed") == 0 and seen[-1] == "shutdown", "nothing else happened", seen)
    t.run("chain", "verify").expect(OK)


def test_what_a_program_of_wasi_had_open_is_opened_again(t):
    os.makedirs(os.path.join(t.folder, "box"), exist_ok=True)
    text = SLEEPS + '[[handler]]\ntype = "runtime"\n[[handler]]\ntype = "filesystem"\npath = "box"\n' \
        'allowed_commands = []\n'
    manifest = t.manifest(harness.guest("rust_std/guest.wasm"), text)
    live = t.start("run", manifest, "--id", "a", "--request", "write f.txt eins")
    rests(t, "a", 1)
    live.signal(signal.SIGINT)
    live.wait().expect(SIGINT_EXIT)
    run = t.run("run", manifest, "--id", "a", "--request", "append f.txt  zwei", "--request", "read f.txt",
                "--until-idle").expect(OK)
    check(run.out.splitlines()[-1] == "eins zwei", "what was written stays", run)
    t.run("chain", "verify").expect(OK)


def test_short_memory_wakes_and_drops_actors_and_loses_nothing(t):
    t.probe(text='stateless_instance = true\n', file="child.toml")
    manifest = t.probe()
    spawns = ["spawn child.toml"] * 12
    argv = ["run", manifest, "--id", "a", "--instance-memory", "1"]
    for message in spawns:
        argv += ["--request", message]
    run = t.run(*argv, "--until-idle").expect(OK)
    children = run.out.split()
    check(len(children) == 12, "all were spawned", run)
    dropped = sum("hibernated" in types(t, child) for child in children)
    check(dropped >= 4, "most of them do not fit", dropped)
    t.run("chain", "verify").expect(OK)


def test_the_memory_of_instances_is_a_number(t):
    t.run("run", t.probe(), "--instance-memory", "much").expect(harness.USAGE, err="--instance-memory")
    t.run("run", t.probe(), "--instance-memory", "0").expect(harness.USAGE, err="--instance-memory")


harness.main(globals())
