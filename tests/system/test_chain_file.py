# SPDX-License-Identifier: Apache-2.0
"""Chains as files: exported, verified by both implementations, carried to another data folder."""
import json
import os
import stat
import subprocess
import sys

import harness
from harness import BAD_CHAIN, ERROR, OK, USAGE, check

INCREMENT = '{"action":"increment"}'
VERIFIER = os.path.join(harness.ROOT, "tools", "verify", "verify.py")


def run_counter(t, requests=3):
    argv = ["run", harness.example("counter"), "--id", "counter"]
    for _ in range(requests):
        argv += ["--request", INCREMENT]
    t.run(*argv, "--until-idle").expect(OK)


def export(t, name, *options):
    path = os.path.join(t.folder, name)
    t.run("chain", "export", "counter", "-o", path, *options).expect(OK)
    return path


def python_says(path):
    return subprocess.run([sys.executable, "-B", VERIFIER, path], capture_output=True, text=True,
                          check=False)


def test_a_chain_moves_to_another_folder(t):
    run_counter(t)
    path = export(t, "counter.chain")
    other = os.path.join(t.folder, "other")
    t.run("chain", "import", path, "--data", other).expect(OK)
    ours = t.run("chain", "export", "counter").expect(OK).out
    theirs = t.run("chain", "export", "counter", "--data", other).expect(OK).out
    check(ours == theirs, "the same events", theirs)
    check("(imported)" in t.run("chain", "list", "-l", "--data", other).expect(OK).out, "marked")
    t.run("chain", "verify", "--data", other).expect(OK)
    t.run("chain", "verify", "counter", "--data", other).expect(OK)
    t.run("store", "gc", "--data", other).expect(OK)
    # What the chain refers to came with it and stays; so it can be exported again, signature included.
    again = os.path.join(t.folder, "again.chain")
    t.run("chain", "export", "counter", "-o", again, "--data", other).expect(OK)
    good = t.run("chain", "verify", again).expect(OK).out
    check("2 contents," in good and "missing" not in good, "component and manifest", good)


def test_the_file_is_signed_by_the_node(t):
    run_counter(t)
    path = export(t, "counter.chain")
    key = t.run("chain", "key").expect(OK).out.strip()
    good = t.run("chain", "verify", path).expect(OK).out
    events = len(t.events("counter"))
    check("signed to %d by %s" % (events - 1, key) in good, "signed to the last event", good)
    mode = stat.S_IMODE(os.stat(os.path.join(t.data, "key")).st_mode)
    check(mode == 0o600, "the key is for its owner", oct(mode))
    second = python_says(path)
    check(second.returncode == 0 and key in second.stdout, "the second implementation", second)
    unsigned = export(t, "unsigned.chain", "--unsigned")
    check("unsigned" in t.run("chain", "verify", unsigned).expect(OK).out, "says so")


def test_a_node_that_stops_signs_its_chains(t):
    run_counter(t)
    key = t.run("chain", "key").expect(OK).out.strip()
    good = t.run("chain", "verify", "counter").expect(OK).out
    last = len(t.events("counter")) - 1
    check("signed to %d by %s" % (last, key) in good, "the chain", good)
    check("1 of them signed" in t.run("chain", "verify").expect(OK).out, "all")
    second = python_says(os.path.join(t.data, "log"))
    check(second.returncode == 0 and "1 of them signed" in second.stdout, "in Python", second)
    signatures = os.path.join(t.data, "log", "signed", "heads")
    harness.flip_byte(signatures, os.path.getsize(signatures) - 1)
    bad = t.run("chain", "verify").expect(BAD_CHAIN)
    check("signed/heads at byte 0" in bad.out and "counter" in bad.out, "located", bad)


def test_imported_signatures_stay(t):
    run_counter(t)
    path = export(t, "counter.chain")
    key = t.run("chain", "key").expect(OK).out.strip()
    other = os.path.join(t.folder, "other")
    t.run("chain", "import", path, "--data", other).expect(OK)
    t.run("chain", "import", path, "--data", other).expect(OK)
    good = t.run("chain", "verify", "counter", "--data", other).expect(OK).out
    check("by " + key in good, "signed by where it came from", good)
    again = os.path.join(t.folder, "again.chain")
    t.run("chain", "export", "counter", "-o", again, "--data", other).expect(OK)
    with open(path, "rb") as first, open(again, "rb") as second:
        check(first.read() == second.read(), "the same file comes out again")


def test_a_key_that_others_may_read_is_refused(t):
    run_counter(t, 1)
    t.run("chain", "key").expect(OK)
    os.chmod(os.path.join(t.data, "key"), 0o644)
    refused = t.run("chain", "export", "counter", "-o", os.path.join(t.folder, "x")).expect(ERROR)
    check("chmod 600" in refused.err, "says what to do", refused)
    check(not os.path.exists(os.path.join(t.folder, "x")), "no file is left")
    check(not [name for name in os.listdir(t.folder) if name.endswith(".part")], "nor a part")


def test_a_changed_byte_is_found_by_both(t):
    run_counter(t)
    path = export(t, "counter.chain")
    size = os.path.getsize(path)
    for step in range(12):
        copy = os.path.join(t.folder, "copy.chain")
        with open(path, "rb") as source, open(copy, "wb") as target:
            target.write(source.read())
        harness.flip_byte(copy, (size - 1) * step // 11)
        verdict = t.run("chain", "verify", copy)
        check(verdict.code in (BAD_CHAIN, ERROR), "found", verdict)
        check(python_says(copy).returncode == 1, "by the second implementation too", step)
        t.run("chain", "import", copy, "--data", os.path.join(t.folder, "o"))
    check("counter" not in t.run("chain", "list", "--data", os.path.join(t.folder, "o")).out,
          "nothing bad was taken over")


def test_a_flip_in_an_event_names_it(t):
    run_counter(t)
    path = export(t, "counter.chain", "--no-contents")
    with open(path, "rb") as file:
        place = file.read().index(b"increment")
    harness.flip_byte(path, place)
    verdict = t.run("chain", "verify", path).expect(BAD_CHAIN)
    first = next(event["seq"] for event in t.events("counter") if "increment" in str(event["data"]))
    check("event %d" % first in verdict.out and "counter" in verdict.out, "the event", verdict)


def test_a_chain_grows_by_parts(t):
    run_counter(t)
    first = export(t, "first.chain")
    count = len(t.events("counter"))
    run_counter(t)
    rest = export(t, "rest.chain", "--from", str(count))
    other = os.path.join(t.folder, "other")
    early = t.run("chain", "import", rest, "--data", other).expect(ERROR)
    check("events 0 to %d are not here" % (count - 1) in early.err, "says what is missing", early)
    t.run("chain", "import", first, "--data", other).expect(OK)
    t.run("chain", "import", rest, "--data", other).expect(OK)
    t.run("chain", "import", rest, "--data", other).expect(OK)
    check(t.run("chain", "export", "counter").out ==
          t.run("chain", "export", "counter", "--data", other).out, "all of it")


def test_another_history_is_refused(t):
    run_counter(t)
    path = export(t, "ours.chain")
    t.run("chain", "import", path).expect(OK)  # our own, and nothing is new
    other = os.path.join(t.folder, "other")
    t.run("run", harness.example("counter"), "--id", "counter", "--until-idle", "--data",
          other).expect(OK)
    refused = t.run("chain", "import", path, "--data", other).expect(ERROR)
    check("another history: event 0" in refused.err, "says where", refused)
    third = os.path.join(t.folder, "third")
    t.run("chain", "import", path, "--data", third).expect(OK)
    stranger = os.path.join(t.folder, "stranger.chain")
    t.run("chain", "export", "counter", "-o", stranger, "--data", other).expect(OK)
    refused = t.run("chain", "import", stranger, "--data", third).expect(ERROR)
    check("another history" in refused.err, "says so", refused)


def test_filters_of_show(t):
    run_counter(t)
    events = t.events("counter")
    wanted = [event["seq"] for event in events if event["type"].startswith("handle-")]
    shown = t.run("chain", "show", "counter", "--type", "handle-*").expect(OK).out.splitlines()
    check([int(line.split()[0]) for line in shown] == wanted, "by type", shown)
    shown = t.run("chain", "show", "counter", "--from", "1", "--until", "2").expect(OK).out
    check(len(shown.splitlines()) == 2, "by number", shown)
    check(t.run("chain", "show", "counter", "--before", "1h").expect(OK).out == "", "none is older")
    check(len(t.run("chain", "show", "counter", "--since", "1h").expect(OK).out.splitlines()) ==
          len(events), "all are newer")
    for bad in ("yesterday", "2026-02-31", "2026-01-01T25:00:00Z", "5", "-5m"):
        t.run("chain", "show", "counter", "--since", bad).expect(USAGE)


def test_an_export_says_what_a_replay_will_lack(t):
    t.probe('id = "kid"\n', file="kid.toml")
    t.requests(t.probe(), "spawn kid.toml", "request kid echo hello", "child-events kid").expect(OK)
    path = os.path.join(t.folder, "a.chain")
    told = t.run("chain", "export", "a", "-o", path).expect(OK)
    check("1 event of the chain had events of other chains" in told.err, "the child's", told)
    told = t.run("chain", "export", "kid", "-o", path).expect(OK)
    check("other chains" not in told.err, "the child needs nobody's", told)
    bare = t.run("chain", "export", "a", "-o", path, "--no-contents").expect(OK)
    check("0 contents" in bare.err, "none", bare)
    check("2 missing" in t.run("chain", "verify", path).expect(OK).out, "component and manifest")


def test_follow_shows_what_a_node_writes(t):
    run_counter(t)
    before = len(t.events("counter"))
    one = t.start("chain", "show", "counter", "--follow", "--json", "--from", str(before - 1))
    every = t.start("chain", "show", "--follow", "--type", "handle-request")
    one.wait_line('"type":"shutdown"', "out")
    run_counter(t, 2)
    one.wait_line('"type":"shutdown"', "out", count=2)
    every.wait_line("handle-request", "out", count=2)
    seen = [json.loads(line)["seq"] for line in one.text("out").splitlines()]
    check(seen == list(range(before - 1, len(t.events("counter")))), "each once, in order", seen)
    shown = every.text("out").splitlines()
    check(len(shown) == 2 and all(line.startswith("counter ") for line in shown), "of all", shown)
    one.kill()
    every.kill()
    ended = t.run("chain", "show", "counter", "--follow", "--until", "2").expect(OK).out
    check(len(ended.splitlines()) == 3, "ends behind --until", ended)
    waits = t.start("chain", "show", "later", "--follow")
    waits.wait_line("no chain of an actor 'later' yet")
    t.run("run", harness.example("counter"), "--id", "later", "--until-idle").expect(OK)
    waits.wait_line("shutdown", "out")
    waits.kill()


def test_export_works_beside_a_live_node(t):
    live = t.start("run", harness.example("counter"), "--id", "counter")
    live.wait_line("starts at")
    harness.wait_until(lambda: "counter" in t.run("chain", "list").out)
    path = export(t, "live.chain")
    t.run("chain", "verify", path).expect(OK)
    refused = t.run("chain", "import", path).expect(ERROR)
    check("in use by process" in refused.err, "an import needs the folder alone", refused)
    live.kill()


if __name__ == "__main__":
    harness.main(globals())
