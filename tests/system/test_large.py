#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Large values: the chain holds them by their hash, the content store holds their bytes; neither a
kill nor a collection parts the two. Chains that were asked for stand in the chain as ranges."""
import glob
import hashlib
import json
import os
import random
import shutil
import subprocess
import time

import harness
from harness import OK, check

REFERENCE_TAG, RANGE_TAG = 29285, 29286
CURL = ["curl", "-s", "-S", "--noproxy", "*", "-m", "60"]


def tags(value, tag):
    """What stands behind each such tag in an event's data."""
    if isinstance(value, dict):
        if value.get("tag") == tag:
            return [value["value"]]
        return [found for item in value.values() for found in tags(item, tag)]
    return [found for item in value for found in tags(item, tag)] if isinstance(value, list) else []


def references(events):
    return [(value[0]["hex"], value[1]) for event in events
            for value in tags(event["data"], REFERENCE_TAG)]


def sha(content):
    return hashlib.sha256(content).hexdigest()


def content(t, digits):
    return t.run("store", "get", digits).expect(OK).out.encode()


def log_bytes(t):
    """What the events take: an export of all."""
    return sum(len(t.run("chain", "export", actor).expect(OK).out)
               for actor in t.run("chain", "list").expect(OK).out.split())


def test_a_large_state_is_kept_once_by_its_hash(t):
    state = b"x" * 100000
    manifest = t.probe()
    t.requests(manifest, "grow-state 100000", "get-state", "set-state short", "grow-state 100000",
               "state").expect(OK)
    events = t.events("a")
    found = references(events)
    check(set(found) == {(sha(state), 100000)}, "one content, referred to", found)
    check(len(found) >= 4, "as state twice, as result, as answer", found)
    check(content(t, sha(state)) == state, "and it can be read")
    check(max(len(json.dumps(event)) for event in events) < 4096, "no event holds it")
    packs = glob.glob(os.path.join(t.data, "store", "packs", "*.pack"))
    check(sum(map(os.path.getsize, packs)) < 110000, "it is kept once", packs)
    t.run("chain", "verify").expect(OK)
    t.run("store", "verify").expect(OK)
    # The chain verifies without the store, too.
    os.rename(os.path.join(t.data, "store"), os.path.join(t.data, "away"))
    t.run("chain", "verify").expect(OK)


def test_show_gives_the_contents_when_asked(t):
    message = "echo " + "".join(random.Random(1).choices("abcdefgh", k=6000))
    t.requests(t.probe(), message).expect(OK)
    plain = t.run("chain", "show", "a", "--json").expect(OK).out
    check(message not in plain and str(REFERENCE_TAG) in plain, "references are shown", plain[:500])
    shown = t.run("chain", "show", "a", "--json", "--contents").expect(OK).out
    check(message in shown and str(REFERENCE_TAG) not in shown, "or what they refer to", shown[:500])
    check(message[:100] in t.run("chain", "show", "a", "--contents").expect(OK).out, "in lines too")
    t.run("chain", "export", "a", "--contents").expect(harness.USAGE, err="what was hashed")
    # What is missing stays a reference; what is damaged is told.
    pack = glob.glob(os.path.join(t.data, "store", "packs", "*.pack"))[0]
    harness.flip_byte(pack, 16 + 48 + 100)
    t.run("chain", "show", "a", "--contents").expect(harness.ERROR, err="is damaged")
    out = t.run("store", "verify").expect(harness.BAD_CHAIN).out
    check("damaged: 1" in out, "and found", out)
    os.remove(pack)
    shown = t.run("chain", "show", "a", "--json", "--contents").expect(OK).out
    check(message not in shown and str(REFERENCE_TAG) in shown, "missing", shown[:500])


def test_bodies_of_http_are_kept_by_their_hash(t):
    shutil.copy(harness.guest("web/web.wasm"), os.path.join(t.folder, "web.wasm"))
    t.write("state.json", json.dumps("create 0;route POST /echo;start"))
    blocks = "".join('\n[[handler]]\ntype = "%s"\n' % name
                     for name in ("runtime", "message-server", "timing", "http-framework"))
    manifest = t.manifest("web.wasm", 'init_state = "state.json"\n' + blocks, file="web.toml")
    live = t.start("run", manifest, "--id", "web")
    port = int(live.wait_line("port ").rsplit(" ", 1)[1])
    bodies = [bytes(random.Random(seed).choices(range(256), k=16000)) for seed in range(3)]
    for body in bodies + bodies:
        path = t.write("body", body)
        done = subprocess.run(CURL + ["--data-binary", "@" + path, "http://127.0.0.1:%d/echo" % port],
                              capture_output=True, check=True)
        check(done.stdout == body, "the echo")
    live.signal(15)
    live.wait().sane()
    found = [one for one in references(t.events("web")) if one[1] == 16000]
    check(sorted(found) == sorted((sha(body), 16000) for body in bodies for _ in range(4)),
          "each body in request and response, twice", found)
    packs = glob.glob(os.path.join(t.data, "store", "packs", "*.pack"))
    check(sum(map(os.path.getsize, packs)) < 55000, "and kept once", packs)
    t.run("store", "verify").expect(OK)


def test_asking_for_the_chain_again_does_not_double_it(t):
    manifest = t.probe()
    t.requests(manifest, *["log %d %s" % (i, "y" * 200) for i in range(40)]).expect(OK)
    before = log_bytes(t)
    t.requests(manifest, *["chain"] * 20).expect(OK)
    events = t.events("a")
    ranges = [value for event in events for value in tags(event["data"], RANGE_TAG)]
    check(len(ranges) == 20, "each stands as a range", ranges)
    by_seq = {event["seq"]: event["hash"] for event in events}
    for chain, first, count, last in ranges:
        check(chain == "a" and first == 0 and last["hex"] == by_seq[first + count - 1],
              "it names chain, extent and head", chain, first, count, last)
    check(log_bytes(t) - before < 20 * 1500, "not as a copy", before, log_bytes(t))
    # The same of a child.
    t.probe("id = \"child\"\n", file="child.toml")
    t.requests(manifest, "spawn child.toml", "child-events child", "child-events child").expect(OK)
    ranges = [value for event in t.events("a") for value in tags(event["data"], RANGE_TAG)][20:]
    check([value[0] for value in ranges] == ["child", "child"], "a child's", ranges)
    last = t.events("child")[ranges[0][1] + ranges[0][2] - 1]["hash"]
    check(ranges[0][3]["hex"] == last, "its last event", ranges[0], last)


def test_collection_keeps_what_events_refer_to(t):
    t.requests(t.probe(), "grow-state 50000", "echo " + "z" * 9000).expect(OK)
    before = set(references(t.events("a")))
    out = t.run("store", "gc").expect(OK).out
    for digits, size in before:
        check(len(content(t, digits)) == size, "it is still there", digits, out)
    t.run("store", "verify").expect(OK)
    # Without the log nobody refers to anything.
    shutil.rmtree(os.path.join(t.data, "log"))
    os.mkdir(os.path.join(t.data, "log"))
    t.run("store", "gc").expect(OK)
    check(not glob.glob(os.path.join(t.data, "store", "packs", "*.pack")), "the space is given back")


def test_no_kill_leaves_an_event_without_its_contents(t):
    manifest = t.probe()
    argv = ["run", manifest, "--id", "a"]
    for i in range(300):
        argv += ["--send", "set-state %d %s" % (i, chr(97 + i % 26) * 5000)]
    dice = random.Random(7)
    seen = 0
    for _ in range(6):
        live = t.start(*argv)
        harness.wait_until(lambda: glob.glob(os.path.join(t.data, "store", "packs", "*.pack")),
                           what="a pack")
        time.sleep(0.3 + dice.random() * 0.7)
        live.signal(9)
        live.wait()
        t.run("chain", "verify").expect(OK)
        found = references(t.events("a"))
        seen = max(seen, len(found))
        shown = t.run("chain", "show", "a", "--json", "--contents").expect(OK).out
        check('"tag":%d' % REFERENCE_TAG not in shown.replace(" ", ""), "every content is there")
        t.run("store", "verify").expect(OK)
    check(seen > 10, "there was something to lose", seen)


harness.main(globals())
