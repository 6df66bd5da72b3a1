# SPDX-License-Identifier: Apache-2.0
"""Families: children that fail, are restarted, leave; the order of stopping."""
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


def actors(t):
    """Ids of all chains."""
    return [line.split()[0] for line in t.run("chain", "list").expect(OK).out.splitlines()]


harness.main(globals())
