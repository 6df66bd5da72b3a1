# SPDX-License-Identifier: Apache-2.0
"""Families: children that fail, are restarted, leave; the order of stopping."""
import glob
import os
import re
import signal

import harness
from harness import OK, SIGINT_EXIT, check

STEPS = [
    "worker one finds 55", "worker two finds 5050", "worker three finds 500500",
    '"sum 20" is answered: 210', '"sum-later 200" is answered: 20100',
    'the channel "gossip" is refused', "on the channel: step 1 of 3", "on the channel: done",
    "worker one traps", "handle-child-error: worker one", '"sum 4" is answered: 10',
    "handle-child-error: worker two", "handle-child-error: worker three",
    "handle-child-exit: worker visitor: goodbye from visitor after 1 jobs", "children: 3",
    "-- the end",
]


def test_the_supervisor_example_plays_its_scenario(t):
    run = t.run("run", harness.example("supervisor"), "--id", "boss", "--until-idle", "--timeout",
                "100").expect(OK)
    place = 0
    for step in STEPS:
        found = run.err.find(step, place)
        check(run.err.find(step) >= 0, "the log says %r" % step, run)
        place = max(place, found)
    ids = t.run("chain", "list").expect(OK).out.split()
    check(len([line for line in t.run("chain", "list").out.splitlines()]) >= 5,
          "boss, three workers, a visitor", ids)
    t.run("chain", "verify").expect(OK)


def test_stopping_goes_from_the_leaves_to_the_root(t):
    live = t.start("run", harness.example("supervisor"), "--id", "boss")
    live.wait_line("-- the end")
    live.signal(signal.SIGINT)
    live.wait().expect(SIGINT_EXIT)
    ends = {}
    for actor in actors(t):
        last = t.events(actor)[-1]
        check(last["type"] == "shutdown", "the last event of %s is its shutdown" % actor, last)
        ends[actor] = last["time"]
    check(len(ends) >= 5, "the whole family has chains", ends)
    check(ends["boss"] == max(ends.values()), "the root ends last", ends)
    t.run("chain", "verify").expect(OK)


def test_a_crash_is_in_the_chain_of_the_child(t):
    t.run("run", harness.example("supervisor"), "--id", "boss", "--until-idle", "--timeout",
          "100").expect(OK)
    crashes = sum(event["type"] == "crashed" for actor in actors(t) for event in t.events(actor))
    check(crashes == 2, "one trap and one endless loop", crashes)


def test_a_parent_stops_and_restarts_its_child(t):
    t.probe(file="child.toml")
    manifest = t.probe()
    run = t.run("run", manifest, "--id", "a", "--request", "spawn child.toml", "--until-idle")
    child = run.expect(OK).out.strip()
    types = [event["type"] for event in t.events(child)]
    check(types[0] == "spawned" and types[-1] == "shutdown", "from spawned to shutdown", types)


def test_a_child_that_fails_to_start_is_told_to_its_parent(t):
    t.probe(file="child.toml")
    run = t.requests(t.probe(), 'spawn-with {"init":"err"} child.toml', "children")
    check("asked to fail in init" in run.err, "the reason reaches the parent", run)
    check(run.out.splitlines()[-1:] == [""], "there is no child", run)


def test_past_the_limit_the_node_stops_a_root_and_says_so(t):
    manifest = t.probe('restart = "permanent"\n')
    run = t.run("run", manifest, "--id", "a", *["--send", "trap"] * 4, "--until-idle")
    check("past the restart limit" in run.err, "the node says so", run)
    check(run.code != OK, "and that it is no success", run)
    events = t.events("a")
    check(sum(event["type"] == "crashed" for event in events) == 4, "three restarts", events)
    check(events[-1]["type"] == "shutdown", "the shutdown is the last event", events)


STRATEGIES = {
    "one-for-one": ["x starts"],
    "one-for-all": ["z is down", "y is down", "w is down", "w starts", "x starts", "y starts",
                    "z starts"],
    "rest-for-one": ["z is down", "y is down", "x starts", "y starts", "z starts"],
}


def test_each_strategy_restarts_whom_it_should_in_order(t):
    for name in "wxyz":
        t.probe('id = "%s"\nrestart = "permanent"\n' % name, file="%s.toml" % name)
    for strategy, expected in STRATEGIES.items():
        parent = t.probe('[supervision]\nstrategy = "%s"\n' % strategy, file="p.toml")
        requests = ["spawn %s.toml" % name for name in "wxyz"]
        before = {name: len(t.events(name)) if strategy != "one-for-one" else 0 for name in "wxyz"}
        run = t.requests(parent, *requests, "send x trap").expect(OK)
        happened = []
        for name in "wxyz":
            seen = t.events(name)[before[name]:]
            at = next((i for i, event in enumerate(seen) if event["type"] in
                       ("crashed", "restarted")), len(seen))
            happened += [(event["time"], "%s is down" % name) for event in seen[at:]
                         if event["type"] == "restarted"]
            happened += [(event["time"], "%s starts" % name) for event in seen[at:]
                         if event["type"] == "instance-created"]
        check(sorted(text for _, text in happened) == sorted(expected), strategy, happened, run)
        order = {text: time for time, text in happened}
        times = [order[text] for text in expected]
        check(times == sorted(times), "the order of " + strategy, happened)
    t.run("chain", "verify").expect(OK)


def test_every_row_of_the_comparison_with_otp_has_its_test(t):
    with open(os.path.join(harness.ROOT, "docs", "supervision.md"), encoding="utf-8") as file:
        table = file.read().split("## Compared with Erlang/OTP")[1]
    named = re.findall(r"\| `(\w+)` \|$", table, re.MULTILINE)
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    check(len(named) == len(rows) >= 40, "each row names a test", len(named), len(rows))
    sources = []
    for pattern in ("unit/actor/*.c", "unit/node/*.c"):
        for path in glob.glob(os.path.join(harness.ROOT, "tests", pattern)):
            with open(path, encoding="utf-8") as file:
                sources.append(file.read())
    there = set(re.findall(r"^TEST\((\w+)\)", "\n".join(sources), re.MULTILINE)) | set(globals())
    check(set(named) <= there, "and that test is there", sorted(set(named) - there))


def actors(t):
    """Ids of all chains."""
    return [line.split()[0] for line in t.run("chain", "list").expect(OK).out.splitlines()]


harness.main(globals())
